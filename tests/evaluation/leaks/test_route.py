"""Photographs on the way of the fakes: the way leaves no trace, and traces are found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from bundles import celeba_photographs, face_model
from conftest import encode, random_picture
from PIL import Image

from evaluation.leaks.conftest import PROTOCOLS, as_json, saved_as_jpeg
from fakeface.data.archives import open_archive
from fakeface.data.faces import FaceFinder
from fakeface.data.preprocess import decode, preprocess
from fakeface.data.workers import Prepared, prepare_one
from fakeface.evaluation.leaks import fakes_route, native_squares, pixel_change, route_probe
from fakeface.gans import generate


def small_route(photographs: np.ndarray) -> np.ndarray:
    """The way of the fakes for photographs that are small already."""
    return fakes_route([photographs], len(photographs), photographs.shape[1])


def test_the_fakes_route_changes_no_pixel() -> None:
    every_value = np.arange(256, dtype=np.uint8).repeat(48).reshape(1, 64, 64, 3)
    rng = np.random.default_rng(0)
    photographs = np.concatenate([every_value, rng.integers(0, 256, (60, 64, 64, 3), dtype=np.uint8)])
    photographs.flags.writeable = False  # as a memory map is
    routed = small_route(photographs)
    assert routed.dtype == np.uint8
    np.testing.assert_array_equal(routed, photographs)


def test_the_fakes_route_is_that_of_the_sampler_and_of_generate(
    images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect there must reach the probe."""
    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "round", lambda pixels: pixels)
        assert (small_route(images[:60]) != images[:60]).mean() > 0.01
    with monkeypatch.context() as patch:
        patch.setattr(generate, "preprocess", lambda image, size: 255 - preprocess(image, size))
        np.testing.assert_array_equal(small_route(images[:60]), 255 - images[:60])


def test_photographs_as_a_generator_would_return_them(tmp_path: Path) -> None:
    """Of several sizes, in order, cropped and not scaled; the way then scales them like any photograph."""
    sizes = [(70, 70)] * 60 + [(90, 120), (120, 90), (64, 64), (70, 70)]
    pictures = [random_picture(row, *size) for row, size in enumerate(sizes)]
    for row, picture in enumerate(pictures):
        (tmp_path / f"{row:03d}.png").write_bytes(encode(picture, "PNG"))
    with open_archive(tmp_path) as archive:
        batches = list(native_squares(archive, archive.names, 64))
        routed = fakes_route(native_squares(archive, archive.names, 64), len(sizes), 64)
    assert [batch.shape for batch in batches] == [
        (50, 70, 70, 3), (10, 70, 70, 3), (2, 90, 90, 3), (1, 64, 64, 3), (1, 70, 70, 3),
    ]  # fmt: skip
    np.testing.assert_array_equal(batches[2][0], np.asarray(pictures[60])[15:105])
    np.testing.assert_array_equal(batches[2][1], np.asarray(pictures[61])[:, 15:105])
    squares = [square for batch in batches for square in batch]
    expected = [preprocess(Image.fromarray(square), 64) for square in squares]
    np.testing.assert_array_equal(routed, expected)


def test_the_fakes_route_leaves_no_trace(images: np.ndarray) -> None:
    photographs = images[:400]
    before = photographs.copy()
    result = as_json(route_probe(photographs, small_route(photographs), PROTOCOLS, halvings=4))
    assert (result["n_real"], result["n_routed"]) == (200, 200)
    assert result["changed_pixels"] == result["largest_change"] == 0
    for name in PROTOCOLS:
        block = result[name]
        assert block["auroc"] == pytest.approx(0.5, abs=0.05)
        assert block["auroc"] == pytest.approx(np.mean(block["aurocs"]))
        assert block["standard_error"] == pytest.approx(np.std(block["aurocs"], ddof=1) / 2)
    np.testing.assert_array_equal(photographs, before)


def cut_off(photographs: np.ndarray) -> np.ndarray:
    """[-1, 1] floats back to bytes without rounding: some values come back one too low."""
    x = photographs.astype(np.float32) / np.float32(127.5) - 1
    return ((x + 1) * 127.5).astype(np.uint8)


def one_up(photographs: np.ndarray) -> np.ndarray:
    return np.minimum(photographs.astype(int) + 1, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("route", "changed", "largest", "clean", "laundered"),
    [
        (cut_off, (0.05, 0.5), 1, 0.95, (0.4, 0.6)),
        (one_up, (0.9, 1), 1, 0.75, (0.4, 0.6)),
        (saved_as_jpeg, (0.5, 1), None, 0.99, (0.56, 1)),
    ],
)
def test_a_route_that_leaves_a_trace(
    images: np.ndarray,
    route: Callable[[np.ndarray], np.ndarray],
    changed: tuple[float, float],
    largest: int | None,
    clean: float,
    laundered: tuple[float, float],
) -> None:
    """Laundering hides wrong rounding and not a JPEG; without laundering each one shows."""
    photographs = images[:400]
    result = as_json(route_probe(photographs, route(photographs), PROTOCOLS, halvings=2))
    assert changed[0] < result["changed_pixels"] <= changed[1]
    assert largest is None or result["largest_change"] == largest
    assert result["clean"]["auroc"] > clean
    assert laundered[0] < result["laundered"]["auroc"] < laundered[1]


def test_routes_of_too_few_photographs(images: np.ndarray) -> None:
    few = as_json(route_probe(images[:9], images[:9], PROTOCOLS))
    assert few["changed_pixels"] == 0
    for name in PROTOCOLS:
        assert few[name]["auroc"] is few[name]["standard_error"] is few[name]["aurocs"] is None
        assert few[name]["undefined"]["auroc"] == "5 folds need 5 images of each class, got 5 and 4"
    none = as_json(route_probe(images[:0], images[:0], PROTOCOLS))
    assert none["changed_pixels"] is none["clean"]["auroc"] is None
    assert none["undefined"]["changed_pixels"] == "no photographs"
    with pytest.raises(ValueError, match="at least 2 labellings are needed for a standard error, got 1"):
        route_probe(images, images, PROTOCOLS, halvings=1)


def test_change_is_counted_in_values(images: np.ndarray) -> None:
    other = images[:2].copy()
    other[0, 0, 0] = 255 - other[0, 0, 0]
    largest = int(np.abs(255 - 2 * images[0, 0, 0].astype(int)).max())
    assert pixel_change(images[:2], other) == {
        "changed_pixels": 3 / (2 * 64 * 64 * 3),
        "largest_change": largest,
    }


def test_aligned_photographs_go_the_way_of_the_fakes_unchanged(tmp_path: Path) -> None:
    """What `data.align` prepares is compared with the same faces, aligned in the same way."""
    names = []
    for number, content in enumerate(celeba_photographs(range(1, 7))):
        scene = Image.new("RGB", (500, 400), "grey")
        scene.paste(decode(content).rotate(8, Image.Resampling.BICUBIC), (120, 60))
        scene.save(tmp_path / f"{number}.png")
        names.append(f"{number}.png")
    finder = FaceFinder(face_model(), threads=1)
    with open_archive(tmp_path) as archive:
        prepared = [prepare_one(name, archive.read(name), 64, finder) for name in names]
        routed = fakes_route(native_squares(archive, names, 64, finder), len(names), 64)
        unaligned = fakes_route(native_squares(archive, names, 64), len(names), 64)
    pixels = np.stack([one.pixels for one in prepared if isinstance(one, Prepared)])
    np.testing.assert_array_equal(routed, pixels)
    assert (unaligned != pixels).mean() > 0.5
