"""One picture of all image sets: a row of photographs, then a row of each GAN's fakes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from fakeface.atomic import atomic_path

COLUMNS = 12


def write_contact_sheet(path: Path, sets: Mapping[str, np.ndarray]) -> None:
    """Write a PNG with one labelled row a set, in the order of ``sets``.

    Args:
        path: of the PNG.
        sets: uint8 (N, S, S, 3) by name, N >= 1; the first ``COLUMNS`` of each are shown.

    Raises:
        ValueError: if there is no set or one is empty.
    """
    if not sets or any(len(images) == 0 for images in sets.values()):
        raise ValueError(f"every row needs an image, got {[(name, len(x)) for name, x in sets.items()]}")
    figure = Figure(figsize=(1.6 + 0.8 * COLUMNS, 0.85 * len(sets)), dpi=100, layout="constrained")
    panels = figure.subplots(len(sets), 1, squeeze=False)[:, 0]
    for panel, (name, images) in zip(panels, sets.items(), strict=True):
        shown = np.asarray(images[:COLUMNS])
        row = np.full((shown.shape[1], COLUMNS * shown.shape[2], 3), 255, dtype=np.uint8)
        strip = np.concatenate(list(shown), axis=1)
        row[:, : strip.shape[1]] = strip
        panel.imshow(row, interpolation="nearest")
        panel.set_xticks([])
        panel.set_yticks([])
        panel.spines[:].set_visible(False)
        panel.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    with atomic_path(path) as temporary:
        # No software version in the file: equal pictures are equal bytes.
        figure.savefig(temporary, format="png", metadata={"Software": None})
