"""Over all folds: how good, how bad at worst, how steady, and better than which baseline by how much."""

from __future__ import annotations

from typing import Any

import numpy as np

from fakeface.evaluation.fold_scores import FoldScores
from fakeface.evaluation.scores import bootstrap_samples, interval, mean_block
from fakeface.params import PROTOCOLS

# The figures that are averaged over folds. AUROC first: it needs no threshold.
SUMMARISED = ("auroc", "average_precision", "precision", "recall", "fpr", "ece")


def _values(scores: FoldScores, method: str, protocol: str, metric: str) -> np.ndarray:
    """A metric of each run, float64 (seeds,), NaN where it is undefined."""
    values = []
    for run in scores.of(method):
        block = mean_block(scores.labels, [run.scores[protocol]], [run.threshold])
        values.append(np.nan if block[metric] is None else block[metric])
    return np.array(values)


def _samples(
    scores: FoldScores, method: str, protocol: str, metric: str, bootstrap: int, seed: int
) -> np.ndarray:
    """Resamples of the metric averaged over runs, float64 (bootstrap,)."""
    runs = [
        bootstrap_samples(scores.labels, run.scores[protocol], run.threshold, bootstrap, seed)[metric]
        for run in scores.of(method)
    ]
    return np.mean(runs, axis=0)


def summary(folds: dict[str, FoldScores], method: str) -> dict[str, Any]:
    """Mean, worst and spread over the folds, a block a protocol or other condition of the scores.

    Args:
        folds: by name, each with runs of ``method``.
        method: name of the detector.

    Returns:
        For each condition and metric of :data:`SUMMARISED`: ``mean`` over folds and seeds, ``worst`` fold
        (mean over its seeds) with its name, ``std_folds`` over the folds' means and ``std_seeds``, the
        standard deviation over seeds of the mean over folds. None where a fold's value is undefined, or
        where there is a single fold or seed to spread over.
    """
    result: dict[str, Any] = {}
    for protocol in next(iter(folds.values())).of(method)[0].scores:
        block: dict[str, Any] = {}
        for metric in SUMMARISED:
            table = np.stack([_values(scores, method, protocol, metric) for scores in folds.values()])
            if np.isnan(table).any():
                block[metric] = None
                continue
            by_fold, by_seed = table.mean(axis=1), table.mean(axis=0)
            low_is_bad = metric not in {"fpr", "ece"}
            worst = int(by_fold.argmin() if low_is_bad else by_fold.argmax())
            block[metric] = {
                "mean": float(table.mean()),
                "worst": float(by_fold[worst]),
                "worst_fold": list(folds)[worst],
                "std_folds": float(by_fold.std(ddof=1)) if len(by_fold) > 1 else None,
                "std_seeds": float(by_seed.std(ddof=1)) if len(by_seed) > 1 else None,
            }
        result[protocol] = block
    return result


def gains(
    folds: dict[str, FoldScores], method: str, baseline: str, bootstrap: int, seed: int
) -> dict[str, Any]:
    """By how much ``method`` beats ``baseline`` in mean unseen AUROC, with paired intervals.

    Every resample draws the same images for both and, because all folds share their photographs, the same
    photographs in every fold; so the interval is that of the mean over folds of paired differences. It says
    how sure the difference is for these generators and trainings, not for other generators.

    Args:
        folds: by name, each with runs of both.
        method, baseline: names of detectors.
        bootstrap: number of resamples; 0 for no intervals.
        seed: of the resamples.

    Returns:
        For each protocol ``difference``, ``difference_ci95`` and ``per_fold`` differences, in AUROC. None
        where an AUROC is undefined.
    """
    result: dict[str, Any] = {}
    for protocol in PROTOCOLS:
        per_fold = {
            name: float(
                _values(scores, method, protocol, "auroc").mean()
                - _values(scores, baseline, protocol, "auroc").mean()
            )
            for name, scores in folds.items()
        }
        defined = not any(np.isnan(value) for value in per_fold.values())
        block: dict[str, Any] = {
            "difference": float(np.mean(list(per_fold.values()))) if defined else None,
            "per_fold": {name: None if np.isnan(value) else value for name, value in per_fold.items()},
        }
        if bootstrap:
            samples = [
                _samples(scores, method, protocol, "auroc", bootstrap, seed)
                - _samples(scores, baseline, protocol, "auroc", bootstrap, seed)
                for scores in folds.values()
            ]
            block["difference_ci95"] = interval(np.mean(samples, axis=0)) if defined else None
        result[protocol] = block
    return result
