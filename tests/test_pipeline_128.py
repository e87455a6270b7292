"""Fakes of 128 pixels out of a public architecture, and smaller ones that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from gans.public_checkpoints import reference, write_mmgeneration
from test_pipeline import Project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, photographs: list[bytes]) -> Project:
    """A clone with one 128x128 generator, its weights made by the fixtures' rule, and one of 64x64."""
    project = Project(tmp_path_factory.mktemp("clone128"), photographs)
    write_mmgeneration(project.folder / "wgangp128.pth", reference("wgangp128").weights(), averaged=False)
    path = project.folder / "params.yaml"
    params = yaml.safe_load(path.read_text())
    public = {
        "loader": "mmgeneration",
        "weights": "wgangp128.pth",
        "architecture": "convolutional",
        "upsampler": "nearest",
    }
    params["gans"] = {"wgan_gp_128": public, "small": params["gans"]["dcgan"]}
    params |= {"image_size": 128, "held_out": ["small"]}
    params["leave_one_out"]["folds"] = ["wgan_gp_128"]
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    return project


def test_a_smaller_generator_is_refused_by_name(project: Project) -> None:
    output = project.run("dvc", "repro", "generate@small", expect=255)
    assert "gans.small: image is 64x64 pixels, expected at least 128 on the shorter side" in output
    assert "Traceback" not in output
    assert not Path(project.folder, "data/fake/small").exists()


def test_a_public_generator_of_its_size_gives_the_fakes(project: Project) -> None:
    path = project.folder / "params.yaml"
    params = yaml.safe_load(path.read_text())
    del params["gans"]["small"]
    params["held_out"] = []
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    project.run("dvc", "repro", "quality@wgan_gp_128", "collect")
    assert project.report("quality/wgan_gp_128.json")["kid"] > 0
    from fakeface.data.image_sets import ImageSet

    for folder in ("real", "fake/wgan_gp_128"):
        images = ImageSet.read(project.folder / "data" / folder / "test").images
        assert images.shape == (16, 128, 128, 3) if folder != "real" else images.shape[1:] == (128, 128, 3)
    # One GAN cannot be left out and trained on.
    output = project.run("dvc", "repro", "leave_one_out@wgan_gp_128", expect=255)
    assert "fold wgan_gp_128: no GAN is left to train on; add one to gans" in output
    assert "Traceback" not in output
