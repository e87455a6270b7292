"""Random corruption of training images."""

from __future__ import annotations

import numpy as np
from conftest import random_picture

from fakeface.data.augmentation import _TURNS, CORRUPTIONS, RANGES, random_corruption


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_every_family_is_drawn_and_changes_the_picture() -> None:
    image = np.asarray(random_picture(1, 64, 64))
    before = image.copy()
    made = [random_corruption(image, rng(seed)) for seed in range(60)]
    for picture in made:
        assert picture.shape == image.shape
        assert picture.dtype == np.uint8
        assert (picture != image).any()
    np.testing.assert_array_equal(image, before)
    assert len({picture.tobytes() for picture in made}) > 50  # rescaling knows only whole pixels
    np.testing.assert_array_equal(made[3], random_corruption(image, rng(3)))


def test_the_families_are_those_of_the_perturbations_but_jpeg_webp_and_crop() -> None:
    assert {family for ways in _TURNS for family in ways} == set(RANGES)
    assert set(CORRUPTIONS) - set(RANGES) == {"jpeg", "webp", "crop"}
