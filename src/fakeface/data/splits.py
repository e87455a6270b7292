"""Which photographs train, which validate, which test."""

from __future__ import annotations

import hashlib
from typing import Literal

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


def hash_split(key: str, val_fraction: float, test_fraction: float) -> Split:
    """Split of one photograph, from its name alone.

    The SHA-256 of ``key`` is read as a number in [0, 1), so adding or removing other photographs
    never moves this one, and two data sets that share file names share their splits.

    Args:
        key: file name without folders, for instance ``000001.jpg``, or an identity.
        val_fraction: expected share of the validation split, in [0, 1).
        test_fraction: expected share of the test split, in [0, 1).
    """
    digest = hashlib.sha256(key.encode("utf-8")).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    if position < test_fraction:
        return "test"
    if position < test_fraction + val_fraction:
        return "val"
    return "train"
