"""Fixed random numbers for fakes: disjoint by split and by GAN, the same for all versions of numpy."""

from __future__ import annotations

import zlib
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
    stream = _stream(gan, split, seed)
    if distribution == "normal":
        return stream.standard_normal((count, z_dim)).astype(np.float32)
    return stream.uniform(-1, 1, (count, z_dim)).astype(np.float32)


def draw_seeds(gan: str, split: Split, count: int, seed: int) -> np.ndarray:
    """One seed an image, for samplers that draw their own noise, from the same streams.

    Returns:
        int64 (count,), not negative.
    """
    return _stream(gan, split, seed).randint(0, 2**63 - 1, count, dtype=np.int64)
