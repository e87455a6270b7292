"""Images that are the same or look the same, and people, on both sides of a split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, combinations
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from scipy.fft import dctn

from fakeface.data.image_sets import ImageSet, pixels_sha256
from fakeface.data.preprocess import LUMA

# In bits. Hashes of different photographs differ by more in all but 4 of 50 million pairs (CelebA 1 to
# 10,000 at 64 pixels); noise of sigma 10, JPEG at quality 30, a brightness of 0.6 and half the resolution
# stay within it for 99 of 100 photographs.
NEAR = 3
# Correlation of luma from which on a near pair is a copy. Of the 11 near pairs among the same photographs
# six are one photograph encoded twice (0.985 and more), one is such a pair shifted (0.925), and four show
# different people (0.874 and less); the alterations named above leave 0.957 and more in 99 of 100. The mean
# difference of pixels would not do: it is 44 after a brightness of 0.6, 29 to 43 between different people.
COPY = 0.95
# Most findings that a metrics file lists; their number is always that of all.
LISTED = 50

_CHUNK = 256
_GREY_SIDE, _HASH_SIDE = 32, 8


def perceptual_hashes(images: np.ndarray) -> np.ndarray:
    """Hashes that survive noise, coding and rescaling, but not a shift: uint64 (N,).

    A bit each for the signs of the 8 x 8 lowest frequencies of the 32 x 32 grey picture around mid-grey, an
    image hash as in Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010,
    with zero as the threshold. Images are uint8 (N, H, W, 3).
    """
    hashes = np.empty(len(images), dtype=np.uint64)
    for start in range(0, len(images), _CHUNK):
        grey = np.stack([_small_grey(image) for image in images[start : start + _CHUNK]])
        spectrum = dctn(grey - 127.5, axes=(1, 2), norm="ortho")
        bits = spectrum[:, :_HASH_SIDE, :_HASH_SIDE].reshape(len(grey), -1) > 0
        hashes[start : start + _CHUNK] = np.packbits(bits, axis=1).view(np.uint64)[:, 0]
    return hashes


def _small_grey(image: np.ndarray) -> np.ndarray:
    picture = Image.fromarray(image).convert("L")
    return np.asarray(picture.resize((_GREY_SIDE, _GREY_SIDE), Image.Resampling.BOX), dtype=np.float64)


def close_pairs(a: np.ndarray, b: np.ndarray, limit: int) -> Iterator[np.ndarray]:
    """Pairs of hashes that differ in at most ``limit`` bits, of uint64 (N,) and (M,).

    Yields int64 (K, 3), some rows of ``a`` at a time: row in ``a``, row in ``b``, distance.
    """
    # Of vectors of 64 signs, the dot product is 64 - 2 x the number that differ: exact in float32, and a
    # matrix product is ten times as fast as a table of bit counts (NumPy counts bits from version 2 on only).
    a_signs, b_signs = (
        np.unpackbits(hashes.view(np.uint8)).reshape(-1, 64).astype(np.float32) * 2 - 1 for hashes in (a, b)
    )
    for start in range(0, len(a), _CHUNK):
        distances = ((64 - a_signs[start : start + _CHUNK] @ b_signs.T) / 2).astype(np.int8)
        rows, columns = np.nonzero(distances <= limit)
        yield np.column_stack([rows + start, columns, distances[rows, columns]])


def luma_correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson correlation of the luma of images, uint8 (N, H, W, 3), blind to brightness and contrast.

    float64 (N,). Equal images have 1, whatever they show; NaN if one of two different images is plain.
    """
    x, y = ((images @ LUMA).reshape(len(images), -1) for images in (a, b))
    x, y = (values - values.mean(axis=1, keepdims=True) for values in (x, y))
    scale = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    plain = scale < 1e-6
    result = np.where(plain, np.nan, (x * y).sum(axis=1) / np.where(plain, 1, scale))
    result[(a == b).reshape(len(a), -1).all(axis=1)] = 1
    return result


def near_duplicates(images_by_split: Mapping[str, np.ndarray], *, max_distance: int = NEAR) -> dict[str, Any]:
    """Pairs of images in different splits, uint8 (N, S, S, 3), that look the same.

    Images without features, such as plain areas, are all alike to the hash, which differs in at most
    ``max_distance`` of 64 bits. The correlation of a pair's luma tells copies from resemblances.

    Returns:
        ``n`` images by split, ``n_compared`` pairs, ``max_distance``, ``copy_correlation``, ``n_pairs``
        found, ``n_copies`` among them, and ``pairs``: ``LISTED`` of them, copies first, then the closest, as
        ``{splits, rows, distance, correlation, mean_difference}``; a correlation of plain images is None.
    """
    hashes = {split: perceptual_hashes(images) for split, images in images_by_split.items()}
    pairs: list[dict[str, Any]] = []
    n_pairs = n_copies = n_compared = 0
    for first, second in combinations(hashes, 2):
        n_compared += len(hashes[first]) * len(hashes[second])
        for found in close_pairs(hashes[first], hashes[second], max_distance):
            n_pairs += len(found)
            for start in range(0, len(found), _CHUNK):
                part = _compared((first, second), images_by_split, found[start : start + _CHUNK])
                n_copies += sum(map(is_copy, part))
                pairs = sorted(pairs + part, key=lambda pair: (not is_copy(pair), pair["distance"]))[:LISTED]
    return {
        "n": {split: len(part) for split, part in hashes.items()},
        "n_compared": n_compared,
        "max_distance": max_distance,
        "copy_correlation": COPY,
        "n_pairs": n_pairs,
        "n_copies": n_copies,
        "pairs": pairs,
    }


