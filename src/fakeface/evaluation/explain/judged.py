"""What the detector says of a sample of one split, and which images of it stand out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fakeface.data.image_sets import evenly_spaced
from fakeface.detector.batches import DetectorData
from fakeface.detector.detector import Detector
from fakeface.params import PROTOCOLS, Params

REAL = "real"
HEADLINE = "laundered"


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


def judge(
    params: Params, detector: Detector, data: DetectorData, key: Sequence[int], limit: int | None
) -> Judged:
    """Launder and score a sample of a split.

    Args:
        params: validated params.
        detector: trained.
        data: the split.
        key: of the laundering's draws; with that of the evaluation, a test image gets the very same pixels
            and score as there, because the draws also depend on its row in the whole split.
        limit: photographs, and fakes a GAN, at most; None for all.
    """
    groups = [np.flatnonzero(data.groups == group) for group in range(len(data.gans) + 1)]
    rows = np.concatenate([group if limit is None else evenly_spaced(group, limit) for group in groups])
    protocol = getattr(params.protocols, HEADLINE)
    images = data.laundered(rows, [protocol], [params.seed, *key, PROTOCOLS.index(HEADLINE)])
    scores, embeddings = detector.score_and_embed(images, params.evaluate.batch_size)
    sources = np.array([REAL, *data.gans])[data.groups[rows]]
    names = data.manifest["name"].to_numpy(str)[rows]
    return Judged(names, sources, images, scores, embeddings, detector.threshold)
