"""What the scores of the folds say: every fold, their mean and worst, and gains over each baseline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fakeface.evaluation.fold_scores import CORRUPTED, FoldScores, joined
from fakeface.evaluation.folds import Fold, gan_fold, upsampler_fold
from fakeface.metrics.scores import bootstrap_samples, interval, mean_block
from fakeface.params import PROTOCOLS, Params

# -------------------------------------------------------------------------------------------------
# The figures of one detector in one fold.

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


# -------------------------------------------------------------------------------------------------
# Over all folds: how good, how bad at worst, how steady, and better than which baseline by how much.

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


# -------------------------------------------------------------------------------------------------
# What metrics/leave_one_out.json and metrics/baselines.json hold: all folds and all detectors together.

Folds = dict[str, FoldScores]


def read_folds(names: Sequence[str], ours: Path, others: Path) -> dict[str, FoldScores]:
    """Runs of our detector and of those it is compared with, fold by fold.

    Args:
        names: of the folds; further folders are left aside.
        ours, others: folders with one folder of scores a fold.

    Raises:
        FoldScoresError: if a folder is missing or damaged, or the two are about other images.
    """
    return {name: joined(FoldScores.read(root / name) for root in (ours, others)) for name in names}


def _compared(folds: Folds) -> list[str]:
    """Names of the detectors that ours is compared with, in the order of their runs."""
    runs = [run.method for scores in folds.values() for run in scores.runs]
    return [method for method in dict.fromkeys(runs) if method != DETECTOR]


def comparison_metrics(params: Params, by_gan: Folds, by_upsampler: Folds) -> dict[str, Any]:
    """Content of metrics/leave_one_out.json.

    Args:
        params: of the experiment.
        by_gan: a fold for each GAN.
        by_upsampler: a fold for each upsampler.

    Returns:
        ``variant`` and ``loss`` of our detector, ``never_train``; the detector's
        :func:`~fakeface.evaluation.compare.summary` over the folds of GANs that may train;
        ``out_of_domain``, the same over the GANs that never do; ``upsamplers``, over the folds of upsamplers.
        ``methods`` has the three again for each detector that ours is compared with, and ``gains`` by how
        much ours is better, see :func:`~fakeface.evaluation.compare.gains`.
    """
    never = params.leave_one_out.never_train
    groups: dict[str, Folds] = {
        "": {gan: scores for gan, scores in by_gan.items() if gan not in never},
        "out_of_domain": {gan: scores for gan, scores in by_gan.items() if gan in never},
        "upsamplers": by_upsampler,
    }
    groups = {name: folds for name, folds in groups.items() if folds}

    def summaries(method: str) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, folds in groups.items():
            result |= {name: summary(folds, method)} if name else summary(folds, method)
        return result

    def all_gains(method: str) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, folds in groups.items():
            block = gains(folds, DETECTOR, method, params.evaluate.bootstrap, params.seed)
            result |= {name: block} if name else block
        return result

    return {
        "variant": params.cffn.variant,
        "loss": params.cffn.loss,
        "never_train": list(never),
        **summaries(DETECTOR),
        "methods": {method: summaries(method) for method in _compared(by_gan)},
        "gains": {method: all_gains(method) for method in _compared(by_gan)},
    }


def baseline_metrics(params: Params, by_gan: Folds, by_upsampler: Folds) -> dict[str, Any]:
    """Content of metrics/baselines.json: for each detector a block a fold and protocol.

    Returns:
        ``{<detector>: {<held-out GAN>: ..., "upsamplers": {<held-out upsampler>: ...}}}``, each entry as
        :func:`~fakeface.evaluation.compare.fold_metrics` makes it.
    """
    return {
        method: {
            **{
                gan: fold_metrics(params, gan_fold(params, gan), scores, method)
                for gan, scores in by_gan.items()
            },
            "upsamplers": {
                name: fold_metrics(params, upsampler_fold(params, name), scores, method)
                for name, scores in by_upsampler.items()
            },
        }
        for method in _compared(by_gan)
    }


def nested_metrics(by_gan: Folds, by_upsampler: Folds) -> dict[str, Any]:
    """Content of metrics/nested_validation.json: the summary over the folds, and each fold's AUROCs.

    Args:
        by_gan, by_upsampler: of :func:`fakeface.evaluation.leave_one_out.score_nested`, by what is left out.

    Returns:
        :func:`~fakeface.evaluation.compare.summary` and ``auroc_per_fold`` of the first; ``upsamplers``
        has those of the second. Conditions are the protocols and ``corrupted``; without folds they are None
        and ``undefined`` says why.
    """
    reason = "needs two {} that training may see: one to train on, one to leave out"
    return {
        **_nested(by_gan, reason.format("GANs")),
        "upsamplers": _nested(by_upsampler, reason.format("upsamplers")),
    }


def _nested(folds: Folds, reason: str) -> dict[str, Any]:
    if not folds:
        conditions = (*PROTOCOLS, CORRUPTED)
        return {**dict.fromkeys(conditions), "undefined": dict.fromkeys(conditions, reason)}
    aurocs: dict[str, dict[str, float | None]] = {}
    for name, scores in folds.items():
        blocks = {protocol: block["auroc"] for protocol, block in summary({name: scores}, DETECTOR).items()}
        aurocs[name] = {protocol: auroc and auroc["mean"] for protocol, auroc in blocks.items()}
    return {**summary(folds, DETECTOR), "auroc_per_fold": aurocs}


def chart_rows(by_gan: Folds) -> list[dict[str, Any]]:
    """AUROC of every detector in every fold, ``{detector, held_out, protocol, auroc}``, for `dvc plots`."""
    rows = []
    for gan, scores in by_gan.items():
        for method in (DETECTOR, *_compared(by_gan)):
            for protocol, block in summary({gan: scores}, method).items():
                auroc = block["auroc"] and block["auroc"]["mean"]
                rows.append({"detector": method, "held_out": gan, "protocol": protocol, "auroc": auroc})
    return rows
