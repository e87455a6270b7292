"""Lists of training fakes: whole sets by default, parts by a method, and what trains sees the part only."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from detector.conftest import image_sets, pictures, tiny_params

from fakeface.data.collect import collect, training_rows
from fakeface.data.image_sets import CurationError, Folders, ImageSet, kept_rows
from fakeface.detector.batches import load_split, load_training
from fakeface.metrics.curation import curate
from fakeface.params import Params

__all__ = ["image_sets", "tiny_params"]
GANS = ("dcgan", "wgan")


@pytest.fixture
def folders(image_sets: tuple[Path, Path], tmp_path: Path) -> Folders:
    """Photographs and two GANs, without lists."""
    shutil.copytree(image_sets[0], tmp_path / "data" / "real")
    for gan in GANS:
        shutil.copytree(image_sets[1] / gan, tmp_path / "data" / "fake" / gan)
    return Folders(tmp_path / "data")


@pytest.fixture
def params(tiny_params: Params) -> Params:
    quality = {"n_images": 24, "kid_subset_size": 8, "kid_subsets": 2, "batch_size": 8}
    return tiny_params.model_copy(
        update={
            "gans": {gan: tiny_params.gans[gan] for gan in GANS},
            "held_out": ["wgan"],
            "quality": tiny_params.quality.model_copy(update=quality),
        }
    )


def with_method(params: Params, method: str, keep: float = 0.5) -> Params:
    curation = params.curation.model_copy(update={"method": method, "keep": keep})
    return params.model_copy(update={"curation": curation})


def test_by_default_all_are_kept_and_nothing_is_measured(params: Params, folders: Folders) -> None:
    figures = curate(params, folders)
    assert figures == {"method": "none", "gans": {gan: {"n_before": 24, "n_after": 24} for gan in GANS}}
    whole = load_split(folders.real, folders.fake, GANS, "train")
    training = load_training(folders, GANS)
    pd.testing.assert_frame_equal(training.manifest, whole.manifest)
    # No pixel is copied.
    assert all(isinstance(part.images, np.memmap) for part in training.sets)


@pytest.mark.parametrize("method", ["random", "realism", "hardest"])
def test_half_is_kept_measured_and_learnt_from(params: Params, folders: Folders, method: str) -> None:
    figures = curate(with_method(params, method), folders)["gans"]["dcgan"]
    assert (figures["n_before"], figures["n_after"]) == (24, 12)
    assert (figures["before"]["n_fake"], figures["after"]["n_fake"]) == (24, 12)
    assert figures["before"]["kid"] != figures["after"]["kid"]
    training = load_training(folders, GANS)
    assert np.bincount(training.groups).tolist() == [24, 12, 12]
    for gan, part in zip(GANS, training.sets[1:], strict=True):
        listed = pd.read_csv(folders.curated / f"{gan}.csv")
        assert part.manifest["name"].tolist() == listed["name"].tolist()
        whole = ImageSet.read(folders.fake / gan / "train")
        rows = whole.manifest["name"].isin(listed["name"])
        np.testing.assert_array_equal(part.images, whole.images[rows])
    table = training_rows(collect(folders, GANS), ["wgan"])
    assert (table["gan"] == "dcgan").sum() == 12 + 10  # all of validation
    again = (folders.curated / "dcgan.csv").read_bytes()
    curate(with_method(params, method), folders)
    assert (folders.curated / "dcgan.csv").read_bytes() == again


def test_one_gan_has_no_say_in_anothers_fakes(params: Params, folders: Folders) -> None:
    for method in ("random", "hardest"):
        chosen = with_method(params, method)
        curate(chosen, folders)
        together = (folders.curated / "dcgan.csv").read_bytes()
        curate(chosen.model_copy(update={"gans": {"dcgan": params.gans["dcgan"]}, "held_out": []}), folders)
        assert (folders.curated / "dcgan.csv").read_bytes() == together


def test_an_image_that_comes_twice_is_learnt_from_once(params: Params, folders: Folders) -> None:
    path = folders.fake / "dcgan" / "train"
    fakes = ImageSet.read(path)
    images = pictures(24, 6, 77)  # as unlike each other as the photographs are
    images[10:20] = images[3]
    manifest = fakes.manifest.copy()
    manifest.loc[10:19, "sha256"] = manifest.loc[3, "sha256"]
    ImageSet(images, manifest).write(path)
    alone = params.model_copy(update={"gans": {"dcgan": params.gans["dcgan"]}, "held_out": []})
    figures = curate(with_method(alone, "duplicates"), folders)["gans"]
    assert 4 <= figures["dcgan"]["n_after"] <= 14
    listed = set(pd.read_csv(folders.curated / "dcgan.csv")["name"])
    assert manifest["name"][3] in listed
    assert not listed & set(manifest["name"][10:20])


def test_a_gan_that_only_tests_has_nothing_to_choose_from(params: Params, folders: Folders) -> None:
    path = folders.fake / "wgan" / "train"
    fakes = ImageSet.read(path)
    ImageSet(np.array(fakes.images[:0]), fakes.manifest[:0]).write(path)
    only = params.gans["wgan"].model_copy(update={"test_only": True})
    params = params.model_copy(update={"gans": params.gans | {"wgan": only}})
    for method in ("none", "realism"):
        figures = curate(with_method(params, method), folders)["gans"]["wgan"]
        assert (figures["n_before"], figures["n_after"]) == (0, 0)
        assert pd.read_csv(folders.curated / "wgan.csv").empty
        assert len(load_training(folders, GANS).sets[2]) == 0
    assert figures["undefined"] == "gans.wgan.test_only: it has no training fakes to choose from"


def test_lists_that_are_missing_or_of_other_fakes_are_refused(params: Params, folders: Folders) -> None:
    with pytest.raises(CurationError, match=r"dcgan.csv: no such file; dvc repro curate makes it"):
        load_training(folders, GANS)
    curate(params, folders)
    manifest = ImageSet.read(folders.fake / "dcgan" / "train").manifest
    other = manifest.assign(sha256="0" * 64)
    with pytest.raises(CurationError, match=r"names dcgan/train/000000, which is not among"):
        kept_rows(other, "dcgan", folders.curated)


def test_too_few_fakes_are_an_error_and_older_lists_stay(params: Params, folders: Folders) -> None:
    curate(params, folders)
    before = (folders.curated / "dcgan.csv").read_bytes()
    with pytest.raises(CurationError, match=r"dcgan: curation.method 'random' leaves 2 of 24 training fakes"):
        curate(with_method(params, "random", 0.1), folders)
    assert (folders.curated / "dcgan.csv").read_bytes() == before
