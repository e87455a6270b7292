"""Thresholds chosen on validation scores, and how far those scores are from probabilities.

A training needs these few lines of arithmetic. All other measuring stays apart from it, so that another way
to measure trains nothing anew.
"""

from __future__ import annotations

from typing import Any

import numpy as np

ECE_BINS = 15


def require_probabilities(scores: np.ndarray) -> None:
    """Raise a ValueError unless all are numbers in [0, 1]."""
    if n_nan := int(np.isnan(scores).sum()):
        raise ValueError(f"scores must be numbers, got {n_nan} NaN among {scores.size}")
    outside = (scores < 0) | (scores > 1)
    if outside.any():
        first = scores[outside][0]
        raise ValueError(f"scores must be in [0, 1], got {outside.sum()} outside, the first {first}")


def choose_threshold(real_scores: Any, target_fpr: float) -> float:
    """The smallest threshold that at most ``target_fpr`` of the photographs exceed.

    A photograph is a false positive if its score is ABOVE the threshold. That share only changes at the
    scores themselves, so the answer is one of them; the next lower one lets too many through.

    Args:
        real_scores: (N,) of P(fake) of validation photographs, N >= 1, in [0, 1].
        target_fpr: share of false positives to stay within, in [0, 1).

    Raises:
        ValueError: for no scores, scores out of range, or a share out of range.
    """
    scores = np.asarray(real_scores, dtype=np.float64)
    if scores.ndim != 1 or scores.size == 0:
        raise ValueError(f"real_scores must be (N,) with N >= 1, got {scores.shape}")
    require_probabilities(scores)
    if not 0 <= target_fpr < 1:
        raise ValueError(f"target_fpr must be in [0, 1), got {target_fpr}")
    candidates, counts = np.unique(scores, return_counts=True)
    n_above = scores.size - np.cumsum(counts)
    return float(candidates[np.argmax(n_above / scores.size <= target_fpr)])


def calibration_error(is_fake: np.ndarray, scores: np.ndarray) -> float:
    """The ``ece`` of :func:`fakeface.metrics.scores.score_block`, of validation scores.

    Args:
        is_fake: bool (N,), both classes among them.
        scores: float64 (N,) of P(fake), in [0, 1].
    """
    bins = np.searchsorted(np.linspace(0, 1, ECE_BINS + 1)[1:-1], scores, side="left")
    weights = np.where(is_fake, 0.5 / is_fake.sum(), 0.5 / (~is_fake).sum())
    return float(np.abs(np.bincount(bins, weights * (is_fake - scores))).sum())
