"""What the scores of all folds say: how good, how bad at worst, how steady, and better than which baseline.

Everything here is computed from scores that the folds have written, so it trains nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fakeface.evaluation.folds import DETECTOR, Fold, FoldScores, joined, make_fold
from fakeface.metrics.scores import bootstrap_samples, interval, mean_block
from fakeface.params import CORRUPTED, PROTOCOLS, Params

Folds = dict[str, FoldScores]

# The figures that are averaged over folds. AUROC first: it needs no threshold.
SUMMARISED = ("auroc", "average_precision", "precision", "recall", "fpr", "ece")
# Of :func:`summary`, where there is no fold to sum up: the regression gate finds every figure, as null.
_NO_FIGURES = dict.fromkeys(("mean", "worst", "worst_fold", "std_folds", "std_seeds"))


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


def summary(folds: Folds, method: str) -> dict[str, Any]:
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


def gains(folds: Folds, method: str, baseline: str, bootstrap: int, seed: int) -> dict[str, Any]:
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


def fold_metrics(params: Params, fold: Fold, scores: FoldScores, method: str) -> dict[str, Any]:
    """The figures of one detector in one fold: a block a protocol, averaged over the seeds.

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


def read_folds(names: Sequence[str], *roots: Path) -> Folds:
    """Runs of every fold, those of several stages joined.

    Args:
        names: of the folds; further folders are left aside.
        roots: folders with one folder of scores a fold.

    Raises:
        FoldScoresError: if a folder is missing or damaged, or they are about other images.
    """
    return {name: joined(FoldScores.read(root / name) for root in roots) for name in names}


def compared_methods(folds: Folds) -> list[str]:
    """Names of the detectors that ours is compared with, in the order of their runs."""
    runs = [run.method for scores in folds.values() for run in scores.runs]
    return [method for method in dict.fromkeys(runs) if method != DETECTOR]


def _grouped(params: Params, folds: Folds) -> dict[str, Folds]:
    """Folds of GANs that may train, of GANs ``out_of_domain`` and of ``upsamplers``; no empty group."""
    groups: dict[str, Folds] = {"gans": {}, "out_of_domain": {}, "upsamplers": {}}
    for name, scores in folds.items():
        never = name in params.leave_one_out.never_train
        group = "out_of_domain" if never else "gans" if name in params.gans else "upsamplers"
        groups[group][name] = scores
    return {name: group for name, group in groups.items() if group}


def comparison_report(params: Params, folds: Folds) -> dict[str, Any]:
    """Content of reports/leave_one_out.json.

    Args:
        params: of the experiment.
        folds: by name of the GAN or upsampler that was left out.

    Returns:
        ``variant`` and ``loss`` of our detector, ``never_train``; the detector's :func:`summary` by group of
        folds: ``gans`` that may train, ``out_of_domain``, GANs that never do, and ``upsamplers``. ``methods``
        has the three again for each detector that ours is compared with, and ``gains`` by how much ours is
        better, see :func:`gains`. ``folds`` has our detector's :func:`fold_metrics`. Without a fold of a GAN
        that may train, the figures of ``gans`` are None and ``undefined`` says why.
    """
    groups, methods = _grouped(params, folds), compared_methods(folds)
    without: dict[str, Any] = {}
    if "gans" not in groups:
        reason = "names no GAN that may train" if folds else "is empty: nothing was left out"
        nothing = {protocol: dict.fromkeys(SUMMARISED, _NO_FIGURES) for protocol in PROTOCOLS}
        without = {"undefined": f"leave_one_out.folds {reason}", "gans": nothing}
    options = (params.evaluate.bootstrap, params.seed)
    return {
        "variant": params.cffn.variant,
        "loss": params.cffn.loss,
        "never_train": list(params.leave_one_out.never_train),
        **without,
        **{group: summary(part, DETECTOR) for group, part in groups.items()},
        "methods": {
            method: {group: summary(part, method) for group, part in groups.items()} for method in methods
        },
        "gains": {
            method: {group: gains(part, DETECTOR, method, *options) for group, part in groups.items()}
            for method in methods
        },
        "folds": fold_blocks(params, folds, DETECTOR),
    }


