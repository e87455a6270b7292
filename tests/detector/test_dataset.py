"""Joined image sets, and the leaks that they refuse."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from detector.conftest import COUNTS, pictures, write_set
from fakeface.data import collect as collecting
from fakeface.data.collect import DuplicateAcrossSplitsError, collect
from fakeface.data.image_sets import Folders, ImageSet, ImageSetError
from fakeface.detector.batches import LeakError, load_split


def test_rows_labels_and_pixels_agree(image_sets: tuple[Path, Path]) -> None:
    real, fake = image_sets
    data = load_split(real, fake, ["wgan", "dcgan"], "train")
    assert len(data) == 3 * COUNTS["train"]
    assert data.labels.tolist() == [0] * 24 + [1] * 48
    row = 24 + 24 + 5
    assert data.manifest["name"][row] == "dcgan/train/000005"
    expected = ImageSet.read(fake / "dcgan" / "train").images[5]
    np.testing.assert_array_equal(data.images([row, 0])[0], expected)
    assert data.images([]).shape == (0, 64, 64, 3)


@pytest.mark.parametrize(
    ("source", "split", "message"), [("wgan", "train", "made by"), ("dcgan", "test", "belongs to")]
)
def test_a_poisoned_set_is_refused(
    image_sets: tuple[Path, Path], tmp_path: Path, source: str, split: str, message: str
) -> None:
    """Another GAN's image, or a test image, under the name of a training set."""
    real, _ = image_sets
    write_set(tmp_path / "dcgan" / "train", pictures(3, 8, 0), source, split)
    with pytest.raises(LeakError, match=message):
        load_split(real, tmp_path, ["dcgan"], "train")


def test_a_missing_or_damaged_set_is_named(image_sets: tuple[Path, Path], tmp_path: Path) -> None:
    real, fake = image_sets
    with pytest.raises(ImageSetError, match="images.npy is missing"):
        load_split(real, tmp_path, ["dcgan"], "train")
    shutil.copytree(fake / "dcgan", tmp_path / "dcgan")
    content = (tmp_path / "dcgan" / "train" / "images.npy").read_bytes()
    (tmp_path / "dcgan" / "train" / "images.npy").write_bytes(content[: len(content) // 2])
    with pytest.raises(ImageSetError, match="dcgan/train"):
        load_split(real, tmp_path, ["dcgan"], "train")


def test_collect_lists_only_the_gans_of_the_params(image_sets: tuple[Path, Path]) -> None:
    table = collect(Folders(image_sets[0].parent), ["dcgan"])
    assert set(table["gan"]) == {"", "dcgan"}
    assert len(table) == 2 * sum(COUNTS.values())


def test_training_sees_neither_the_test_split_nor_a_held_out_gan(image_sets: tuple[Path, Path]) -> None:
    table = collect(Folders(image_sets[0].parent), ["dcgan", "wgan_gp"])
    training = collecting.training_rows(table, ["wgan_gp"])
    assert set(training["gan"]) == {"", "dcgan"}
    assert set(training["split"]) == {"train", "val"}
    assert set(collecting.test_rows(table)["gan"]) == {"", "dcgan", "wgan_gp"}
    without = collect(Folders(image_sets[0].parent), ["dcgan"])
    assert training.reset_index(drop=True).equals(
        collecting.training_rows(without, []).reset_index(drop=True)
    )


def test_the_same_pixels_in_two_splits_are_refused(image_sets: tuple[Path, Path], tmp_path: Path) -> None:
    real, _ = image_sets
    shutil.copytree(real.parent, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "real" / "test")
    write_set(
        tmp_path / "real" / "test", np.array(ImageSet.read(real / "train").images[:3]), "folder", "test"
    )
    with pytest.raises(DuplicateAcrossSplitsError, match=r"folder/test/\d+ \(test\)"):
        collect(Folders(tmp_path), ["dcgan"])


def test_thinned_sets_are_evenly_spaced(image_sets: tuple[Path, Path]) -> None:
    data = load_split(*image_sets, ["dcgan", "wgan"], "train")
    assert data.thinned(None, None) is data
    assert data.thinned(100, 100) is data
    thin = data.thinned(6, 4)
    assert np.bincount(thin.groups).tolist() == [6, 4, 4]
    np.testing.assert_array_equal(thin.images([0, 1]), data.images([0, 4]))
    np.testing.assert_array_equal(thin.images([6, 7]), data.images([24, 30]))
    assert thin.manifest["name"].tolist()[6:8] == ["dcgan/train/000000", "dcgan/train/000006"]
    assert thin.gans == data.gans
