"""One table of every image in the experiment, checked for leaks between splits.

It is the single thing that training depends on: a GAN dropped from params.yaml leaves its folder
behind, and a dependency on the folder of all fakes would see that and call the model stale.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from fakeface.atomic import atomic_path
from fakeface.data.imageset import MANIFEST_COLUMNS, ImageSet
from fakeface.data.splits import SPLITS


class DuplicateAcrossSplitsError(ValueError):
    """The same pixels are in two splits; the message names both images."""


def collect(real_dir: Path, fake_dir: Path, gans: list[str]) -> pd.DataFrame:
    """Manifests of all photographs and of the listed GANs, one row an image.

    Returns:
        Table with the columns name, source, sha256, split and gan (empty for photographs).

    Raises:
        DuplicateAcrossSplitsError: if two splits share an image.
        ImageSetError: if a set is missing or damaged.
    """
    tables = []
    for gan, folder in [("", Path(real_dir)), *((gan, Path(fake_dir) / gan) for gan in gans)]:
        for split in SPLITS:
            manifest = ImageSet.read(folder / split).manifest
            tables.append(manifest[list(MANIFEST_COLUMNS)].assign(gan=gan))
    table = pd.concat(tables, ignore_index=True)
    splits_of = table.groupby("sha256")["split"].transform("nunique")
    shared = table[splits_of > 1].sort_values("sha256")
    if len(shared):
        first = shared[shared["sha256"] == shared["sha256"].iloc[0]]
        places = ", ".join(f"{row.name_} ({row.split})" for row in first.rename(columns={"name": "name_"}).itertuples())
        raise DuplicateAcrossSplitsError(f"the same pixels are in two splits: {places}")
    return table


def write_collected(table: pd.DataFrame, path: Path) -> None:
    """Write the table as CSV, atomically."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
