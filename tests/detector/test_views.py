"""Views depend on the seed, the pixels, their kind and their number, and on nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fakeface.base.hashes import random_stream
from fakeface.detector.batches import DetectorData, load_split
from fakeface.detector.views import ViewKind, Views, every_view, joined, training_kind, view_numbers
from fakeface.params import Params, ProtocolParams

CLEAN = (ProtocolParams(),)


@pytest.fixture
def data(image_sets: tuple[Path, Path]) -> DetectorData:
    return load_split(*image_sets, ["dcgan", "wgan"], "train")


def test_a_view_depends_on_its_image_alone(
    image_sets: tuple[Path, Path], data: DetectorData, tiny_params: Params
) -> None:
    """Not on its company, nor on its row: folds and thinned sets share the views of an image."""
    kind = training_kind(tiny_params)
    together = every_view(data, kind, 0)
    other = load_split(*image_sets, ["wgan"], "train").thinned(12, 6)
    names = other.manifest["name"].tolist()
    assert names != data.manifest["name"].tolist()[: len(names)]
    rows = np.array([data.manifest["name"].tolist().index(name) for name in names])
    alone = every_view(other, kind, 0)
    np.testing.assert_array_equal(alone.pixels, together.pixels[rows])
    assert alone.keys == [together.keys[row] for row in rows]


@pytest.mark.parametrize("changed", ["seed", "number", "name", "pixels", "pseudo"])
def test_what_a_view_depends_on_changes_pixels_and_key(data: DetectorData, changed: str) -> None:
    kind, row = ViewKind("a", CLEAN, corrupted=1.0, crop=32), np.array([3])
    numbers = np.array([1 if changed == "number" else 0])
    plain = every_view(data, kind, 0, row)
    other = Views(
        data,
        np.array([4]) if changed == "pixels" else row,
        numbers,
        ViewKind("b", CLEAN, corrupted=1.0, crop=32) if changed == "name" else kind,
        1 if changed == "seed" else 0,
        np.array([True]) if changed == "pseudo" else None,
    )
    assert (plain.pixels != other.pixels).any()
    assert plain.keys != other.keys


def test_kinds_that_do_other_things_have_other_keys(data: DetectorData, tiny_params: Params) -> None:
    laundered = (tiny_params.protocols.laundered,)
    kinds = [
        ViewKind("a", CLEAN),
        ViewKind("a", laundered),
        ViewKind("a", (laundered[0].model_copy(update={"rescale_min": 0.7}),)),
        ViewKind("a", CLEAN, mirror=True),
        ViewKind("a", CLEAN, corrupted=0.5),
        ViewKind("a", CLEAN, crop=32),
    ]
    assert len({every_view(data, kind, 0).keys[0] for kind in kinds}) == len(kinds)


def test_mirroring_turns_about_half_of_the_views_and_nothing_else(data: DetectorData) -> None:
    plain = every_view(data, ViewKind("a", CLEAN), 3).pixels
    turned = every_view(data, ViewKind("a", CLEAN, mirror=True), 3).pixels
    mirrored = (turned == plain[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (mirrored ^ (turned == plain).all(axis=(1, 2, 3))).all()
    assert 0.3 < mirrored.mean() < 0.7
    # The memory maps stay as they are.
    np.testing.assert_array_equal(plain, data.images(np.arange(len(data))))


def test_corruption_comes_to_both_classes(data: DetectorData) -> None:
    plain = every_view(data, ViewKind("a", CLEAN), 0).pixels
    corrupted = every_view(data, ViewKind("a", CLEAN, corrupted=0.5), 0).pixels
    changed = (corrupted != plain).any(axis=(1, 2, 3))
    for label in (0, 1):
        assert 0.2 < changed[data.labels == label].mean() < 0.8


def test_crops_are_squares_of_the_images_at_many_places(data: DetectorData) -> None:
    rows = np.arange(6)
    places = set()
    crops = every_view(data, ViewKind("a", CLEAN, crop=32), 0, rows).pixels
    for image, crop in zip(data.images(rows), crops, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(image, (32, 32, 3))[:, :, 0]
        places.add(tuple(np.argwhere((windows == crop).all(axis=(2, 3, 4)))[0]))
    assert len(places) == 6
    whole = every_view(data, ViewKind("a", CLEAN, crop=64), 0, rows).pixels
    np.testing.assert_array_equal(whole, data.images(rows))


def test_joined_views_are_those_of_their_parts(data: DetectorData) -> None:
    kind = ViewKind("a", CLEAN, corrupted=0.5)
    parts = [every_view(data, kind, 0, np.array(rows)) for rows in ([5, 3], [70])]
    whole = joined(parts)
    np.testing.assert_array_equal(whole.pixels, np.concatenate([part.pixels for part in parts]))
    assert whole.keys == parts[0].keys + parts[1].keys


def test_numbers_come_round_and_begin_elsewhere_for_another_seed() -> None:
    laps, views = np.arange(6), np.full(6, 3)
    walks = [view_numbers(laps, seed, views).tolist() for seed in range(3)]
    assert all(sorted(walk) == [0, 0, 1, 1, 2, 2] for walk in walks)
    assert len({tuple(walk) for walk in walks}) == 3
    fresh = {number for seed in range(3) for number in view_numbers(laps, seed, None).tolist()}
    assert len(fresh) == 18


def test_streams_of_other_keys_are_others() -> None:
    """NumPy takes [1, 2] and [1, 2, 0] for one seed."""
    keys: list[tuple[str | int, ...]] = [("a", 1), ("a", 1, 0), ("b", 1), ("a", "1"), ("a1",)]
    assert len({random_stream(*key).random() for key in keys}) == len(keys)
    assert random_stream("a", np.int64(1)).random() == random_stream("a", 1).random()
