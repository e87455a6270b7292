"""Photographs with an upsampler's traces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from conftest import random_picture

from fakeface.data.augmentation.pseudo_fakes import UPSAMPLERS, pseudo_fake

Upsampler = Callable[[torch.Tensor, int, np.random.Generator], torch.Tensor]


def photograph(seed: int) -> np.ndarray:
    return np.asarray(random_picture(seed).crop((0, 0, 64, 64)))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_it_is_a_new_picture_of_the_same_thing() -> None:
    image = photograph(1)
    before = image.copy()
    for seed in range(20):
        made = pseudo_fake(image, rng(seed))
        assert made.shape == image.shape
        assert made.dtype == np.uint8
        difference = made.astype(float) - image
        assert 0.5 < np.abs(difference).mean() < 25
        assert np.abs(difference.mean(axis=(0, 1))).max() < 12
    np.testing.assert_array_equal(image, before)


def test_a_seed_is_a_pseudo_fake() -> None:
    np.testing.assert_array_equal(pseudo_fake(photograph(1), rng(3)), pseudo_fake(photograph(1), rng(3)))
    assert (pseudo_fake(photograph(1), rng(3)) != pseudo_fake(photograph(1), rng(4))).any()


@pytest.mark.parametrize("upsample", UPSAMPLERS)
@pytest.mark.parametrize("factor", [2, 4])
def test_upsamplers_restore_the_side_and_about_the_pixels(upsample: Upsampler, factor: int) -> None:
    coarse = torch.full((1, 3, 8, 12), 100.0)
    errors = []
    for seed in range(30):
        up = upsample(coarse, factor, rng(seed))
        assert up.shape == (1, 3, 8 * factor, 12 * factor)
        errors.append(float((up.mean() - 100).abs()))
    assert np.mean(errors) < 8


@pytest.mark.parametrize("factor", [2, 4])
def test_without_its_disturbance_the_transposed_kernel_is_bilinear_interpolation(factor: int) -> None:
    """A generator of draws that are all zero leaves the kernel as it is."""

    class Zero(np.random.Generator):
        def __init__(self) -> None:
            super().__init__(np.random.PCG64())

        def uniform(self, *_: Any, **__: Any) -> Any:
            return 0.0

        def standard_normal(self, *shape: Any, **_: Any) -> Any:
            return np.zeros(*shape)

    coarse = torch.rand(1, 3, 9, 7, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.interpolate(coarse, scale_factor=factor, mode="bilinear")
    made = UPSAMPLERS[0](coarse, factor, Zero())
    torch.testing.assert_close(made, expected)


def test_they_have_the_grid_of_an_upsampler() -> None:
    """Frequencies of 1/2 and 1/4 cycle a pixel stand out, unlike in photographs."""

    def peak(images: np.ndarray) -> float:
        residual = images.astype(float).mean(axis=-1)
        spectrum = np.abs(np.fft.fft2(residual - residual.mean(axis=(1, 2), keepdims=True))).mean(axis=0)
        grid, beside = [(32, 0), (0, 32), (32, 32)], [(29, 3), (3, 29), (29, 29)]
        return float(np.mean([spectrum[at] for at in grid]) / np.mean([spectrum[at] for at in beside]))

    photographs = np.stack([photograph(seed) for seed in range(60)])
    made = np.stack([pseudo_fake(image, rng(seed)) for seed, image in enumerate(photographs)])
    assert peak(made) > 1.5 * peak(photographs)
