"""The image sets of an experiment, as the probes look at them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fakeface.data.imageset import ImageSet
from fakeface.data.splits import SPLITS, Split


def evenly(total: int, count: int) -> np.ndarray:
    """At most ``count`` of ``total`` rows at equal distances, int64."""
    count = min(total, count)
    return np.arange(count) * total // max(count, 1)


@dataclass(frozen=True)
class ProbedData:
    """Every image set of an experiment.

    Attributes:
        raw: folder of the downloaded photographs.
        real: photographs by split.
        fake: the fakes of each GAN by split.
    """

    raw: Path
    real: dict[Split, ImageSet]
    fake: dict[str, dict[Split, ImageSet]]

    @classmethod
    def read(cls, raw: Path, real_dir: Path, fake_dir: Path, gans: Sequence[str]) -> ProbedData:
        """Open the sets; pixels are mapped, not loaded.

        Raises:
            ImageSetError: if a set is missing or damaged.
        """

        def splits(folder: Path) -> dict[Split, ImageSet]:
            return {split: ImageSet.read(folder / split) for split in SPLITS}

        return cls(raw, splits(real_dir), {gan: splits(fake_dir / gan) for gan in gans})

    def sets(self) -> Iterator[tuple[Split, str, ImageSet]]:
        """Split, source and set of each; the source of photographs is ``real``."""
        for source, by_split in [("real", self.real), *self.fake.items()]:
            for split, part in by_split.items():
                yield split, source, part

    def photographs(self, count: int) -> tuple[np.ndarray, pd.DataFrame]:
        """At most ``count`` of all splits, evenly spaced: uint8 (N, S, S, 3) and their manifest."""
        views = [image for part in self.real.values() for image in part.images]
        manifest = pd.concat([part.manifest for part in self.real.values()], ignore_index=True)
        rows = evenly(len(views), count)
        return np.stack([views[row] for row in rows]), manifest.iloc[rows]
