"""Images that are in two splits, exactly or nearly."""

from __future__ import annotations

import hashlib
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from conftest import random_picture
from PIL import Image

from evaluation.leaks.conftest import as_json, saved_as_jpeg
from fakeface.data.image_sets import ImageSet
from fakeface.evaluation.duplicates import (
    COPY,
    close_pairs,
    count_near,
    equal_pixels,
    is_copy,
    luma_correlations,
    near_duplicates,
    perceptual_hashes,
)


def reference_hash(image: np.ndarray) -> bytes:
    """The DCT-II by its definition; the first frequency is the highest bit of the first byte."""
    grey = np.asarray(Image.fromarray(image).convert("L").resize((32, 32), Image.Resampling.BOX), float)
    waves = np.cos(np.pi * np.arange(8)[:, None] * (2 * np.arange(32) + 1) / 64)
    bits = "".join(str(int(bit)) for bit in (waves @ (grey - 127.5) @ waves.T > 0).ravel())
    return bytes(int(bits[start : start + 8], 2) for start in range(0, 64, 8))


def test_hashes_are_signs_of_the_dct(images: np.ndarray) -> None:
    hashes = perceptual_hashes(images)
    assert hashes.dtype == np.uint64
    assert [value.tobytes() for value in hashes[:20]] == [reference_hash(image) for image in images[:20]]
    assert len(set(hashes.tolist())) == len(images)


