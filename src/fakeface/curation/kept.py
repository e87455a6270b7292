"""The lists of training fakes to learn from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from fakeface.errors import FakefaceError

LISTED = ["name", "sha256"]


class CurationError(FakefaceError, ValueError):
    """Fakes cannot be curated, or the list of those kept does not fit them; the message says why."""


def kept_rows(manifest: pd.DataFrame, gan: str, folder: Path) -> np.ndarray:
    """Which rows of a GAN's training manifest its list keeps, bool (N,).

    Args:
        manifest: of the training fakes.
        gan: name of the list.
        folder: of the lists.

    Raises:
        CurationError: if there is no such list, or it names an image that the manifest does not have.
    """
    path = folder / f"{gan}.csv"
    try:
        listed = pd.read_csv(path, dtype=str)
    except FileNotFoundError:
        raise CurationError(f"{path}: no such file; dvc repro curate makes it") from None
    keys = pd.MultiIndex.from_frame(listed[LISTED])
    there = pd.MultiIndex.from_frame(manifest[LISTED].astype(str))
    unknown = keys[~keys.isin(there)]
    if len(unknown):
        raise CurationError(
            f"{path}: names {unknown[0][0]}, which is not among the training fakes of {gan} or has other "
            "pixels; dvc repro curate"
        )
    return np.asarray(there.isin(keys))
