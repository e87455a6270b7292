"""Random streams that are told apart by names."""

from __future__ import annotations

import hashlib

import numpy as np


def random_stream(*key: str | int | bytes) -> np.random.Generator:
    """A generator that depends on ``key`` alone.

    NumPy's own seeding takes lists of numbers and ignores zeros at their end: ``[seed, 1, 5]`` of one use and
    ``[seed, 1, 5, 0]`` of another are one stream. Here a hash of the whole key is the seed.

    Args:
        key: what the stream is for, then what its draws depend on: ``"batches", seed, group, lap``.
    """
    parts = [part if isinstance(part, (str, bytes)) else int(part) for part in key]
    return np.random.default_rng(int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:16], "little"))
