"""Figures without pyplot's global state, and rows for ``dvc plots``; files depend on their content alone."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from os import PathLike
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fakeface.base.files import write_bytes, write_text

# The source of photographs, among names of GANs.
REAL = "real"
REAL_COLOUR = "#999999"
# Okabe and Ito's palette, told apart with any colour vision, without its yellow, too faint on white.
GAN_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000")


def new_figure(width: float, height: float, dpi: int = 120) -> Figure:
    """An empty figure of so many inches."""
    figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def write_png(path: str | PathLike[str], figure: Figure) -> None:
    """Write atomically; equal pictures are equal bytes, so no software version goes into the file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    write_bytes(path, buffer.getvalue())


def write_rows(path: str | PathLike[str], rows: Sequence[dict[str, Any]]) -> None:
    """Write a JSON list with a row a line, so that a diff of two runs can be read."""
    lines = ",\n".join(json.dumps(row) for row in rows)
    write_text(path, f"[\n{lines}\n]\n")


def bare(panel: Any) -> None:
    """No ticks and no frame: a panel that holds a picture."""
    panel.set_xticks([])
    panel.set_yticks([])
    panel.spines[:].set_visible(False)


def colours(gans: Sequence[str]) -> dict[str, str]:
    """A colour a GAN, the same in every plot, and grey for ``real``."""
    return {REAL: REAL_COLOUR} | {gan: GAN_COLOURS[i % len(GAN_COLOURS)] for i, gan in enumerate(gans)}


def described(source: str, held_out: Sequence[str]) -> str:
    """``photograph``, ``dcgan (seen)`` or ``sngan (unseen)``."""
    if source == REAL:
        return "photograph"
    return f"{source} ({'unseen' if source in held_out else 'seen'})"
