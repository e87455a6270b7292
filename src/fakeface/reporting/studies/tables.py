"""The figures of the studies as Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fakeface.base.markdown import TableError, markdown_table, read_json
from fakeface.reporting.studies.experiments import CURATION_METHODS, FOLDS, criterion


def losses_table(path: Path) -> str:
    """Margins, losses and networks, the best mean over everything first: what settings are chosen by.

    Raises:
        TableError: if there is no such file.
    """
    rows = read_json(path)
    conditions = list(next(iter(rows.values()))[FOLDS[0]])
    lines = []
    for name, row in sorted(rows.items(), key=lambda item: -criterion(item[1])):
        means = [row[left_out][condition]["mean"] for left_out in FOLDS for condition in conditions]
        worst = min(row[left_out][conditions[0]]["worst"] for left_out in FOLDS)
        changed = ", ".join(f"`{change}`" for change in row["changes"]) or "–"
        lines.append([name, changed, *(f"{value:.4f}" for value in (criterion(row), *means, worst))])
    header = ["experiment", "changed", "mean of all"]
    header += [f"{left_out} left out: {condition}" for left_out in FOLDS for condition in conditions]
    return markdown_table([*header, f"worst, {conditions[0]}"], lines)


def paired_interval(differences: np.ndarray) -> tuple[float, float]:
    """Mean of differences, one a seed, and half the width of its 95 % interval (Student's t); NaN for one."""
    from scipy.stats import t

    count = len(differences)
    if count < 2:
        return float(differences.mean()), math.nan
    error = differences.std(ddof=1) / math.sqrt(count)
    return float(differences.mean()), float(t.ppf(0.975, count - 1) * error)


def curation_table(path: Path) -> str:
    """What learning from curated fakes gains on GANs left out, over all fakes and over as many at random.

    Differences are taken seed by seed, so that what a seed does to both drops out.

    Raises:
        TableError: if there is no such file, or the experiments without curation are not in it.
    """
    rows = read_json(path)
    scores = {method: _by_seed(rows, method) for method in CURATION_METHODS}
    if not scores["none"]:
        raise TableError(f"{path}: holds no experiment none-seed-...")
    lines = []
    for method, values in scores.items():
        if not values:
            continue
        same = [row for name, row in rows.items() if name.startswith(f"{method}-seed-")]
        cells = [method, _kept(same), *(_quality(same, name) for name in ("kid", "precision", "recall"))]
        cells.append(f"{np.mean(list(values.values())):.4f}")
        lines.append([*cells, _gain(values, scores["none"]), _gain(values, scores["random"])])
    header = ["method", "fakes kept", "KID before → after", "precision", "recall", "mean AUROC"]
    return markdown_table([*header, "gain over none [95 %]", "gain over random [95 %]"], lines)


def _by_seed(rows: Mapping[str, Any], method: str) -> dict[str, float]:
    prefix = f"{method}-seed-"
    return {
        name.removeprefix(prefix): criterion(row) for name, row in rows.items() if name.startswith(prefix)
    }


def _gain(values: Mapping[str, float], other: Mapping[str, float]) -> str:
    seeds = [seed for seed in values if seed in other]
    if not seeds or values == other:
        return "–"
    mean, half = paired_interval(np.array([values[seed] - other[seed] for seed in seeds]))
    return f"{mean:+.4f} [{mean - half:+.4f}, {mean + half:+.4f}]"


def _gans(row: Mapping[str, Any]) -> list[str]:
    return [key.removesuffix(".n_before") for key in row["curation"] if key.endswith(".n_before")]


def _kept(rows: Sequence[Mapping[str, Any]]) -> str:
    """Share of all fakes of all experiments."""
    before, after = (
        sum(row["curation"][f"{gan}.{key}"] for row in rows for gan in _gans(row))
        for key in ("n_before", "n_after")
    )
    return f"{after / before:.0%}" if before else "–"


def _quality(rows: Sequence[Mapping[str, Any]], measure: str) -> str:
    """Mean over experiments and GANs, before and after."""
    pairs = [
        [row["curation"][key] for key in (f"{gan}.before.{measure}", f"{gan}.after.{measure}")]
        for row in rows
        for gan in _gans(row)
        if f"{gan}.after.{measure}" in row["curation"]
    ]
    if not pairs:
        return "–"
    before, after = np.mean(pairs, axis=0)
    return f"{before:.3f} → {after:.3f}"


TABLES = {"losses": losses_table, "curation": curation_table}
