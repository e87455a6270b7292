"""Fixed random numbers for fakes: disjoint by split and by GAN, the same for all versions of numpy."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Literal

import numpy as np

from fakeface.data.splits import SPLITS, Split


def _stream(gan: str, split: Split, seed: int) -> np.random.RandomState:
    sequence = np.random.SeedSequence([seed, zlib.crc32(gan.encode("utf-8")), SPLITS.index(split)])
    # RandomState, because NEP 19 freezes its streams for all versions of numpy and Generator's not.
    return np.random.RandomState(np.random.MT19937(sequence))


def draw_latents(
    gan: str,
    split: Split,
    count: int,
    z_dim: int,
    seed: int,
    distribution: Literal["normal", "uniform"] = "normal",
) -> np.ndarray:
    """Latents of one split of one GAN, standard normal or uniform in [-1, 1).

    The stream is seeded with ``SeedSequence([seed, crc32(gan), index of split])``, so no two splits and no
    two GANs share one, adding a GAN moves no other, and asking for more images keeps the first ones.

    Returns:
        float32 (count, z_dim).
    """
    batches = list(latent_batches(gan, split, count, z_dim, seed, distribution, size=max(count, 1)))
    return batches[0] if batches else np.empty((0, z_dim), dtype=np.float32)


def latent_batches(
    gan: str,
    split: Split,
    count: int,
    z_dim: int,
    seed: int,
    distribution: Literal["normal", "uniform"] = "normal",
    *,
    size: int,
    skip: int = 0,
) -> Iterator[np.ndarray]:
    """The latents of :func:`draw_latents` without the first ``skip``, ``size`` at a time."""
    stream = _stream(gan, split, seed)

    def draw(rows: int) -> np.ndarray:
        if distribution == "normal":
            return stream.standard_normal((rows, z_dim)).astype(np.float32)
        return stream.uniform(-1, 1, (rows, z_dim)).astype(np.float32)

    for start in range(0, skip, size):
        draw(min(size, skip - start))
    for start in range(skip, count, size):
        yield draw(min(size, count - start))


def draw_seeds(gan: str, split: Split, count: int, seed: int) -> np.ndarray:
    """One seed an image, for samplers that draw their own noise, from the same streams.

    Returns:
        int64 (count,), not negative.
    """
    return _stream(gan, split, seed).randint(0, 2**63 - 1, count, dtype=np.int64)
