"""Which images train and which test: the table of the experiment, without fakes that curation dropped."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fakeface.base.errors import FakefaceError
from fakeface.base.files import atomic_path
from fakeface.data.image_sets import MANIFEST_COLUMNS, SPLITS, Folders, ImageSet, check_split
from fakeface.params import GanParams

# -------------------------------------------------------------------------------------------------
# The lists of training fakes to learn from.

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


# -------------------------------------------------------------------------------------------------
# Every image of the experiment in one table, checked for leaks between splits.
#
# A stage cannot name the folders of exactly those GANs that params.yaml lists: DVC has no list of deps that
# grows with params, and all of data/fake would hold what a GAN dropped since left behind. So the stages that
# read images depend on tables with the digest of every image that they may see. A held-out GAN that joins, or
# one that goes, makes no trained network stale.


class DuplicateAcrossSplitsError(FakefaceError, ValueError):
    """The same pixels are in two splits; the message names both images."""


def collect(folders: Folders, gans: Sequence[str]) -> pd.DataFrame:
    """Manifests of all photographs and of the listed GANs, one row an image; training fakes if they are kept.

    Returns:
        Table with the columns name, source, sha256, split and gan (empty for photographs).

    Raises:
        DuplicateAcrossSplitsError: if two splits share an image.
        LeakError: if a set holds images of another split or source.
        ImageSetError: if a set is missing or damaged.
        CurationError: if a GAN's list of kept fakes is missing or does not fit.
    """
    tables = []
    for gan, folder in [("", folders.real), *((gan, folders.fake / gan) for gan in gans)]:
        for split in SPLITS:
            part = ImageSet.read(folder / split)
            check_split(part, gan or None, split, folder / split, gans)
            rows = part.manifest[list(MANIFEST_COLUMNS)].assign(gan=gan)
            if gan and split == "train":
                rows = rows[kept_rows(part.manifest, gan, folders.curated)]
            tables.append(rows)
    table = pd.concat(tables, ignore_index=True)
    splits_of = table.groupby("sha256")["split"].transform("nunique")
    shared = table[splits_of > 1].sort_values("sha256")
    if len(shared):
        twins = shared[shared["sha256"] == shared["sha256"].iloc[0]]
        names = zip(twins["name"], twins["split"], strict=True)
        places = ", ".join(f"{name} ({split})" for name, split in names)
        raise DuplicateAcrossSplitsError(f"the same pixels are in two splits: {places}")
    return table


def training_rows(table: pd.DataFrame, held_out: Sequence[str]) -> pd.DataFrame:
    """The rows that trainings and thresholds may see: no test split, no held-out GAN."""
    return table[(table["split"] != "test") & ~table["gan"].isin(list(held_out))]


def test_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the test split."""
    return table[table["split"] == "test"]


def set_digests(table: pd.DataFrame, gans: Mapping[str, GanParams]) -> pd.DataFrame:
    """One row for each set of ``table``: what the stages that depend on it may know of the set.

    Returns:
        Table with the columns gan (empty for photographs), architecture, upsampler, split, images (how many)
        and sha256 (over the set's rows).
    """
    rows = []
    for (gan, split), part in table.groupby(["gan", "split"], sort=False):
        facts = gans[str(gan)].model_dump(include={"architecture", "upsampler"}) if gan else {}
        digest = hashlib.sha256(part.to_csv(index=False, lineterminator="\n").encode()).hexdigest()
        rows.append({"gan": gan, **facts, "split": split, "images": len(part), "sha256": digest})
    columns = ["gan", "architecture", "upsampler", "split", "images", "sha256"]
    return pd.DataFrame(rows, columns=columns)


def remove_others(folder: str | Path, names: Iterable[str]) -> list[str]:
    """Delete what is in ``folder`` of GANs, or folds, that params.yaml names no more; DVC's cache keeps it.

    A stage that depends on the whole folder calls this first, or the rest would be among what it depends on.

    Returns:
        Names of the files and folders that were deleted.
    """
    kept = set(names)
    gone = [path for path in sorted(Path(folder).glob("*")) if path.name.split(".")[0] not in {*kept, ""}]
    for path in gone:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return [path.name for path in gone]


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table as CSV, atomically."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
