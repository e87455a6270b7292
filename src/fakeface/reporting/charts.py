"""Charts of figures in reports/: left-out GANs, reliability, coverage, attribution, robustness."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from fakeface.base.files import write_json
from fakeface.data.augmentation import CORRUPTIONS
from fakeface.evaluation.figures import GAN_COLOURS, new_figure, write_png
from fakeface.evaluation.robustness import NO_STRENGTH, NONE, strength_name
from fakeface.reporting.results_tables import TITLES

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


Path = str | PathLike[str]

CURVES = {"seen": "#0072B2", "unseen": "#D55E00"}
COLUMNS = 5
# What a strength of each family is; the ticks run from weak to strong.
_STRENGTHS = {
    "jpeg": ("JPEG", "quality"),
    "webp": ("WebP", "quality"),
    "blur": ("Gaussian blur", "sigma in pixels"),
    "noise": ("Gaussian noise", "sigma, of 255"),
    "rescale": ("down and up again", "share of the side"),
    "crop": ("centre crop, enlarged", "share of the side"),
    "darken": ("darker", "factor"),
    "brighten": ("brighter", "factor"),
    "contrast_down": ("less contrast", "factor"),
    "contrast_up": ("more contrast", "factor"),
}


def _measured(metrics: dict[str, Any]) -> list[str]:
    return [family for family in CORRUPTIONS if family in metrics]


def write_rows(path: Path, metrics: dict[str, Any]) -> None:
    """Write JSON rows ``family, step, strength, curve, auroc`` for the template `.dvc/plots/families.json`.

    ``step`` counts the strengths of a family from weak to strong, from 1; step 0 are the images as prepared,
    their strength is ``none``. ``curve`` is ``seen`` or ``unseen``. An AUROC that is undefined has no row.
    """
    clean = metrics[NONE][strength_name(NO_STRENGTH)]
    rows = []
    for family in _measured(metrics):
        for step, (strength, block) in enumerate([(NONE, clean), *metrics[family].items()]):
            place = {"family": family, "step": step, "strength": strength}
            rows += [
                place | {"curve": curve, "auroc": round(block[f"auroc_{curve}"], 5)}
                for curve in CURVES
                if block[f"auroc_{curve}"] is not None
            ]
    write_json(path, rows)


def write_picture(path: Path, metrics: dict[str, Any]) -> None:
    """Write a PNG with a panel a family; dashed lines are the images as prepared, bands 95 % intervals."""
    families = _measured(metrics)
    clean = metrics[NONE][strength_name(NO_STRENGTH)]
    n_rows = -(-len(families) // COLUMNS)
    figure = new_figure(2.6 * COLUMNS, 2.6 * n_rows + 0.7)
    panels = figure.subplots(n_rows, COLUMNS, sharey=True, squeeze=False).reshape(-1)
    for panel, family in zip(panels, families, strict=False):
        _draw_panel(panel, metrics[family], clean)
        title, unit = _STRENGTHS[family]
        panel.set_title(title, fontsize=11)
        panel.set_xlabel(unit)
    for panel in panels[len(families) :]:
        panel.set_visible(False)
    for panel in panels[::COLUMNS]:
        panel.set_ylabel("AUROC")
    # All panels share the axis, so this comes when the lowest point of all is drawn.
    panels[0].set_ylim(top=1.01)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    write_png(path, figure)


def _draw_panel(panel: Any, blocks: dict[str, Any], clean: dict[str, Any]) -> None:
    """Seen and unseen GANs against the strengths, which stand at equal distances."""
    places = range(len(blocks))
    for curve, colour in CURVES.items():
        name = f"auroc_{curve}"
        if clean[name] is None:
            continue
        panel.axhline(
            clean[name], color=colour, linestyle="--", linewidth=1, label=f"{curve} GANs, no corruption"
        )
        values = [block[name] for block in blocks.values()]
        panel.plot(places, values, color=colour, marker="o", markersize=4, label=f"{curve} GANs")
        if f"{name}_ci95" in clean:
            low, high = zip(*(block[f"{name}_ci95"] for block in blocks.values()), strict=True)
            panel.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)
    panel.axhline(0.5, color="#999999", linestyle=":", linewidth=1, label="chance")
    panel.set_xticks(places, list(blocks))
    panel.margins(x=0.08)
    panel.grid(axis="y", color="#eeeeee")
