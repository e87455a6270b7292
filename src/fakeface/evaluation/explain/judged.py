"""What the detector says of a sample of one split, and the errors that it was surest of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from fakeface.data.image_sets import evenly_spaced
from fakeface.detector.activations import NetworkInputs
from fakeface.detector.batches import DetectorData
from fakeface.detector.detector import Detector
from fakeface.detector.views import ViewKind, every_view
from fakeface.evaluation.figures import bare, described, new_figure, write_png
from fakeface.params import Params

REAL = "real"
HEADLINE = "laundered"
# Of the worst errors: photographs and fakes at most, and fakes of one GAN.
PER_KIND = 6
PER_GAN = 2
BATCH = 250


@dataclass(frozen=True)
class Judged:
    """Images of one split under the headline protocol, and what the detector said.

    Attributes:
        names: str (N,), of the manifest.
        sources: str (N,), ``real`` or the name of a GAN.
        images: uint8 (N, S, S, 3), laundered.
        scores: float64 (N,), P(fake).
        embeddings: float32 (N, D).
        threshold: above it an image is called fake.
    """

    names: np.ndarray
    sources: np.ndarray
    images: np.ndarray
    scores: np.ndarray
    embeddings: np.ndarray
    threshold: float

    @property
    def called_fake(self) -> np.ndarray:
        """bool (N,)."""
        return self.scores > self.threshold

    @property
    def right(self) -> np.ndarray:
        """bool (N,): photographs called real and fakes called fake."""
        return self.called_fake == (self.sources != REAL)

    def extreme(
        self, candidates: np.ndarray, count: int, *, highest: bool, each: int | None = None
    ) -> np.ndarray:
        """Rows of the candidates with the most extreme scores, ties in the order of the images: int64 (M,).

        Args:
            candidates: bool (N,).
            count: how many, at most.
            highest: the highest scores, highest first, or else the lowest, lowest first.
            each: how many of one source, at most; None for any number.
        """
        rows = np.flatnonzero(candidates)
        rows = rows[np.argsort(-self.scores[rows] if highest else self.scores[rows], kind="stable")]
        if each is not None:
            order = pd.Series(self.sources[rows])
            rows = rows[(order.groupby(order).cumcount() < each).to_numpy()]
        return rows[:count]


def judge(
    params: Params, detector: Detector, data: DetectorData, kind: ViewKind, limit: int | None
) -> Judged:
    """Launder and score a sample of a split: at most ``limit`` photographs, and fakes a GAN; None for all.

    With the ``kind`` of the evaluation's views, a test image gets the very same pixels and score as there.
    """
    groups = [np.flatnonzero(data.groups == group) for group in range(len(data.gans) + 1)]
    rows = np.concatenate([group if limit is None else evenly_spaced(group, limit) for group in groups])
    views = every_view(data, kind, params.seed, rows)
    inputs = NetworkInputs(params, detector.cffn, detector.fabric)
    batches = [views[at : at + BATCH] for at in range(0, len(views), BATCH)]
    judged = [detector.judge(*inputs.read_with_detail(batch)) for batch in batches]
    scores, embeddings = (np.concatenate(parts) for parts in zip(*judged, strict=True))
    sources = np.array([REAL, *data.gans])[data.groups[rows]]
    names = data.manifest["name"].to_numpy(str)[rows]
    return Judged(names, sources, views.pixels, scores, embeddings, detector.rule.threshold)


def worst_errors(judged: Judged) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the photographs with the highest scores and of the fakes with the lowest, worst first.

    Only errors at the frozen threshold; six of each kind at most, and two a GAN.
    """
    photographs = judged.extreme(~judged.right & (judged.sources == REAL), PER_KIND, highest=True)
    fakes = judged.extreme(~judged.right & (judged.sources != REAL), PER_KIND, highest=False, each=PER_GAN)
    return photographs, fakes


def worst_error_table(judged: Judged, held_out: Sequence[str]) -> pd.DataFrame:
    """One row an error: ``error, rank, name, source, seen, score, threshold``.

    ``error`` is ``false positive`` for a photograph, ``false negative`` for a fake. ``seen`` is empty
    for photographs, ``yes`` or ``no`` for fakes.
    """
    rows = []
    for kind, chosen in zip(("false positive", "false negative"), worst_errors(judged), strict=True):
        for rank, row in enumerate(chosen, start=1):
            source = judged.sources[row]
            seen = "" if source == REAL else "no" if source in held_out else "yes"
            score, threshold = round(float(judged.scores[row]), 6), round(judged.threshold, 6)
            rows.append((kind, rank, judged.names[row], source, seen, score, threshold))
    columns = ["error", "rank", "name", "source", "seen", "score", "threshold"]
    return pd.DataFrame(rows, columns=columns)


def write_worst_errors(path: str | PathLike[str], judged: Judged, held_out: Sequence[str]) -> None:
    """A PNG with a row of photographs called fake and one of fakes missed, as the detector saw them."""
    figure = new_figure(10.5, 5.2)
    titles = ("photographs\ncalled fake", "fakes\nnot called fake")
    for line, title, chosen in zip(figure.subplots(2, PER_KIND), titles, worst_errors(judged), strict=True):
        line[0].set_ylabel(title, fontsize=11)
        for panel in line:
            bare(panel)
        for panel, row in zip(line, chosen, strict=False):
            panel.imshow(judged.images[row], interpolation="nearest")
            panel.set_title(f"score {judged.scores[row]:.3f}", fontsize=11)
            name = PurePosixPath(judged.names[row]).name
            panel.set_xlabel(f"{described(judged.sources[row], held_out)}\n{name}", fontsize=9)
        for panel in line[len(chosen) :]:
            panel.text(0.5, 0.5, "no further\nerror", ha="center", va="center", transform=panel.transAxes)
    n_real = int((judged.sources == REAL).sum())
    figure.suptitle("The errors that the detector was surest of", fontsize=13)
    figure.supxlabel(
        f"Score: P(fake). Above the threshold {judged.threshold:.3f} an image is called fake. Worst on the "
        f"left, at most {PER_GAN} a GAN.\nOut of {n_real} photographs and {len(judged.sources) - n_real} "
        f"fakes of the test split, as the detector saw them (protocol {HEADLINE}: some rescaled, then JPEG).",
        fontsize=9,
    )
    write_png(path, figure)
