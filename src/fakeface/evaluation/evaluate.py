"""What the scores of the test split say: GAN by GAN, seen and unseen, under the three protocols."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fakeface.detector.dataset import DetectorData
from fakeface.evaluation.predict import Predictions
from fakeface.evaluation.refusal import refusal_block
from fakeface.evaluation.scores import score_block
from fakeface.params import Params


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
