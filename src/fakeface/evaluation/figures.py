"""Figures without pyplot's global state, and rows for ``dvc plots``; files depend on their content alone."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fakeface.base.errors import MissingFileError
from fakeface.base.files import write_bytes, write_json, write_text

# The source of photographs, among names of GANs.
REAL = "real"
REAL_COLOUR = "#999999"
# Okabe and Ito's palette, told apart with any colour vision, without its yellow, too faint on white.
GAN_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000")
# Images a row of the contact sheet.
COLUMNS = 12


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


def write_contact_sheet(path: str | PathLike[str], sets: Mapping[str, np.ndarray]) -> None:
    """Write a PNG with one labelled row a set, in the order of ``sets``.

    Of ``sets``, uint8 (N, S, S, 3) by name, N >= 1, the first ``COLUMNS`` of each are shown.

    Raises:
        ValueError: if there is no set or one is empty.
    """
    if not sets or any(len(images) == 0 for images in sets.values()):
        raise ValueError(f"every row needs an image, got {[(name, len(x)) for name, x in sets.items()]}")
    figure = new_figure(1.6 + 0.8 * COLUMNS, 0.85 * len(sets), dpi=100)
    panels = figure.subplots(len(sets), 1, squeeze=False)[:, 0]
    for panel, (name, images) in zip(panels, sets.items(), strict=True):
        shown = np.asarray(images[:COLUMNS])
        row = np.full((shown.shape[1], COLUMNS * shown.shape[2], 3), 255, dtype=np.uint8)
        strip = np.concatenate(list(shown), axis=1)
        row[:, : strip.shape[1]] = strip
        panel.imshow(row, interpolation="nearest")
        bare(panel)
        panel.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    write_png(path, figure)


def write_quality_chart(path: str | Path, metrics: Path, gans: Sequence[str]) -> list[dict[str, Any]]:
    """Write, for a bar chart of DVC's, ``[{gan, kid}, ...]`` of the listed GANs, the best first; return it.

    ``metrics`` is the folder with ``<gan>.json`` of the quality stages.

    Raises:
        MissingFileError: if a GAN was not measured.
    """
    rows = []
    for gan in gans:
        file = metrics / f"{gan}.json"
        if not file.is_file():
            raise MissingFileError(f"{file}: no such file, run the stage quality@{gan} first")
        rows.append({"gan": gan, "kid": json.loads(file.read_text(encoding="utf-8"))["kid"]})
    rows.sort(key=lambda row: row["kid"])
    write_json(path, rows)
    return rows
