"""Perceptual hashes of images, and pairs of hashes that are close."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image
from scipy.fft import dctn

_CHUNK = 512
_GREY_SIDE, _HASH_SIDE = 32, 8


def perceptual_hashes(images: np.ndarray) -> np.ndarray:
    """Hashes that survive noise, coding and rescaling, but not a shift: uint64 (N,).

    A bit each for the signs of the 8 x 8 lowest frequencies of the 32 x 32 grey picture around mid-grey, an
    image hash as in Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010,
    with zero as the threshold.

    Args:
        images: uint8 (N, H, W, 3).
    """
    hashes = np.empty(len(images), dtype=np.uint64)
    for start in range(0, len(images), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        grey = np.stack([_small_grey(image) for image in images[chunk]])
        spectrum = dctn(grey - 127.5, axes=(1, 2), norm="ortho")
        bits = spectrum[:, :_HASH_SIDE, :_HASH_SIDE].reshape(len(grey), -1) > 0
        hashes[chunk] = np.packbits(bits, axis=1).view(np.uint64)[:, 0]
    return hashes


def _small_grey(image: np.ndarray) -> np.ndarray:
    picture = Image.fromarray(image).convert("L")
    return np.asarray(picture.resize((_GREY_SIDE, _GREY_SIDE), Image.Resampling.BOX), dtype=np.float64)


def close_pairs(a: np.ndarray, b: np.ndarray, limit: int) -> Iterator[np.ndarray]:
    """Pairs of hashes that differ in at most ``limit`` bits.

    Of vectors of 64 signs, the dot product is 64 - 2 x the number that differ: exact in float32, and a matrix
    product is ten times as fast as a table of bit counts (NumPy counts bits from version 2 on only).

    Args:
        a, b: uint64 (N,) and (M,).
        limit: in bits.

    Yields:
        int64 (K, 3), some rows of ``a`` at a time: row in ``a``, row in ``b``, distance.
    """
    a_signs, b_signs = (
        np.unpackbits(hashes.view(np.uint8)).reshape(-1, 64).astype(np.float32) * 2 - 1 for hashes in (a, b)
    )
    for start in range(0, len(a), _CHUNK):
        distances = ((64 - a_signs[start : start + _CHUNK] @ b_signs.T) / 2).astype(np.int8)
        rows, columns = np.nonzero(distances <= limit)
        yield np.column_stack([rows + start, columns, distances[rows, columns]])
