"""The portraits profile, made small, runs whole: one GAN and no folds, then a second that only tests."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import yaml
from conftest import encode, random_picture
from test_pipeline import SMALL, SMALL_KEYS, Project, stages_run

pytestmark = pytest.mark.slow


def pack(path: Path, seeds: range, side: int = 144, turned: bool = False) -> None:
    """A zip of square pictures, perhaps upside down."""
    with zipfile.ZipFile(path, "w") as archive:
        for seed in seeds:
            picture = random_picture(seed, side, side)
            archive.writestr(
                f"{seed:05d}.jpg", encode(picture.rotate(180) if turned else picture, quality=90)
            )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, photographs: list[bytes]) -> Project:
    """A clone whose params are those of the profile, made small, after a whole `dvc repro`."""
    project = Project(tmp_path_factory.mktemp("portraits"), photographs)
    pack(project.folder / "stylegan.zip", range(1000, 1100), turned=True)
    pack(project.folder / "unseen.zip", range(2000, 2012), turned=True)
    pack(project.folder / "snapshots.zip", range(3000, 3012))
    root = f"data.root={project.folder / 'photographs'}"
    sets = (
        "external.snapshots={path: snapshots.zip, kind: real}",
        "external.unseen={path: unseen.zip, kind: fake}",
    )
    use = ("-m", "fakeface.params", "use", "portraits", root, "gans.stylegan.weights=stylegan.zip", *sets)
    project.run(sys.executable, *use)
    path = project.folder / "params.yaml"
    params = yaml.safe_load(path.read_text())
    assert params["leave_one_out"]["folds"] == params["held_out"] == []
    small = {section: dict(values) for section, values in SMALL_KEYS.items()}
    del small["leave_one_out"]["folds"]
    for section, values in small.items():
        params[section] |= values
    params |= {"image_size": 128, "device": "cpu", "generate": SMALL["generate"]}
    params["cffn"] |= {"views": {"real": 1, "fake": 1}}
    params["data"]["splits"] = {"val": 0.3, "test": 0.3}
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    project.output = project.run("dvc", "repro")
    project.commit("first run")
    return project


def test_every_stage_runs_and_says_what_it_could_not_measure(project: Project) -> None:
    stages = set(project.run("dvc", "stage", "list", "--name-only").split())
    assert stages_run(project.output) == stages
    assert not any(stage.startswith(("leave_one_out", "baselines", "fetch")) for stage in stages)
    nothing = "leave_one_out.folds is empty: nothing was left out"
    assert f"{nothing}, and nothing compared" in project.output
    assert project.report("leave_one_out.json")["undefined"] == nothing
    assert project.report("leave_one_out.json")["folds"] == {}
    alone = "needs two GANs that may train, to tell them apart, and got stylegan: none is named"
    assert project.report("attribution.json")["undefined"] == alone
    assert "needs two GANs" in project.report("nested_validation.json")["gans"]["undefined"]["laundered"]
    page = (project.folder / "report.html").read_text(encoding="utf-8")
    for said in (nothing, alone, "study_losses.json", "study_curation.json", "AUROC against snapshots"):
        assert said in page, said
    assert "names no GAN" in (project.folder / "models" / "detector" / "README.md").read_text()


def test_what_follows_a_run_takes_the_empty_files(project: Project) -> None:
    assert stages_run(project.run("dvc", "repro")) == set()
    assert "9 undefined" not in project.gate("--base", "HEAD", expect=0)
    tables = (sys.executable, "-m", "fakeface.reporting.tables")
    assert "nothing was left out" in project.run(*tables, "folds")
    assert "| stylegan |" in project.run(*tables, "results")
    assert "| unseen |" in project.run(*tables, "external")
    attribution = json.loads((project.folder / "metrics" / "attribution.json").read_text())
    assert set(attribution.values()) == {None}
    project.run("dvc", "metrics", "show", "metrics/attribution.json")
    project.run("dvc", "plots", "show", "--out", "rendered")
    queue = (sys.executable, "-m", "fakeface.reporting.studies", "queue", "losses")
    assert "params.yaml has no GAN lsgan" in project.run(*queue, expect=1)


def test_a_gan_that_only_tests_leaves_all_stages_whole(project: Project) -> None:
    unseen = {
        "loader": "folder",
        "weights": "unseen.zip",
        "architecture": "stylegan2",
        "upsampler": "bilinear",
    }
    path = project.folder / "params.yaml"
    params = yaml.safe_load(path.read_text())
    params["gans"]["unseen"] = unseen | {"test_only": True}
    params |= {"held_out": ["unseen"], "external": {}}
    params["leave_one_out"] |= {"never_train": ["unseen"], "folds": ["unseen"], "compared": ["dct", "lite0"]}
    params["curation"]["method"] = "realism"
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    output = project.run("dvc", "repro")
    assert {"quality@unseen", "leave_one_out@unseen", "baselines@unseen", "report"} <= stages_run(output)
    curated = project.report("curation.json")["gans"]
    assert (curated["unseen"]["n_before"], curated["unseen"]["n_after"]) == (0, 0)
    assert "gans.unseen.test_only" in curated["unseen"]["undefined"]
    assert curated["stylegan"]["after"]["kid"] is not None
    assert project.report("quality/unseen.json")["n_fake"] == 12
    folds = project.report("leave_one_out.json")
    assert folds["undefined"] == "leave_one_out.folds names no GAN that may train"
    assert list(folds["out_of_domain"]["laundered"]) == list(folds["gans"]["laundered"])
    assert set(pd.read_csv(project.folder / "data" / "test.csv")["gan"].dropna()) == {"stylegan", "unseen"}
    page = (project.folder / "report.html").read_text(encoding="utf-8")
    assert "None of the GANs left out may train" in page
    assert 'id="external"' not in page
    project.gate("--base", "HEAD", "--metrics", "metrics/leave_one_out.json", expect=0)