def with_noise(images: np.ndarray, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(9).normal(0, sigma, images.shape)
    return np.rint(images + noise).clip(0, 255).astype(np.uint8)


def darker(images: np.ndarray) -> np.ndarray:
    return (0.6 * images).astype(np.uint8)


def test_copies_in_another_split_are_found(images: np.ndarray) -> None:
    clean = {"train": images[:300], "val": images[300:340], "test": images[340:400]}
    result = as_json(near_duplicates(clean))
    assert (result["n_pairs"], result["n_copies"], result["pairs"]) == (0, 0, [])
    assert result["n"] == {"train": 300, "val": 40, "test": 60}
    assert result["n_compared"] == 300 * 40 + 300 * 60 + 40 * 60
    assert count_near(clean.values()) == 0

    leaky = dict(clean)
    copies = [with_noise(images[[7, 310]], 3), saved_as_jpeg(images[[250]]), darker(images[[120]])]
    leaky["test"] = np.concatenate([images[340:400], *copies])
    result = as_json(near_duplicates(leaky))
    found = {(*pair["splits"], *pair["rows"]) for pair in result["pairs"]}
    assert found == {
        ("train", "test", 7, 60),
        ("val", "test", 10, 61),
        ("train", "test", 250, 62),
        ("train", "test", 120, 63),
    }
    assert result["n_pairs"] == result["n_copies"] == count_near(leaky.values()) == 4
    assert all(is_copy(pair) and pair["distance"] <= 3 for pair in result["pairs"])
    differences = {pair["rows"][0]: pair["mean_difference"] for pair in result["pairs"]}
    assert differences.pop(120) > 20
    assert all(0 < difference < 5 for difference in differences.values())


def test_copies_within_a_split_are_none_of_its_business(images: np.ndarray) -> None:
    twice = np.concatenate([images[:50], images[:50]])
    assert near_duplicates({"train": twice, "test": images[50:100]})["n_pairs"] == 0


def test_resemblance_is_no_copy(images: np.ndarray) -> None:
    """The same low frequencies, other details; and plain areas, which have neither."""
    low = (images[0] // 2 + 64).astype(np.uint8)
    detail = 10 * (-1) ** np.add.outer(np.arange(64), np.arange(64))[..., None]
    plain = np.stack([np.full((64, 64, 3), value, np.uint8) for value in (0, 40)])
    train = np.concatenate([low[None], plain[:1]])
    test = np.concatenate([(low + detail).astype(np.uint8)[None], plain])
    result = as_json(near_duplicates({"train": train, "test": test}))
    correlation = {tuple(pair["rows"]): pair["correlation"] for pair in result["pairs"]}
    assert 0.6 < correlation[0, 0] < COPY
    assert correlation[1, 1] == 1  # equal pixels
    assert correlation[1, 2] is None
    assert (result["n_pairs"], result["n_copies"]) == (3, 1)
    assert result["pairs"][0]["rows"] == [1, 1]  # copies first


def test_correlations_are_those_of_numpy(images: np.ndarray) -> None:
    a, b = images[:30], with_noise(images[10:40], 20)
    grey = [
        (0.299 * part[..., 0] + 0.587 * part[..., 1] + 0.114 * part[..., 2]).reshape(30, -1)
        for part in (a, b)
    ]
    expected = [np.corrcoef(x, y)[0, 1] for x, y in zip(*grey, strict=True)]
    np.testing.assert_allclose(luma_correlations(a, b), expected, atol=1e-12)
    np.testing.assert_allclose(luma_correlations(a, (a // 2 + 50).astype(np.uint8)), 1, atol=1e-3)


def test_pairs_are_those_of_a_plain_count_of_bits() -> None:
    """Across the chunks in which they are searched, and with more pairs than are listed."""
    small = np.stack([np.asarray(random_picture(seed, 32, 32)) for seed in range(800)])
    parts = {"train": small[:600], "test": small[600:]}
    first, second = (perceptual_hashes(part) for part in parts.values())
    distances = np.array([[(a ^ b).bit_count() for b in second.tolist()] for a in first.tolist()])
    for limit in (12, 20):
        result = as_json(near_duplicates(parts, max_distance=limit))
        assert result["n_pairs"] == (distances <= limit).sum()
        assert len(result["pairs"]) == min(50, result["n_pairs"])
        listed = [pair["distance"] for pair in result["pairs"]]
        assert listed == sorted(distances.ravel())[: len(listed)]
        for pair in result["pairs"]:
            row, other = pair["rows"]
            assert pair["distance"] == distances[row, other]
            difference = np.abs(parts["train"][row].astype(float) - parts["test"][other]).mean()
            assert pair["mean_difference"] == pytest.approx(difference)
    everything = np.concatenate(list(close_pairs(first, second, 64)))
    assert len(everything) == 600 * 200
    np.testing.assert_array_equal(distances[everything[:, 0], everything[:, 1]], everything[:, 2])
    assert near_duplicates({"train": small[:5], "test": small[:0]})["n_pairs"] == 0


def as_set(images: np.ndarray, source: str) -> ImageSet:
    names = [f"{source}/{row}" for row in range(len(images))]
    digests = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
    return ImageSet(images, pd.DataFrame({"name": names, "source": source, "sha256": digests}))


def test_equal_pixels_in_two_splits(images: np.ndarray) -> None:
    """Photographs and fakes alike, whatever the manifest says; within a split they are no leak."""
    sets = {
        "train": {"real": as_set(images[[0, 1, 1]], "a"), "gan": as_set(images[[2, 3]], "b")},
        "test": {"real": as_set(images[[4]], "c"), "gan": as_set(images[[5, 5]], "d")},
    }
    result = as_json(equal_pixels(sets))
    assert result == {"n": {"train": 5, "test": 3}, "n_wrong_sha256": 0, "n_shared": 0, "shared": []}

    sets["test"]["gan"] = as_set(images[[5, 1, 3]], "d")
    sets["test"]["gan"].manifest["sha256"] = "0" * 64
    result = as_json(equal_pixels(sets))
    assert (result["n_wrong_sha256"], result["n_shared"]) == (3, 2)
    assert [found["names"] for found in result["shared"]] == [["a/1", "d/1"], ["b/1", "d/2"]]
    assert all(found["splits"] == ["train", "test"] for found in result["shared"])
    digests = {hashlib.sha256(images[row].tobytes()).hexdigest() for row in (1, 3)}
    assert {found["sha256"] for found in result["shared"]} == digests


def test_no_two_synthetic_photographs_are_near(images: np.ndarray) -> None:
    """Else the tests above would find pairs that nobody planted."""
    hashes = perceptual_hashes(images[:400]).tolist()
    assert min((a ^ b).bit_count() for a, b in combinations(hashes, 2)) > 3
