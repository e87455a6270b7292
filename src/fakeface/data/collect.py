"""Which images train and which test: the table of the experiment, without fakes that curation dropped.

Training depends on the rows that it may see and on nothing else: a held-out GAN that joins, or a GAN
dropped from params.yaml that leaves its folder behind, makes no trained network stale.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from fakeface.base.errors import FakefaceError
from fakeface.base.files import atomic_path
from fakeface.data.image_sets import MANIFEST_COLUMNS, SPLITS, Folders, ImageSet, check_split, kept_rows
from fakeface.params import GanParams

# A stage cannot name the folders of exactly those GANs that params.yaml lists: DVC has no list of deps that
# grows with params. So the stages that read images depend on tables with the digest of every image that they
# may see. A held-out GAN that joins, or one that goes, makes no trained network stale.


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


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table as CSV, atomically."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
