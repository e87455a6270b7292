"""Run detectors over the test split, once a protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fakeface.base import processes
from fakeface.detector.activations import NetworkInputs
from fakeface.detector.batches import DetectorData
from fakeface.detector.detector import Detector, in_turns
from fakeface.detector.views import views_of_test
from fakeface.evaluation.abstention import abstention_block
from fakeface.metrics.scores import score_block
from fakeface.params import PROTOCOLS, Params


@dataclass(frozen=True)
class Predictions:
    """Scores and embeddings of every test image under one protocol.

    Attributes:
        scores: float64 (N,), P(fake).
        embeddings: float32 (N, feature_dim).
    """

    scores: np.ndarray
    embeddings: np.ndarray


def predict_protocols(params: Params, detector: Detector, test: DetectorData) -> dict[str, Predictions]:
    """Run the detector over the test split once a protocol; several processes share each batch."""
    scores: dict[str, list[np.ndarray]] = {name: [] for name in PROTOCOLS}
    embeddings: dict[str, list[np.ndarray]] = {name: [] for name in PROTOCOLS}
    fabric, conditions = detector.fabric, views_of_test(params, test)
    inputs = NetworkInputs(params, detector.cffn, fabric)
    for views in conditions.values():
        inputs.prepare(views)
    for name, views in in_turns(params, conditions, fabric):
        own = views[processes.share(len(views), fabric, padded=True)]
        part_scores, part_embeddings = detector.judge(*inputs.read_with_detail(own))
        scores[name].append(processes.gather_array(part_scores, len(views), fabric))
        embeddings[name].append(processes.gather_array(part_embeddings, len(views), fabric))
    return {
        name: Predictions(np.concatenate(scores[name]), np.concatenate(embeddings[name]))
        for name in PROTOCOLS
    }


# What the scores of the test split say: GAN by GAN, seen and unseen, under the three protocols.


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
        reports/evaluation.json. All blocks but those of single GANs also say how often it is unsure.
    """
    real = test.groups == 0
    lower = threshold if lower_threshold is None else lower_threshold
    uncertainty: dict[str, int] = {"bootstrap": params.evaluate.bootstrap, "seed": params.seed}

    def block(rows: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
        return score_block(test.labels[rows], scores[rows], threshold, **uncertainty)

    def with_abstention(rows: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
        judged = block(rows, scores)
        refused = abstention_block(test.labels[rows], scores[rows], threshold, lower, **uncertainty)
        undefined = judged.pop("undefined", {}) | refused.pop("undefined", {})
        return judged | refused | ({"undefined": undefined} if undefined else {})

    result: dict[str, Any] = {
        "threshold": threshold,
        "lower_threshold": lower,
        "held_out": list(params.held_out),
    }
    for name, predicted in predictions.items():
        blocks: dict[str, Any] = {
            key: with_abstention(rows, predicted.scores) for key, rows in selections(params, test).items()
        }
        blocks["per_gan"] = {
            gan: block(real | (test.groups == group), predicted.scores)
            for group, gan in enumerate(test.gans, start=1)
        }
        result[name] = blocks
    return result


def evaluation_headline(report: dict[str, Any]) -> dict[str, Any]:
    """Content of metrics/evaluation.json, from what :func:`evaluation_metrics` returned.

    Returns:
        By protocol ``seen`` and ``unseen``, each with ``auroc``, ``precision``, ``recall`` and ``fpr``;
        ``per_gan``, laundered: ``auroc``, ``precision``, ``recall``.
    """

    def few(block: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
        return {name: block[name] for name in names}

    figures: dict[str, Any] = {
        protocol: {
            part: few(report[protocol][part], ("auroc", "precision", "recall", "fpr"))
            for part in ("seen", "unseen")
        }
        for protocol in PROTOCOLS
    }
    per_gan = report[PROTOCOLS[0]]["per_gan"]
    figures["per_gan"] = {gan: few(block, ("auroc", "precision", "recall")) for gan, block in per_gan.items()}
    return figures


def prediction_table(test: DetectorData, predictions: dict[str, Predictions]) -> pd.DataFrame:
    """One row a test image: name, gan (empty for photographs) and its score under each protocol."""
    gans = np.array(["", *test.gans])[test.groups]
    columns = {f"score_{name}": predicted.scores for name, predicted in predictions.items()}
    return pd.DataFrame({"name": test.manifest["name"], "gan": gans, **columns})
