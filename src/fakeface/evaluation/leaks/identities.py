"""People who are in more than one split."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from itertools import combinations
from typing import Any

import pandas as pd

from fakeface.evaluation.leaks.duplicates import LISTED


def identities_across_splits(manifests: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """People who are in more than one split.

    Args:
        manifests: by the name of the split; the column ``identity`` may be absent or empty.

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
    splits_of: dict[Hashable, list[str]] = {}
    for split, identities in known.items():
        for identity in identities.unique():
            splits_of.setdefault(identity, []).append(split)
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
