"""What the detector says of a sample of one split, and which images of it stand out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fakeface.detector.activations import NetworkInputs
from fakeface.detector.batches import DetectorData
from fakeface.detector.detector import Detector
from fakeface.detector.views import ViewKind, every_view
from fakeface.params import Params

REAL = "real"
HEADLINE = "laundered"
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
        """The candidates with the most extreme scores, most extreme first, ties in the order of the images.

        Args:
            candidates: bool (N,).
            count: how many, at most.
            highest: the highest scores, or else the lowest.
            each: how many of one source, at most; None for any number.

        Returns:
            Rows, int64 (M,), M <= count.
        """
        rows = np.flatnonzero(candidates)
        order = rows[np.argsort(-self.scores[rows] if highest else self.scores[rows], kind="stable")]
        chosen: list[int] = []
        for row in order:
            same = sum(self.sources[other] == self.sources[row] for other in chosen)
            if len(chosen) < count and (each is None or same < each):
                chosen.append(int(row))
        return np.array(chosen, dtype=np.int64)


def spread(rows: np.ndarray, limit: int) -> np.ndarray:
    """At most ``limit`` of the rows, evenly spaced: no draw, and the same ones every time."""
    count = min(limit, len(rows))
    return rows[np.arange(count) * len(rows) // max(count, 1)]


def judge(
    params: Params, detector: Detector, data: DetectorData, kind: ViewKind, limit: int | None
) -> Judged:
    """Launder and score a sample of a split.

    Args:
        params: validated params.
        detector: trained.
        data: the split.
        kind: of the views; with that of the evaluation, a test image gets the very same pixels and score as
            there.
        limit: photographs, and fakes a GAN, at most; None for all.
    """
    groups = [np.flatnonzero(data.groups == group) for group in range(len(data.gans) + 1)]
    rows = np.concatenate([group if limit is None else spread(group, limit) for group in groups])
    views = every_view(data, kind, params.seed, rows)
    inputs = NetworkInputs(params, detector.cffn, detector.fabric)
    batches = [views[at : at + BATCH] for at in range(0, len(views), BATCH)]
    judged = [detector.judge(*inputs.read_with_detail(batch)) for batch in batches]
    scores, embeddings = (np.concatenate(parts) for parts in zip(*judged, strict=True))
    sources = np.array([REAL, *data.gans])[data.groups[rows]]
    names = data.manifest["name"].to_numpy(str)[rows]
    return Judged(names, sources, views.pixels, scores, embeddings, detector.threshold)
