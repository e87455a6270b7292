"""Charts that no stage draws as a picture: left-out GANs, reliability, coverage, attribution."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from fakeface.evaluation.figures import GAN_COLOURS
from fakeface.reporting.fold_tables import TITLES

OURS = "detector"
# A bin of fewer images says next to nothing of the share of fakes in it.
FEW = 5
_FIXED = {"svg.hashsalt": "fakeface", "svg.fonttype": "none"}


def svg(figure: Figure) -> str:
    """The figure as an SVG element; equal figures give equal text."""
    text = io.StringIO()
    with matplotlib.rc_context(_FIXED):
        FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None, "Creator": None})
    content = text.getvalue()
    return content[content.index("<svg") :]


def left_out_chart(rows: Sequence[Mapping[str, Any]], protocols: Sequence[str]) -> Figure:
    """A panel a protocol, a row a GAN left out, a dot a detector; rows of plots/leave_one_out.json."""
    gans = list(dict.fromkeys(row["held_out"] for row in rows))
    detectors = list(dict.fromkeys(row["detector"] for row in rows))
    figure = Figure(figsize=(10, 0.45 * len(gans) + 1.6), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(protocols), sharey=True, sharex=True))
    for axis, protocol in zip(axes, protocols, strict=True):
        for index, detector in enumerate(detectors):
            chosen = [row for row in rows if (row["detector"], row["protocol"]) == (detector, protocol)]
            points = {row["held_out"]: row["auroc"] for row in chosen}
            ours = detector == OURS
            axis.scatter(
                [points.get(gan, np.nan) for gan in gans],
                range(len(gans)),
                s=70 if ours else 26,
                marker="D" if ours else "o",
                color="black" if ours else GAN_COLOURS[(index - 1) % (len(GAN_COLOURS) - 1)],
                label="ours" if ours else TITLES.get(detector, detector),
                zorder=3 if ours else 2,
            )
        axis.axvline(0.5, color="#bbbbbb", linewidth=0.8)
        axis.set(title=protocol, xlabel="AUROC")
        axis.grid(axis="y", color="#eeeeee")
    axes[0].set_yticks(range(len(gans)), gans)
    axes[0].invert_yaxis()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(detectors))
    return figure


def reliability_chart(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Share of fakes by mean score; rows of plots/evaluation/calibration.json, the groups of GANs only."""
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1)
    used = [row for row in rows if row["n"] >= FEW]
    _draw_groups(axis, _groups(rows), used, "mean_score", "share_fake", marker="o", markersize=4)
    axis.set(xlabel="mean score in the bin", ylabel="share of fakes", xlim=(0, 1), ylim=(0, 1))
    axis.legend(loc="upper left")
    return figure


def coverage_chart(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Balanced accuracy on the surest images; rows of plots/evaluation/coverage.json."""
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axis = figure.subplots()
    _draw_groups(axis, _groups(rows), rows, "coverage", "accuracy")
    axis.set(xlabel="share of images that are decided", ylabel="balanced accuracy on them", xlim=(0, 1))
    axis.legend(loc="lower left")
    return figure


def _groups(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The curves over seen and over unseen GANs, or all curves if there are no such ones."""
    names = list(dict.fromkeys(str(row["curve"]) for row in rows))
    return [name for name in names if name in ("all seen", "all unseen")] or names[: len(GAN_COLOURS)]


def _draw_groups(
    axis: Any, names: Sequence[str], rows: Sequence[Mapping[str, Any]], x: str, y: str, **style: Any
) -> None:
    for name, colour in zip(names, GAN_COLOURS, strict=False):
        points = [row for row in rows if row["curve"] == name]
        axis.plot([row[x] for row in points], [row[y] for row in points], color=colour, label=name, **style)


def confusion_chart(actual: Sequence[str], predicted: Sequence[str]) -> Figure:
    """Shares of each GAN's images by the name that they were given."""
    rows = list(dict.fromkeys(actual))
    columns = [*(name for name in rows if name in set(predicted)), "unknown"]
    named = Counter(zip(actual, predicted, strict=True))
    counts = np.array([[named[row, column] for column in columns] for row in rows], dtype=float)
    shares = counts / counts.sum(axis=1, keepdims=True)
    figure = Figure(figsize=(0.8 * len(columns) + 2.2, 0.5 * len(rows) + 1.6), layout="constrained")
    axis = figure.subplots()
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for i, j in np.ndindex(*shares.shape):
        if shares[i, j] >= 0.005:
            colour = "white" if shares[i, j] > 0.6 else "black"
            axis.text(j, i, f"{shares[i, j]:.2f}", ha="center", va="center", color=colour, fontsize=8)
    axis.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
    axis.set_yticks(range(len(rows)), rows)
    axis.set(xlabel="named", ylabel="made by")
    return figure
