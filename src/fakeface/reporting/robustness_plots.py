"""AUROC against the strength of each corruption, from ``robustness_metrics``: rows and a picture."""

from __future__ import annotations

from os import PathLike
from typing import Any

from fakeface.base.files import write_json
from fakeface.data.augmentation.corruptions import CORRUPTIONS
from fakeface.evaluation.figures import new_figure, write_png
from fakeface.evaluation.robustness import NO_STRENGTH, NONE, strength_name

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
