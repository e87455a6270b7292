"""The figures of one detector in one fold."""

from __future__ import annotations

from typing import Any

import numpy as np

from fakeface.evaluation.fold_scores import FoldScores
from fakeface.evaluation.folds import Fold
from fakeface.evaluation.scores import mean_block
from fakeface.params import PROTOCOLS, Params

# Our own detector among the methods, as ``cffn`` in params.yaml describes it.
DETECTOR = "detector"


def fold_metrics(params: Params, fold: Fold, scores: FoldScores, method: str) -> dict[str, Any]:
    """Content of ``metrics/leave_one_out/<fold>.json``: a block a protocol, averaged over the seeds.

    Returns:
        ``training_gans``, ``test_gans``, ``seeds`` and ``thresholds`` of the trainings, a block for each
        protocol and, where several GANs are tested, ``per_gan`` with such blocks.
    """
    runs = scores.of(method)
    selections = {gan: (scores.gans == gan) | (scores.gans == "") for gan in fold.test_gans}

    def blocks(rows: np.ndarray | slice) -> dict[str, Any]:
        return {
            protocol: mean_block(
                scores.labels[rows],
                [run.scores[protocol][rows] for run in runs],
                [run.threshold for run in runs],
                bootstrap=params.evaluate.bootstrap,
                seed=params.seed,
            )
            for protocol in PROTOCOLS
        }

    result = {
        "training_gans": list(fold.train_gans),
        "test_gans": list(fold.test_gans),
        "seeds": [run.seed for run in runs],
        "thresholds": [run.threshold for run in runs],
        **blocks(slice(None)),
    }
    if len(selections) > 1:
        result["per_gan"] = {gan: blocks(rows) for gan, rows in selections.items()}
    return result
