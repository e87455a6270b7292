"""The errors that the detector was surest of: a table and a picture of twelve."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from fakeface.evaluation.explain.judged import HEADLINE, REAL, Judged
from fakeface.evaluation.figures import bare, described, new_figure, write_png

PER_KIND = 6
PER_GAN = 2


def worst_errors(judged: Judged) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the photographs with the highest scores and of the fakes with the lowest, worst first.

    Only errors at the frozen threshold; six of each kind at most, and two a GAN.
    """
    photographs = judged.extreme(~judged.right & (judged.sources == REAL), PER_KIND, highest=True)
    fakes = judged.extreme(~judged.right & (judged.sources != REAL), PER_KIND, highest=False, each=PER_GAN)
    return photographs, fakes


def worst_error_table(judged: Judged, held_out: Sequence[str]) -> pd.DataFrame:
    """One row an error: ``error, rank, name, source, seen, score, threshold``.

    ``error`` is ``false positive`` for a photograph, ``false negative`` for a fake. ``seen`` is empty
    for photographs, ``yes`` or ``no`` for fakes.
    """
    rows = []
    kinds = ("false positive", "false negative")
    for kind, chosen in zip(kinds, worst_errors(judged), strict=True):
        for rank, row in enumerate(chosen, start=1):
            source = str(judged.sources[row])
            rows.append(
                {
                    "error": kind,
                    "rank": rank,
                    "name": judged.names[row],
                    "source": source,
                    "seen": "" if source == REAL else "no" if source in held_out else "yes",
                    "score": round(float(judged.scores[row]), 6),
                    "threshold": round(judged.threshold, 6),
                }
            )
    columns = ["error", "rank", "name", "source", "seen", "score", "threshold"]
    return pd.DataFrame(rows, columns=columns)


def write_worst_errors(path: str | PathLike[str], judged: Judged, held_out: Sequence[str]) -> None:
    """A PNG with a row of photographs called fake and one of fakes missed, as the detector saw them."""
    figure = new_figure(10.5, 5.2)
    panels = figure.subplots(2, PER_KIND)
    n_real, n_fake = int((judged.sources == REAL).sum()), int((judged.sources != REAL).sum())
    titles = ("photographs\ncalled fake", "fakes\nnot called fake")
    for kind, (title, chosen) in enumerate(zip(titles, worst_errors(judged), strict=True)):
        for column, panel in enumerate(panels[kind]):
            bare(panel)
            if column == 0:
                panel.set_ylabel(title, fontsize=11)
            if column >= len(chosen):
                panel.text(0.5, 0.5, "no further\nerror", ha="center", va="center", transform=panel.transAxes)
                continue
            row = chosen[column]
            panel.imshow(judged.images[row], interpolation="nearest")
            source = str(judged.sources[row])
            number = PurePosixPath(str(judged.names[row])).name
            panel.set_title(f"score {judged.scores[row]:.3f}", fontsize=11)
            panel.set_xlabel(f"{described(source, held_out)}\n{number}", fontsize=9)
    figure.suptitle("The errors that the detector was surest of", fontsize=13)
    figure.supxlabel(
        f"Score: P(fake). Above the threshold {judged.threshold:.3f} an image is called fake. Worst on the "
        f"left, at most {PER_GAN} a GAN.\nOut of {n_real} photographs and {n_fake} fakes of the test split, "
        f"as the detector saw them (protocol {HEADLINE}: some rescaled, then JPEG).",
        fontsize=9,
    )
    write_png(path, figure)
