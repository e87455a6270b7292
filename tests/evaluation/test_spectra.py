"""Spectra against plain sums, and a planted pattern that must show at its frequency."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from fakeface.data.image_sets import ImageSet
from fakeface.detector.batches import DetectorData
from fakeface.evaluation.spectra import (
    FLOOR,
    azimuthal_mean,
    distance,
    log_spectrum,
    mean_residual,
    residual_spectra,
    write_residual_spectra,
)
from fakeface.params import Params

SIDE = 32


def data_of(*sets: np.ndarray) -> DetectorData:
    """Photographs, then the fakes of ``g1``, ``g2``, ..."""
    manifest = pd.DataFrame({"name": np.arange(sum(map(len, sets))).astype(str)})
    parts = tuple(ImageSet(images, manifest.iloc[: len(images)]) for images in sets)
    groups = np.repeat(np.arange(len(sets)), [len(images) for images in sets])
    return DetectorData(parts, groups, manifest, tuple(f"g{i}" for i in range(1, len(sets))))


def noise(seed: int, count: int, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(seed).normal(128, 12, (count, side, side, 3))


def pixels(values: np.ndarray) -> np.ndarray:
    return values.round().clip(0, 255).astype(np.uint8)


def waves(down: int, across: int) -> np.ndarray:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return np.cos(2 * np.pi * (down * rows + across * columns) / SIDE)[:, :, None]


def test_the_mean_residual_against_one_residual_an_image() -> None:
    images = pixels(noise(0, 5, 9))
    weights = np.full((1, 3, 3, 1), -1 / 9)
    weights[0, 1, 1, 0] += 1
    each = ndimage.convolve(images.astype(np.float64), weights, mode="mirror")
    np.testing.assert_allclose(mean_residual(images), each.mean(axis=0), atol=1e-10)


def test_the_spectrum_against_a_plain_transform() -> None:
    residual = np.random.default_rng(0).normal(size=(6, 6, 3))
    steps = np.arange(6)
    kernel = np.exp(-2j * np.pi * np.outer(steps - 3, steps) / 6) / np.sqrt(6)
    power = np.abs(np.einsum("ua,vb,abc->uvc", kernel, kernel, residual)) ** 2
    np.testing.assert_allclose(log_spectrum(residual), 0.5 * np.log10(power.mean(axis=2) + FLOOR**2))
    np.testing.assert_allclose(log_spectrum(np.zeros((6, 6, 3))), np.log10(FLOOR))


def test_a_ring_of_patterns_peaks_at_its_radius() -> None:
    rng = np.random.default_rng(0)
    angles = [(9, 0), (0, 9), (6, 7), (7, 6), (6, -7), (7, -6), (9, 2), (9, -2), (2, 9), (2, -9)]
    ring = sum(waves(down, across) for down, across in angles)
    curve = azimuthal_mean(log_spectrum(rng.normal(0, 0.05, (SIDE, SIDE, 3)) + ring))
    assert curve.argmax() == 9 - 1


@pytest.mark.parametrize("side", [8, 32])
def test_the_azimuthal_mean_against_a_loop(side: int) -> None:
    spectrum = np.random.default_rng(0).normal(size=(side, side))
    rings: dict[int, list[float]] = {}
    for row in range(side):
        for column in range(side):
            radius = round(float(np.hypot(row - side // 2, column - side // 2)))
            rings.setdefault(radius, []).append(float(spectrum[row, column]))
    expected = [np.mean(rings[radius]) for radius in range(1, side // 2 + 1)]
    np.testing.assert_allclose(azimuthal_mean(spectrum), expected)


def test_the_distance_ignores_frequency_0() -> None:
    first = np.random.default_rng(0).normal(size=(8, 8))
    second = first + 0.5
    second[4, 4] = 99
    assert distance(first, second) == pytest.approx(0.5)
    assert distance(first, first) == 0


@pytest.mark.parametrize(("down", "across"), [(8, 0), (0, 16), (8, 8), (5, 11), (12, 3)])
def test_a_planted_pattern_peaks_at_its_frequency(tiny_params: Params, down: int, across: int) -> None:
    """Two grey levels in each image, under noise of twelve."""
    photographs, clean = pixels(noise(0, 80)), pixels(noise(1, 40))
    planted = pixels(noise(2, 40) + 2 * waves(down, across))
    spectra = residual_spectra(tiny_params, data_of(photographs, clean, planted), ["clean"])
    assert spectra.n_images == 40
    by_source = spectra.by_protocol["clean"]
    excess = by_source["g2"] - by_source["real"]
    peak = np.unravel_index(excess.argmax(), excess.shape)
    middle = SIDE // 2
    allowed = {(sign * down % SIDE, sign * across % SIDE) for sign in (1, -1)}
    assert ((peak[0] - middle) % SIDE, (peak[1] - middle) % SIDE) in allowed
    assert excess.max() > 0.5


def test_a_fingerprint_that_all_images_share_moves_the_spectrum_away(tiny_params: Params) -> None:
    """A fixed pattern of three grey levels under noise of twelve: no eye sees it in one image."""
    fingerprint = np.random.default_rng(9).normal(0, 3, (SIDE, SIDE, 3))
    photographs, clean, marked = (
        pixels(noise(0, 80)),
        pixels(noise(1, 40)),
        pixels(noise(2, 40) + fingerprint),
    )
    spectra = residual_spectra(tiny_params, data_of(photographs, clean, marked), ["clean"])
    distances = spectra.distances()["clean"]
    assert list(distances) == ["real", "g1", "g2"]
    assert distances["g1"] == pytest.approx(distances["real"], abs=0.05)
    assert distances["g2"] > distances["real"] + 0.1


def test_every_mean_is_over_equally_many_and_photographs_are_never_in_both_sets(tiny_params: Params) -> None:
    photographs, fakes = pixels(noise(0, 31)), pixels(noise(1, 90))
    spectra = residual_spectra(tiny_params, data_of(photographs, fakes), ["clean"])
    assert spectra.n_images == 15
    first, second = photographs[::2][np.arange(15) * 16 // 15], photographs[1::2]
    by_source = spectra.by_protocol["clean"]
    np.testing.assert_array_equal(by_source["real"], log_spectrum(mean_residual(first)))
    np.testing.assert_array_equal(by_source["other real"], log_spectrum(mean_residual(second)))


def test_laundering_dims_the_finest_pattern(tiny_params: Params) -> None:
    checks = pixels(noise(2, 40) + 10 * waves(16, 16))
    spectra = residual_spectra(tiny_params, data_of(pixels(noise(0, 80)), checks), ["clean", "laundered"])
    corner = {name: by_source["g1"][0, 0] for name, by_source in spectra.by_protocol.items()}
    assert corner["laundered"] < corner["clean"] - 0.1


def test_rows_and_picture(tiny_params: Params, tmp_path: Path) -> None:
    data = data_of(pixels(noise(0, 8)), pixels(noise(1, 4)), pixels(noise(2, 4)))
    spectra = residual_spectra(tiny_params, data, ["clean", "laundered"])
    rows = json.loads(json.dumps(spectra.rows(["g2"])))
    assert list(dict.fromkeys(row["curve"] for row in rows)) == [
        "photographs", "other photographs", "g1 (seen)", "g2 (unseen)",
    ]  # fmt: skip
    ours = [row for row in rows if row["curve"] == "g2 (unseen)"]
    np.testing.assert_allclose([row["frequency"] for row in ours], np.arange(1, 17) / 32)
    for protocol in ("clean", "laundered"):
        expected = azimuthal_mean(spectra.by_protocol[protocol]["g2"])
        np.testing.assert_allclose([row[protocol] for row in ours], expected, atol=1e-5)
    for name in ("a.png", "b.png"):
        write_residual_spectra(tmp_path / name, spectra, ["g1", "g2"], ["g2"])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
