"""Run detectors over the test split, once a protocol."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from lightning_fabric import Fabric
from tqdm import tqdm

from fakeface import processes
from fakeface.detector.dataset import DetectorData
from fakeface.detector.scoring import Detector
from fakeface.evaluation.fold_scores import HARMED
from fakeface.params import PROTOCOLS, Params

# Keeps the test's random draws apart from those of the trainings.
TEST_KEY = 5


@dataclass(frozen=True)
class Predictions:
    """Scores and embeddings of every test image under one protocol.

    Attributes:
        scores: float64 (N,), P(fake).
        embeddings: float32 (N, feature_dim).
    """

    scores: np.ndarray
    embeddings: np.ndarray


def laundered_batches(
    params: Params, test: DetectorData, fabric: Fabric, *, harmed: bool = False
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """The test split once a protocol, both classes through the same chain.

    Args:
        params: validated params.
        test: images.
        fabric: processes that share them.
        harmed: once more with every image harmed (:mod:`fakeface.data.harm`), then through the first
            protocol's chain.

    Yields:
        The protocol's name or ``harmed``, rows int64 (B,), and images uint8 (b, S, S, 3) of the padded share
        of them that this process works on; with one process, of all of them in order.
    """
    step = params.evaluate.batch_size * fabric.world_size
    conditions = [(name, name, 0.0) for name in PROTOCOLS]
    if harmed:
        conditions.append((HARMED, PROTOCOLS[0], 1.0))
    total = len(conditions) * len(test)
    bar = tqdm(total=total, unit="img", desc="evaluate", disable=processes.quiet(fabric))
    for number, (name, chain, share) in enumerate(conditions):
        protocol, key = getattr(params.protocols, chain), [params.seed, TEST_KEY, number]
        for start in range(0, len(test), step):
            rows = np.arange(start, min(start + step, len(test)))
            places = processes.share(len(rows), fabric, padded=True)
            yield name, rows, test.laundered(rows, [protocol], key, harmed=share, places=places)
            bar.update(len(rows))
    bar.close()


def predict_protocols(params: Params, detector: Detector, test: DetectorData) -> dict[str, Predictions]:
    """Run the detector over the test split once a protocol; several processes share each batch."""
    scores: dict[str, list[np.ndarray]] = {name: [] for name in PROTOCOLS}
    embeddings: dict[str, list[np.ndarray]] = {name: [] for name in PROTOCOLS}
    fabric = detector.fabric
    for name, rows, images in laundered_batches(params, test, fabric):
        part_scores, part_embeddings = detector.score_and_embed(images, len(images))
        scores[name].append(processes.gather_array(part_scores, len(rows), fabric))
        embeddings[name].append(processes.gather_array(part_embeddings, len(rows), fabric))
    return {
        name: Predictions(np.concatenate(scores[name]), np.concatenate(embeddings[name]))
        for name in PROTOCOLS
    }
