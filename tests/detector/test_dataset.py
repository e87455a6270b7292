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
from fakeface.detector.batches import LeakError, load_split, random_crops
from fakeface.params import Params, ProtocolParams


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


def test_laundering_depends_on_the_row_not_on_its_company(
    image_sets: tuple[Path, Path], tiny_params: Params
) -> None:
    data = load_split(*image_sets, ["dcgan"], "val")
    chain = tiny_params.protocols.laundered
    together = data.laundered(np.arange(20), [chain], [0, 1])
    alone = data.laundered(np.array([13]), [chain], [0, 1])
    np.testing.assert_array_equal(together[13], alone[0])
    assert (data.laundered(np.array([13]), [chain], [0, 2]) != alone).any()


def test_pseudo_fakes_take_the_place_of_fakes_alone(image_sets: tuple[Path, Path]) -> None:
    data = load_split(*image_sets, ["dcgan"], "train")
    rows = np.arange(0, len(data), 2)
    clean = [ProtocolParams()]
    plain = data.laundered(rows, clean, [0, 1])
    for share, count in ((0.25, 3), (1.0, 12)):
        changed = (data.laundered(rows, clean, [0, 1], pseudo_fakes=share) != plain).any(axis=(1, 2, 3))
        assert changed.sum() == count
        assert data.labels[rows][changed].all()
    again = [data.laundered(rows, clean, [0, key], pseudo_fakes=0.5) for key in (1, 1, 2)]
    np.testing.assert_array_equal(again[0], again[1])
    assert (again[0] != again[2]).any()


def test_crops_are_squares_of_the_images_at_places_that_depend_on_the_key() -> None:
    images = pictures(6, 64, 0)
    crops = random_crops(images, 32, [0, 1])
    assert crops.shape == (6, 32, 32, 3)
    places = []
    for image, crop in zip(images, crops, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(image, (32, 32, 3))[:, :, 0]
        places.append(tuple(np.argwhere((windows == crop).all(axis=(2, 3, 4)))[0]))
    assert len(set(places)) == 6
    np.testing.assert_array_equal(crops, random_crops(images, 32, [0, 1]))
    assert (crops != random_crops(images, 32, [0, 2])).any()
    np.testing.assert_array_equal(random_crops(images, 64, [0, 1]), images)


def test_corruption_comes_to_both_classes_and_depends_on_the_row_alone(image_sets: tuple[Path, Path]) -> None:
    data = load_split(*image_sets, ["dcgan"], "train")
    rows, clean = np.arange(len(data)), [ProtocolParams()]
    plain = data.laundered(rows, clean, [0, 1])
    corrupted = data.laundered(rows, clean, [0, 1], corrupted=0.5)
    changed = (corrupted != plain).any(axis=(1, 2, 3))
    for label in (0, 1):
        assert 0.2 < changed[data.labels == label].mean() < 0.8
    np.testing.assert_array_equal(data.laundered(rows[7:9], clean, [0, 1], corrupted=0.5), corrupted[7:9])


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


def test_mirroring_turns_about_half_of_the_images_and_nothing_else(image_sets: tuple[Path, Path]) -> None:
    data = load_split(*image_sets, ["dcgan", "wgan"], "train")
    rows = np.arange(len(data))
    plain = data.laundered(rows, [ProtocolParams()], [3])
    turned = data.laundered(rows, [ProtocolParams()], [3], mirror=True)
    mirrored = np.array([np.array_equal(a, b[:, ::-1]) for a, b in zip(plain, turned, strict=True)])
    same = np.array([np.array_equal(a, b) for a, b in zip(plain, turned, strict=True)])
    assert (mirrored ^ same).all()
    assert 0.3 < mirrored.mean() < 0.7
    np.testing.assert_array_equal(turned, data.laundered(rows, [ProtocolParams()], [3], mirror=True))
    # The memory maps stay as they are.
    np.testing.assert_array_equal(plain, data.images(rows))


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
