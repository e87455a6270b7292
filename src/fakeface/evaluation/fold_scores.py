"""What the detectors of one fold said of every test image: the raw material of all comparisons."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fakeface.base.errors import FakefaceError
from fakeface.base.files import atomic_directory, write_json

# Our own detector among the methods, as ``cffn`` in params.yaml describes it.
DETECTOR = "detector"
# A condition beside the protocols: every image blurred, made noisy, rescaled or such, and laundered.
CORRUPTED = "corrupted"
SCORES_FILE, RUNS_FILE = "scores.csv", "runs.json"
# Of a run, beside its scores.
_DESCRIBED = ("method", "seed", "threshold", "device")


class FoldScoresError(FakefaceError, ValueError):
    """A folder of scores is incomplete, or two of them are not about the same images."""


@dataclass(frozen=True)
class Run:
    """One training of one method.

    Attributes:
        method: name of the detector or baseline.
        seed: of the training.
        threshold: frozen on validation photographs.
        scores: protocol or other condition to P(fake) float64 (N,), one a test image.
        device: that it was trained on, see :func:`fakeface.base.runtime.device_name`.
    """

    method: str
    seed: int
    threshold: float
    scores: dict[str, np.ndarray]
    device: str = "cpu"


@dataclass(frozen=True)
class FoldScores:
    """All runs of a fold on the same test images.

    Attributes:
        names: str (N,), the images.
        gans: str (N,), which GAN made each, empty for photographs.
        runs: the trainings.
    """

    names: np.ndarray
    gans: np.ndarray
    runs: tuple[Run, ...]

    @property
    def labels(self) -> np.ndarray:
        """int64 (N,): fake = 1."""
        return (self.gans != "").astype(np.int64)

    def of(self, method: str) -> list[Run]:
        """The runs of a method, by seed."""
        return sorted((run for run in self.runs if run.method == method), key=lambda run: run.seed)

    def write(self, folder: str | Path) -> None:
        """Write a table with one row an image and one column a run and protocol, and the thresholds."""
        columns = {"name": self.names, "gan": self.gans}
        described = []
        for run in self.runs:
            described.append({name: getattr(run, name) for name in _DESCRIBED})
            columns |= {_column(run.method, run.seed, name): scores for name, scores in run.scores.items()}
        with atomic_directory(folder) as temporary:
            pd.DataFrame(columns).to_csv(temporary / SCORES_FILE, index=False, lineterminator="\n")
            write_json(temporary / RUNS_FILE, described)

    @classmethod
    def read(cls, folder: str | Path) -> FoldScores:
        """What :meth:`write` wrote.

        Raises:
            FoldScoresError: if a file is missing or damaged.
        """
        folder = Path(folder)
        try:
            table = pd.read_csv(folder / SCORES_FILE, keep_default_na=False, dtype={"name": str, "gan": str})
            described = json.loads((folder / RUNS_FILE).read_text(encoding="utf-8"))
            runs = [
                Run(**{name: item[name] for name in _DESCRIBED}, scores=_scores(table, item))
                for item in described
            ]
            return cls(table["name"].to_numpy(str), table["gan"].to_numpy(str), tuple(runs))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FoldScoresError(f"{folder}: not the scores of a fold ({error})") from error


def _column(method: str, seed: int, protocol: str) -> str:
    return f"{method}/{seed}/{protocol}"


def _scores(table: pd.DataFrame, described: dict[str, object]) -> dict[str, np.ndarray]:
    prefix = _column(str(described["method"]), int(str(described["seed"])), "")
    found = {
        column.removeprefix(prefix): table[column].to_numpy(np.float64)
        for column in table.columns
        if column.startswith(prefix)
    }
    if not found:
        raise ValueError(f"no column {prefix}<protocol>")
    return found


def joined(parts: Iterable[FoldScores]) -> FoldScores:
    """The runs of several files about the same images as one.

    Raises:
        FoldScoresError: if they are about other images, or there are none.
    """
    parts = list(parts)
    if not parts:
        raise FoldScoresError("there are no scores to join")
    first = parts[0]
    for part in parts[1:]:
        if not np.array_equal(part.names, first.names) or not np.array_equal(part.gans, first.gans):
            raise FoldScoresError("scores of different images cannot be compared; rerun their stages")
    return FoldScores(first.names, first.gans, tuple(run for part in parts for run in part.runs))
