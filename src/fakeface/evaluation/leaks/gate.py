"""Which figures of the probes are leaks, and the error that says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

import numpy as np

from fakeface.base.errors import FakefaceError
from fakeface.evaluation.leaks.duplicates import is_copy
from fakeface.evaluation.leaks.metadata import RECORD_COLUMNS
from fakeface.params import ProtocolName

# How many standard errors are put down to chance.
CHANCE = 3
# AUROCs of forests that learn from manifests without meaning scatter by so much more than those of fixed
# scores: 1.2 to 1.6 times, measured with 12 to 500 images a class and two folds.
FOREST_SCATTER = 1.5

# What is wrong with the figures of a probe; empty if nothing is, None if they do not say.
Findings = list[str] | None


class LeakFoundError(FakefaceError, ValueError):
    """The classes can be told by a shortcut, or splits share images; the message names the probes."""


def auroc_error(n_negative: int, n_positive: int, repeats: int = 1) -> float:
    """Standard error of a mean of AUROCs of scores that say nothing.

    That of the Mann-Whitney statistic: Mason and Graham, "Areas beneath the relative operating
    characteristics (ROC) and relative operating levels (ROL) curves", QJRMS 128, 2002, equation 8.
    """
    return float(np.sqrt((n_negative + n_positive + 1) / (12 * n_negative * n_positive * repeats)))


def _beyond(auroc: float, error: float, tolerance: float) -> bool:
    """Does the whole interval of ``CHANCE`` standard errors lie outside of 0.5 +- tolerance?"""
    return abs(auroc - 0.5) - CHANCE * error > tolerance


def _mean_auroc(name: str, figures: Mapping[str, Any], counts: tuple[int, int], tolerance: float) -> Findings:
    """Judge a mean over labellings; few of them may agree by luck, so the error has a floor."""
    if figures["auroc"] is None:
        return None
    error = max(figures["standard_error"], auroc_error(*counts, repeats=len(figures["aurocs"])))
    if not _beyond(figures["auroc"], error, tolerance):
        return []
    return [f"{name} AUROC {figures['auroc']:.3f} +- {error:.3f}, expected 0.5 +- {tolerance:g}"]


def _storage(figures: Mapping[str, Any], tolerance: float) -> Findings:  # noqa: ARG001
    return [
        f"{name} is stored as {how}, others as {figures['stored']}" for name, how in figures["unlike"].items()
    ]


def _metadata(figures: Mapping[str, Any], tolerance: float) -> Findings:
    """Below 0.5 nothing was learned: a forest that has nothing to learn scores as low as 0.43."""
    found: list[str] = []
    undefined = False
    for split, block in figures.items():
        for key in ("only_real", "only_fake"):
            found += [f"{split}: column {c} is {key}" for c in block[key] if c not in RECORD_COLUMNS]
        if block["auroc"] is None:
            undefined = True
            continue
        error = FOREST_SCATTER * auroc_error(block["n_real"], block["n_fake"])
        if block["auroc"] > 0.5 and _beyond(block["auroc"], error, tolerance):
            telling = {c: a for c, a in block["columns"].items() if c not in RECORD_COLUMNS}
            worst = max(telling, key=lambda column: telling[column])
            found.append(f"{split}: AUROC {block['auroc']:.3f} of the manifest, most of it by column {worst}")
    return found or (None if undefined else [])


def _route(figures: Mapping[str, Any], tolerance: float) -> Findings:
    unscaled = figures["unscaled"]
    if unscaled["changed_pixels"] is None:
        return None
    found: list[str] = []
    if unscaled["changed_pixels"]:
        share, most = unscaled["changed_pixels"], unscaled["largest_change"]
        found.append(f"the way of the fakes changes {share:.2%} of unscaled pixels, by up to {most}")
    counts = (figures["n_real"], figures["n_routed"])
    judged = [_mean_auroc(name, figures[name], counts, tolerance) for name in get_args(ProtocolName)]
    found += [finding for findings in judged for finding in findings or ()]
    return found or (None if None in judged else [])


def _shuffled_labels(figures: Mapping[str, Any], tolerance: float) -> Findings:
    return _mean_auroc("shuffled", figures, (figures["n_real"], figures["n_fake"]), tolerance)


def _equal_pixels(figures: Mapping[str, Any], tolerance: float) -> Findings:  # noqa: ARG001
    found: list[str] = []
    if figures["n_wrong_sha256"]:
        found.append(f"checksums in manifests that are not those of the pixels: {figures['n_wrong_sha256']}")
    if figures["n_shared"]:
        names = " and ".join(figures["shared"][0]["names"])
        found.append(f"images in two splits: {figures['n_shared']}, first {names}")
    return found


def _near_duplicates(figures: Mapping[str, Any], tolerance: float) -> Findings:  # noqa: ARG001
    if not figures["n_copies"]:
        return []
    first = next(filter(is_copy, figures["pairs"]))
    names = " and ".join(first["names"])
    return [
        f"copies of photographs in two splits: {figures['n_copies']}, "
        f"first {names} (correlation {first['correlation']:.3f})"
    ]


def _identities(figures: Mapping[str, Any], tolerance: float) -> Findings:  # noqa: ARG001
    counts = figures["n_shared"]
    found = [f"people in {pair}: {count}" for pair, count in counts.items() if count]
    return found or (None if None in counts.values() else [])


_JUDGES: dict[str, Callable[[Mapping[str, Any], float], Findings]] = {
    "storage": _storage,
    "metadata": _metadata,
    "route": _route,
    "shuffled_labels": _shuffled_labels,
    "equal_pixels": _equal_pixels,
    "near_duplicates": _near_duplicates,
    "identities": _identities,
}


def judge(figures: Mapping[str, Mapping[str, Any]], tolerance: float) -> dict[str, Findings]:
    """What each probe found.

    Args:
        figures: as of :func:`fakeface.evaluation.leaks.probes.run_probes`.
        tolerance: how far from 0.5 an AUROC may lie.
    """
    return {name: _JUDGES[name](block, tolerance) for name, block in figures.items()}


def passed(findings: Mapping[str, Findings]) -> dict[str, bool | None]:
    """By probe: True, False, or None if the data could not tell."""
    return {name: None if found is None else not found for name, found in findings.items()}


def leaks_headline(report: Mapping[str, Any]) -> dict[str, Any]:
    """Content of metrics/leaks.json.

    Args:
        report: ``passed`` of :func:`passed` and the figures of the probes.

    Returns:
        ``passed``, whether no probe found something, and ``route_auroc``, laundered: 0.5 if photographs that
        went the way of the fakes cannot be told from others.
    """
    return {
        "passed": all(found is not False for found in report["passed"].values()),
        "route_auroc": report["route"]["laundered"]["auroc"],
    }


def refuse_leaks(findings: Mapping[str, Findings], file: str) -> None:
    """Raise if a probe found something.

    Args:
        findings: of :func:`judge`.
        file: where the figures are, for the message.

    Raises:
        LeakFoundError: naming each such probe, with its figures.
    """
    leaks = [f"{name} ({'; '.join(found)})" for name, found in findings.items() if found]
    if leaks:
        raise LeakFoundError(f"{file}: the probes found leaks: {', '.join(leaks)}")