def baselines_report(params: Params, folds: Folds) -> dict[str, Any]:
    """Content of reports/baselines.json: :func:`fold_blocks` of each detector that ours is compared with."""
    return {method: fold_blocks(params, folds, method) for method in compared_methods(folds)}


def fold_blocks(params: Params, folds: Folds, method: str) -> dict[str, Any]:
    """:func:`fold_metrics` of one detector by name of the fold."""
    return {
        name: fold_metrics(params, make_fold(params, name), scores, method) for name, scores in folds.items()
    }


def comparison_headline(report: dict[str, Any]) -> dict[str, Any]:
    """Content of metrics/leave_one_out.json, from :func:`comparison_report`.

    Returns:
        AUROC on a left-out GAN that may train, ``mean`` over GANs and ``worst`` GAN, by protocol; ``gain``,
        the laundered difference of the mean to each detector that ours is compared with.
    """
    aurocs = {name: report["gans"][name]["auroc"] or {} for name in PROTOCOLS}
    return {
        **{name: {key: auroc.get(key) for key in ("mean", "worst")} for name, auroc in aurocs.items()},
        "gain": {
            method: groups["gans"][PROTOCOLS[0]]["difference"]
            for method, groups in report["gains"].items()
            if "gans" in groups
        },
    }


def nested_report(nested: dict[str, Folds]) -> dict[str, Any]:
    """Content of reports/nested_validation.json: the summary over the folds, and each fold's AUROCs.

    Args:
        nested: of :func:`fakeface.evaluation.leave_one_out.score_nested`: ``gans`` and ``upsamplers``.

    Returns:
        For both :func:`summary` and ``auroc_per_fold``. Conditions are the protocols and
        ``corrupted``; without folds they are None and ``undefined`` says why.
    """
    return {kind: _nested(kind, folds) for kind, folds in nested.items()}


def _nested(kind: str, folds: Folds) -> dict[str, Any]:
    if not folds:
        conditions = (*PROTOCOLS, CORRUPTED)
        what = "GANs" if kind == "gans" else kind
        reason = f"needs two {what} that training may see: one to train on, one to leave out"
        return {**dict.fromkeys(conditions), "undefined": dict.fromkeys(conditions, reason)}
    aurocs: dict[str, dict[str, float | None]] = {}
    for name, scores in folds.items():
        blocks = {protocol: block["auroc"] for protocol, block in summary({name: scores}, DETECTOR).items()}
        aurocs[name] = {protocol: auroc and auroc["mean"] for protocol, auroc in blocks.items()}
    return {**summary(folds, DETECTOR), "auroc_per_fold": aurocs}


def nested_headline(report: dict[str, Any]) -> dict[str, Any]:
    """Content of metrics/nested_validation.json: mean AUROC over the folds, laundered and corrupted."""
    result: dict[str, Any] = {}
    for kind in ("gans", "upsamplers"):
        blocks = {condition: report[kind][condition] for condition in (PROTOCOLS[0], CORRUPTED)}
        result[kind] = {
            condition: block["auroc"]["mean"] if block and block["auroc"] else None
            for condition, block in blocks.items()
        }
    return result


def chart_rows(params: Params, folds: Folds) -> list[dict[str, Any]]:
    """AUROC of every detector on every left-out GAN, ``{detector, held_out, protocol, auroc}``, to plot."""
    rows = []
    for name, scores in folds.items():
        if name not in params.gans:
            continue
        for method in (DETECTOR, *compared_methods(folds)):
            for protocol, block in summary({name: scores}, method).items():
                auroc = block["auroc"] and block["auroc"]["mean"]
                rows.append({"detector": method, "held_out": name, "protocol": protocol, "auroc": auroc})
    return rows