def _compared(
    splits: tuple[str, str], images_by_split: Mapping[str, np.ndarray], found: np.ndarray
) -> list[dict[str, Any]]:
    """Near pairs, int64 (K, 3) as of :func:`close_pairs`, with what their pixels say."""
    a, b = (images_by_split[split][found[:, side]] for side, split in enumerate(splits))
    differences = np.abs(a.astype(np.int16) - b).mean(axis=(1, 2, 3))
    return [
        {
            "splits": list(splits),
            "rows": [row, other],
            "distance": distance,
            "correlation": None if np.isnan(correlation) else float(correlation),
            "mean_difference": float(difference),
        }
        for (row, other, distance), correlation, difference in zip(
            found.tolist(), luma_correlations(a, b), differences, strict=True
        )
    ]


def is_copy(pair: Mapping[str, Any]) -> bool:
    """Is this one of the ``pairs`` of :func:`near_duplicates` one image twice?"""
    return pair["correlation"] is not None and pair["correlation"] >= COPY


def count_near(splits: Iterable[np.ndarray]) -> int:
    """The number of pairs that :func:`near_duplicates` finds, without a look at the pixels."""
    hashes = [perceptual_hashes(images) for images in splits]
    return sum(len(found) for a, b in combinations(hashes, 2) for found in close_pairs(a, b, NEAR))


def equal_pixels(sets: Mapping[str, Mapping[str, ImageSet]]) -> dict[str, Any]:
    """Images whose pixels are those of an image of another split, photographs and fakes alike.

    The checksums are computed anew, so a wrong manifest hides nothing. Sets are by split, then by source.

    Returns:
        ``n`` images by split, ``n_wrong_sha256`` of which the manifest has another checksum than the pixels;
        ``n_shared`` checksums that are in more than one split, and ``shared``: the first ``LISTED`` of them
        as ``{sha256, names, splits}``.
    """
    places: dict[str, dict[str, str]] = {}
    n_wrong = 0
    for split, by_source in sets.items():
        for part in by_source.values():
            digests = [pixels_sha256(image) for image in part.images]
            n_wrong += sum(
                digest != noted for digest, noted in zip(digests, part.manifest["sha256"], strict=True)
            )
            for digest, name in zip(digests, part.manifest["name"].astype(str), strict=True):
                places.setdefault(digest, {}).setdefault(split, name)
    shared = [(digest, found) for digest, found in places.items() if len(found) > 1]
    return {
        "n": {split: sum(map(len, by_source.values())) for split, by_source in sets.items()},
        "n_wrong_sha256": n_wrong,
        "n_shared": len(shared),
        "shared": [
            {"sha256": digest, "names": list(found.values()), "splits": list(found)}
            for digest, found in shared[:LISTED]
        ],
    }


def identities_across_splits(manifests: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """People who are in more than one split; the column ``identity`` may be absent or empty.

    Returns:
        ``n`` images and ``n_identified`` of them by split; ``n_shared``: for each pair of splits, such as
        ``train/test``, the number of identities in both, None with the reason in ``undefined`` if one of
        them knows none; ``shared``: the first ``LISTED`` as ``{identity, splits}``.
    """
    known = {split: _identities(manifest) for split, manifest in manifests.items()}
    counts: dict[str, int | None] = {}
    undefined: dict[str, str] = {}
    for first, second in combinations(known, 2):
        unknown = [split for split in (first, second) if known[split].empty]
        pair = f"{first}/{second}"
        counts[pair] = None if unknown else len(set(known[first]) & set(known[second]))
        if unknown:
            undefined[pair] = f"no identity is known in {' and '.join(unknown)}"
    people = {split: dict.fromkeys(identities) for split, identities in known.items()}
    splits_of = {
        name: [split for split in people if name in people[split]] for name in chain(*people.values())
    }
    shared = [{"identity": name, "splits": names} for name, names in splits_of.items() if len(names) > 1]
    result: dict[str, Any] = {
        "n": {split: len(manifest) for split, manifest in manifests.items()},
        "n_identified": {split: len(identities) for split, identities in known.items()},
        "n_shared": counts,
        "shared": shared[:LISTED],
    }
    return result | ({"undefined": undefined} if undefined else {})


def _identities(manifest: pd.DataFrame) -> pd.Series:
    """The identities that are given, as text; 2880, "2880" and 2880.0 (beside a gap) are one person."""
    if "identity" not in manifest.columns:
        return pd.Series([], dtype="string")
    texts = manifest["identity"].convert_dtypes().astype("string").str.strip()
    return texts[texts.notna() & (texts != "")]
