"""The two spectra against independent formulas, and how they respond to known changes of an image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakeface.evaluation.baselines import DCT_FLOOR, log_dct, radial_spectrum
from fakeface.evaluation.baselines import SPECTRUM_FLOOR as POWER_FLOOR

SIDE = 32


def noise(seed: int, count: int = 3, low: int = 60, high: int = 190) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, (count, SIDE, SIDE, 3), dtype=np.uint8)


def cosine_matrix(side: int) -> np.ndarray:
    """Row k is the k-th orthonormal DCT-II basis vector."""
    position, k = np.arange(side) + 0.5, np.arange(side)[:, None]
    basis = np.cos(np.pi * k * position / side) * np.sqrt(2 / side)
    basis[0] /= np.sqrt(2)
    return basis


def test_dct_is_the_matrix_product() -> None:
    images, basis = noise(0), cosine_matrix(SIDE)
    expected = np.empty((3, SIDE, SIDE, 3))
    for image, coefficients in zip(images.astype(np.float64), expected, strict=True):
        for channel in range(3):
            coefficients[..., channel] = basis @ image[..., channel] @ basis.T
    features = log_dct(images)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, np.log(np.abs(expected) + DCT_FLOOR).reshape(3, -1), atol=1e-5)


@given(st.integers(-60, 60), st.integers(0, 1000))
def test_brightness_changes_nothing_but_the_dc_term(offset: int, seed: int) -> None:
    images = noise(seed, count=1)
    before = log_dct(images).reshape(SIDE * SIDE, 3)
    after = log_dct((images.astype(np.int64) + offset).astype(np.uint8)).reshape(SIDE * SIDE, 3)
    np.testing.assert_allclose(after[1:], before[1:], atol=1e-4)
    dc = np.exp(before[0].astype(np.float64)) + SIDE * offset
    np.testing.assert_allclose(np.exp(after[0].astype(np.float64)), dc, rtol=1e-4)


def test_dct_of_symmetries() -> None:
    """A mirrored image changes signs alone, a transposed one swaps the frequencies."""
    images = noise(1)
    features = log_dct(images)
    np.testing.assert_allclose(log_dct(images[:, ::-1]), features, atol=1e-4)
    np.testing.assert_allclose(log_dct(images[:, :, ::-1]), features, atol=1e-4)
    swapped = features.reshape(3, SIDE, SIDE, 3).swapaxes(1, 2).reshape(3, -1)
    np.testing.assert_allclose(log_dct(images.swapaxes(1, 2)), swapped, atol=1e-4)


def test_a_flat_image_has_a_dc_term_alone() -> None:
    features = log_dct(np.full((1, SIDE, SIDE, 3), 200, dtype=np.uint8)).reshape(SIDE * SIDE, 3)
    np.testing.assert_allclose(features[0], np.log(200 * SIDE + DCT_FLOOR), rtol=1e-6)
    np.testing.assert_allclose(features[1:], np.log(DCT_FLOOR), rtol=1e-6)


def test_radial_spectrum_is_the_ring_by_ring_mean() -> None:
    images = noise(2)
    luminance = 0.299 * images[..., 0] + 0.587 * images[..., 1] + 0.114 * images[..., 2]
    rings: dict[int, list[np.ndarray]] = {}
    wave = np.exp(-2j * np.pi * np.outer(np.arange(SIDE), np.arange(SIDE)) / SIDE)
    power = np.abs(wave @ luminance @ wave / SIDE) ** 2
    for row in range(SIDE):
        for column in range(SIDE):
            distance = np.hypot(min(row, SIDE - row), min(column, SIDE - column))
            rings.setdefault(round(distance), []).append(np.log(power[:, row, column] + POWER_FLOOR))
    expected = np.stack([np.mean(rings[radius], axis=0) for radius in range(24)], axis=1)
    assert len(rings) == 24
    np.testing.assert_allclose(radial_spectrum(images), expected, atol=1e-4)


@pytest.mark.parametrize(("across", "down"), [(4, 0), (0, 9), (6, 8), (12, 5), (16, 16)])
def test_a_sinusoid_raises_the_ring_of_its_radius(across: int, down: int) -> None:
    y, x = np.mgrid[:SIDE, :SIDE]
    wave = 40 * np.cos(2 * np.pi * (across * x + down * y) / SIDE)
    grain = np.repeat(noise(4)[..., :1], 3, axis=3)
    images = (grain + np.rint(wave)[..., None]).astype(np.uint8)
    radius = round(np.hypot(across, down))
    change = radial_spectrum(images) - radial_spectrum(grain)
    assert (change.argmax(axis=1) == radius).all()
    # Pixels are integers, so a little of the wave is noise everywhere.
    assert np.abs(np.delete(change, radius, axis=1)).max() < 0.2 * change[:, radius].min()


@settings(max_examples=30)
@given(st.integers(0, SIDE - 1), st.integers(0, SIDE - 1), st.integers(0, 1000))
def test_circular_shifts_quarter_turns_and_mirrors_change_nothing(down: int, across: int, seed: int) -> None:
    images = noise(seed)
    spectrum = radial_spectrum(images)
    changed = (np.roll(images, (down, across), axis=(1, 2)), np.rot90(images, axes=(1, 2)), images[:, ::-1])
    for other in changed:
        np.testing.assert_allclose(radial_spectrum(other), spectrum, atol=1e-4)


def test_doubled_contrast_adds_the_same_at_each_radius() -> None:
    images = noise(3, low=0, high=128)
    step = radial_spectrum(2 * images) - radial_spectrum(images)
    # Not exactly log 4: the floor in the logarithm weighs a little more in the darker image.
    np.testing.assert_allclose(step, np.log(4), atol=1e-3)
