"""Labels that mean nothing must not be predictable."""

from __future__ import annotations

from typing import Any

import numpy as np

from fakeface.evaluation.leaks.cross_validation import FOLDS, cross_validate, too_few, without
from fakeface.evaluation.leaks.traces import image_features, judge_often, linear


def shuffled_labels_probe(
    images: np.ndarray, labels: np.ndarray, *, shuffles: int = 5, folds: int = FOLDS, seed: int = 0
) -> dict[str, Any]:
    """The classifier of ``route_probe`` on labels that mean nothing: a check of the checking.

    If shuffled labels can be predicted, training and test share images or the AUROC is computed wrongly, and
    the figure for the true labels is worth nothing either.

    Args:
        images: uint8 (N, S, S, 3), laundered or not.
        labels: int (N,), fake = 1.
        shuffles: how often labels are permuted, at least 2.
        folds: of the cross-validation.
        seed: of the permutations and the folds.

    Returns:
        ``n_real``, ``n_fake``; ``{auroc, standard_error, aurocs}``: mean over the shuffles, its standard
        error, and each; ``auroc_true_labels`` for comparison.

    Raises:
        ValueError: for labels of another length or value, or fewer than 2 shuffles.
    """
    labels = np.asarray(labels, dtype=np.int64)
    if labels.shape != (len(images),) or not np.isin(labels, (0, 1)).all():
        raise ValueError(f"labels must be ({len(images)},) of 0 and 1, got {labels.shape}")
    rng = np.random.default_rng(seed)
    shuffled = [rng.permutation(labels) for _ in range(shuffles)]
    counts = {"n_real": int((labels == 0).sum()), "n_fake": int((labels == 1).sum())}
    if reason := too_few(labels, folds):
        return counts | without(["auroc", "standard_error", "aurocs", "auroc_true_labels"], reason)
    features = image_features(images)
    return {
        **counts,
        **judge_often(features, features, shuffled, folds, seed),
        "auroc_true_labels": cross_validate(linear, features, labels, folds, seed),
    }
