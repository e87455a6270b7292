"""Drawings of the loss, from the code, and of the networks: python docs/draw.py writes docs/pictures/."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fakeface.models.losses import contrastive_loss

matplotlib.rcParams["svg.hashsalt"] = "fakeface"
_INK, _BLUE, _ORANGE = "#37474f", "#1565c0", "#c75b12"


def write_all(folder: Path) -> None:
    """Write loss.svg, siamese.svg and detector.svg."""
    folder.mkdir(exist_ok=True)
    for name, figure in {"loss": loss(), "siamese": siamese(), "detector": detector()}.items():
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None}, facecolor="white")


def loss() -> Figure:
    """The contrastive loss of one pair against its distance, for three margins."""
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.subplots()
    distances = torch.linspace(0, 2.5, 200)

    def curve(same: bool, margin: float) -> torch.Tensor:
        return contrastive_loss(distances.square(), torch.full((200,), same), margin)

    axes.plot(distances, curve(True, 1.0), color=_BLUE, label="one class")
    for margin, style in ((0.5, ":"), (1.0, "--"), (2.0, "-")):
        label = f"two classes, margin {margin:g}"
        axes.plot(distances, curve(False, margin), color=_ORANGE, ls=style, label=label)
    axes.set(xlabel="distance of the two embeddings", ylabel="loss of the pair", ylim=(0, 2.2), xlim=(0, 2.5))
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    return figure, axes


def _box(axes: Axes, x: float, y: float, text: str, colour: str = _INK) -> None:
    axes.text(
        x, y, text, ha="center", va="center", fontsize=9, color=colour,
        bbox={"boxstyle": "round,pad=0.4,rounding_size=0.2", "facecolor": "white", "edgecolor": colour},
    )  # fmt: skip


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], text: str = "") -> None:
    axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": _INK})
    if text:
        middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + 0.12)
        axes.text(*middle, text, ha="center", fontsize=8, color=_INK)


def siamese() -> Figure:
    """Two pictures, one network with shared weights, one loss."""
    figure, axes = _canvas(8, 2.6)
    for y, text in ((2.0, "photograph"), (0.6, "fake")):
        _box(axes, 0.8, y, text)
        _box(axes, 3.2, y, "CFFN", colour=_BLUE)
        _arrow(axes, (1.4, y), (2.7, y))
        _arrow(axes, (3.7, y), (5.9, 1.3 + (0.1 if y > 1.3 else -0.1)), "384 numbers" if y > 1.3 else "")
    axes.plot([3.2, 3.2], [0.85, 1.75], color=_BLUE, ls="--", lw=1)
    axes.text(3.3, 1.3, "same weights", fontsize=8, va="center", color=_BLUE)
    _box(axes, 6.8, 1.3, "distance,\ncontrastive loss", colour=_ORANGE)
    return figure


def detector() -> Figure:
    """From a picture to a verdict."""
    figure, axes = _canvas(9.4, 2.9)
    _box(axes, 0.9, 1.9, "face,\n64x64")
    _arrow(axes, (1.4, 1.9), (2.2, 1.9))
    levels = ((2.7, "level 2"), (4.2, "level 3"), (5.7, "level 4"))
    for index, (x, name) in enumerate(levels):
        _box(axes, x, 1.9, name, colour=_BLUE)
        _box(axes, x, 0.85, "head,\n128", colour=_BLUE)
        _arrow(axes, (x, 1.65), (x, 1.2))
        axes.plot([x, x], [0.5, 0.2], color=_INK, lw=1)
        if index:
            _arrow(axes, (x - 1.05, 1.9), (x - 0.45, 1.9))
    axes.text(4.2, 2.55, "CFFN", ha="center", fontsize=10, color=_BLUE)
    axes.plot([levels[0][0], 6.9], [0.2, 0.2], color=_INK, lw=1)
    axes.text(6.1, 0.32, "384 numbers", fontsize=8, ha="center", color=_INK)
    _arrow(axes, (6.9, 0.2), (6.9, 1.15))
    _box(axes, 6.9, 1.4, "CN", colour=_ORANGE)
    _arrow(axes, (7.25, 1.4), (7.9, 1.4))
    _box(axes, 8.6, 1.4, "calibrated\nP(fake)", colour=_ORANGE)
    return figure


if __name__ == "__main__":
    write_all(Path(__file__).parent / "pictures")
