"""What metrics/leave_one_out.json and metrics/baselines.json hold: all folds and all detectors together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fakeface.evaluation.comparison import gains, summary
from fakeface.evaluation.fold_metrics import DETECTOR, fold_metrics
from fakeface.evaluation.fold_scores import HARMED, FoldScores, joined
from fakeface.evaluation.folds import gan_fold, upsampler_fold
from fakeface.params import PROTOCOLS, Params

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
        :func:`~fakeface.evaluation.comparison.summary` over the folds of GANs that may train;
        ``out_of_domain``, the same over the GANs that never do; ``upsamplers``, over the folds of upsamplers.
        ``methods`` has the three again for each detector that ours is compared with, and ``gains`` by how
        much ours is better, see :func:`~fakeface.evaluation.comparison.gains`.
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
        :func:`~fakeface.evaluation.fold_metrics.fold_metrics` makes it.
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
        :func:`~fakeface.evaluation.comparison.summary` and ``auroc_per_fold`` of the first; ``upsamplers``
        has those of the second. Conditions are the protocols and ``harmed``; without folds they are None
        and ``undefined`` says why.
    """
    reason = "needs two {} that training may see: one to train on, one to leave out"
    return {
        **_nested(by_gan, reason.format("GANs")),
        "upsamplers": _nested(by_upsampler, reason.format("upsamplers")),
    }


def _nested(folds: Folds, reason: str) -> dict[str, Any]:
    if not folds:
        conditions = (*PROTOCOLS, HARMED)
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
