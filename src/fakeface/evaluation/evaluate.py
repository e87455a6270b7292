"""Run detectors over the test split, once a protocol."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from lightning_fabric import Fabric
from tqdm import tqdm

from fakeface.base import processes
from fakeface.detector.batches import DetectorData
from fakeface.detector.detector import Detector
from fakeface.evaluation.abstention import abstention_block
from fakeface.evaluation.fold_scores import CORRUPTED
from fakeface.metrics.scores import score_block
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
    params: Params, test: DetectorData, fabric: Fabric, *, corrupted: bool = False
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """The test split once a protocol, both classes through the same chain.

    Args:
        params: validated params.
        test: images.
        fabric: processes that share them.
        corrupted: once more with every image corrupted (:mod:`fakeface.data.corruptions`), then through the
            first protocol's chain.

    Yields:
        The protocol's name or ``corrupted``, rows int64 (B,), and images uint8 (b, S, S, 3) of the padded
        share of them that this process works on; with one process, of all of them in order.
    """
    step = params.evaluate.batch_size * fabric.world_size
    conditions = [(name, name, 0.0) for name in PROTOCOLS]
    if corrupted:
        conditions.append((CORRUPTED, PROTOCOLS[0], 1.0))
    total = len(conditions) * len(test)
    bar = tqdm(total=total, unit="img", desc="evaluate", disable=processes.quiet(fabric))
    for number, (name, chain, share) in enumerate(conditions):
        protocol, key = getattr(params.protocols, chain), [params.seed, TEST_KEY, number]
        for start in range(0, len(test), step):
            rows = np.arange(start, min(start + step, len(test)))
            places = processes.share(len(rows), fabric, padded=True)
            yield name, rows, test.laundered(rows, [protocol], key, corrupted=share, places=places)
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


# -------------------------------------------------------------------------------------------------
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
