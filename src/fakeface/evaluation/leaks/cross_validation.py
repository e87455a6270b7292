"""AUROC of classifiers on images that they were not fitted on, and why there may be none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

FOLDS = 5

# Training features (N, D), training labels (N,) and test features (M, D) to scores (M,).
Classifier = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def cross_validate(
    classify: Classifier, features: np.ndarray, labels: np.ndarray, folds: int, seed: int
) -> float:
    """Mean AUROC of stratified folds, each scored by a classifier that saw the others.

    Args:
        classify: fits and scores.
        features: (N, D).
        labels: int (N,), 0 and 1, at least ``folds`` of each.
        folds: how many.
        seed: of the folds.
    """
    aurocs = []
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for train, test in splitter.split(features, labels):
        scores = classify(features[train], labels[train], features[test])
        aurocs.append(roc_auc_score(labels[test], scores))
    return float(np.mean(aurocs))


def too_few(labels: np.ndarray, folds: int) -> str | None:
    """Why there is no AUROC of these labels, or None if there is one."""
    first, second = np.bincount(labels, minlength=2)
    if min(first, second) >= folds:
        return None
    return f"{folds} folds need {folds} images of each class, got {first} and {second}"


def without(names: Sequence[str], reason: str) -> dict[str, Any]:
    """Figures that have no value."""
    return {**dict.fromkeys(names), "undefined": dict.fromkeys(names, reason)}
