"""Judge a trained detector on the test split, GAN by GAN, under the three protocols."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from fakeface.detector.dataset import DetectorData
from fakeface.detector.scoring import Detector
from fakeface.evaluation.refusal import refusal_block
from fakeface.evaluation.scores import score_block
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


def laundered_batches(params: Params, test: DetectorData) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """The test split once a protocol, both classes through the same chain.

    Yields:
        The protocol's name, rows int64 (B,) and images uint8 (B, S, S, 3), in order.
    """
    step = params.evaluate.batch_size
    bar = tqdm(total=len(PROTOCOLS) * len(test), unit="img", desc="evaluate", disable=None)
    for number, name in enumerate(PROTOCOLS):
        protocol = getattr(params.protocols, name)
        for start in range(0, len(test), step):
            rows = np.arange(start, min(start + step, len(test)))
            yield name, rows, test.laundered(rows, [protocol], [params.seed, TEST_KEY, number])
            bar.update(len(rows))
    bar.close()


def predict_protocols(params: Params, detector: Detector, test: DetectorData) -> dict[str, Predictions]:
    """Run the detector over the test split once a protocol."""
    scores: dict[str, list[np.ndarray]] = {name: [] for name in PROTOCOLS}
    embeddings: dict[str, list[np.ndarray]] = {name: [] for name in PROTOCOLS}
    for name, rows, images in laundered_batches(params, test):
        part_scores, part_embeddings = detector.score_and_embed(images, len(rows))
        scores[name].append(part_scores)
        embeddings[name].append(part_embeddings)
    return {
        name: Predictions(np.concatenate(scores[name]), np.concatenate(embeddings[name]))
        for name in PROTOCOLS
    }


def selections(params: Params, test: DetectorData) -> dict[str, np.ndarray]:
    """Test images, bool (N,) each, of all GANs, the seen ones and the unseen ones, with all photographs."""
    real = test.groups == 0
    held_out = np.array([gan in params.held_out for gan in test.gans], dtype=bool)
    unseen = np.zeros(len(test), dtype=bool)
    unseen[~real] = held_out[test.groups[~real] - 1]
    return {"overall": np.ones(len(test), dtype=bool), "seen": ~unseen, "unseen": real | unseen}


def evaluation_metrics(
    params: Params,
    threshold: float,
    test: DetectorData,
    predictions: dict[str, Predictions],
    *,
    lower_threshold: float | None = None,
) -> dict[str, Any]:
    """Blocks of scores: overall, seen GANs, unseen GANs, each GAN; all against the same photographs.

    Args:
        params: validated params.
        threshold: an image is called fake when its score is above.
        test: the test split.
        predictions: by protocol.
        lower_threshold: an image is unsure from this to ``threshold``; None: none is.

    Returns:
        ``threshold``, ``lower_threshold``, ``held_out`` and one entry a protocol, as in
        metrics/evaluation.json. All blocks but those of single GANs also say how often it is unsure.
    """
    real = test.groups == 0
    lower = threshold if lower_threshold is None else lower_threshold
    uncertainty: dict[str, int] = {"bootstrap": params.evaluate.bootstrap, "seed": params.seed}

    def block(rows: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
        return score_block(test.labels[rows], scores[rows], threshold, **uncertainty)

    def with_refusal(rows: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
        judged = block(rows, scores)
        refused = refusal_block(test.labels[rows], scores[rows], threshold, lower, **uncertainty)
        undefined = judged.pop("undefined", {}) | refused.pop("undefined", {})
        return judged | refused | ({"undefined": undefined} if undefined else {})

    result: dict[str, Any] = {
        "threshold": threshold,
        "lower_threshold": lower,
        "held_out": list(params.held_out),
    }
    for name, predicted in predictions.items():
        blocks: dict[str, Any] = {
            key: with_refusal(rows, predicted.scores) for key, rows in selections(params, test).items()
        }
        blocks["per_gan"] = {
            gan: block(real | (test.groups == group), predicted.scores)
            for group, gan in enumerate(test.gans, start=1)
        }
        result[name] = blocks
    return result


def prediction_table(test: DetectorData, predictions: dict[str, Predictions]) -> pd.DataFrame:
    """One row a test image: name, gan (empty for photographs) and its score under each protocol."""
    gans = np.array(["", *test.gans])[test.groups]
    columns = {f"score_{name}": predicted.scores for name, predicted in predictions.items()}
    return pd.DataFrame({"name": test.manifest["name"], "gan": gans, **columns})
