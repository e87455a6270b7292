"""Folds of the leave-one-out evaluation: which GANs train, which test, and what detectors said of the images.

The scores of a fold, by training and image, are the raw material of all comparisons.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fakeface.base.errors import FakefaceError
from fakeface.base.files import atomic_directory, write_json
from fakeface.params import Params

# Of an epoch of a shortened training: a validation costs about as much as ten.
LEAST_STEPS = 25
# Our own detector among the methods, as ``cffn`` in params.yaml describes it.
DETECTOR = "detector"
SCORES_FILE, RUNS_FILE = "scores.csv", "runs.json"
# Of a run, beside its scores.
_DESCRIBED = ("method", "seed", "threshold", "device")


class FoldError(FakefaceError, ValueError):
    """A fold cannot be made of these GANs; the message names them."""


@dataclass(frozen=True)
class Fold:
    """One split of the GANs.

    Attributes:
        name: the GAN or the upsampler that is left out.
        train_gans: names of those that pairs, validation, checkpoint and threshold may see.
        test_gans: names of those that the fold is judged by; none of them trains.
    """

    name: str
    train_gans: tuple[str, ...]
    test_gans: tuple[str, ...]

    def __post_init__(self) -> None:
        both = set(self.train_gans) & set(self.test_gans)
        if both:
            raise FoldError(f"fold {self.name}: {', '.join(sorted(both))} would both train and test")
        if not self.train_gans:
            raise FoldError(f"fold {self.name}: no GAN is left to train on; add one to gans")


def make_fold(params: Params, name: str) -> Fold:
    """The fold that leaves out a GAN, or all GANs of an upsampler.

    GANs of ``leave_one_out.never_train`` are of another domain: they train in no fold, and are tested only
    in the fold of their own name.

    Args:
        params: of the experiment.
        name: a GAN of ``gans``, or an upsampler that GANs which may train declare.

    Raises:
        FoldError: if there is no such GAN or upsampler, or none is left to train on.
    """
    trainable = {gan: params.gans[gan].upsampler for gan in params.gans if _may_train(params, gan)}
    if name in params.gans:
        return Fold(name, tuple(gan for gan in trainable if gan != name), (name,))
    if name not in trainable.values():
        known = ", ".join([*params.gans, *dict.fromkeys(trainable.values())])
        raise FoldError(f"there is no GAN or upsampler {name!r} to leave out, expected one of {known}")
    return _without_upsampler(trainable, name)


def nested_folds(params: Params) -> dict[str, list[Fold]]:
    """Folds among the GANs that training may see; held-out GANs never occur.

    Returns:
        ``gans``: each is left out once. ``upsamplers``: all GANs of one are left out, which is harder, and
        nearer to GANs of other people. A list is empty where nothing would be left to train on.
    """
    seen = {gan: params.gans[gan].upsampler for gan in params.training_gans if _may_train(params, gan)}
    upsamplers = list(dict.fromkeys(seen.values()))
    folds: dict[str, list[Fold]] = {"gans": [], "upsamplers": []}
    if len(seen) > 1:
        folds["gans"] = [Fold(gan, tuple(other for other in seen if other != gan), (gan,)) for gan in seen]
    if len(upsamplers) > 1:
        folds["upsamplers"] = [_without_upsampler(seen, name) for name in upsamplers]
    return folds


def fold_params(params: Params, fold: Fold) -> Params:
    """Params of the trainings of a fold: all GANs but the fold's own are held out.

    Args:
        params: of the experiment.
        fold: which GANs train.
    """
    settings = params.leave_one_out
    cffn = params.cffn
    if settings.cffn_steps is not None:
        # Short epochs, so that there is still a choice of checkpoints.
        epochs = max(1, min(cffn.epochs, settings.cffn_steps // LEAST_STEPS))
        steps = math.ceil(settings.cffn_steps / epochs)
        cffn = cffn.model_copy(update={"epochs": epochs, "steps_per_epoch": steps})
    cn = params.cn.model_copy(update={"views": settings.cn_views})
    held_out = [gan for gan in params.gans if gan not in fold.train_gans]
    return params.model_copy(update={"held_out": held_out, "cffn": cffn, "cn": cn})


def _may_train(params: Params, gan: str) -> bool:
    return gan not in params.leave_one_out.never_train


def _without_upsampler(upsampler_of: Mapping[str, str], name: str) -> Fold:
    """GANs that declare ``name`` are tested, the others train."""
    return Fold(
        name,
        tuple(gan for gan, upsampler in upsampler_of.items() if upsampler != name),
        tuple(gan for gan, upsampler in upsampler_of.items() if upsampler == name),
    )


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
