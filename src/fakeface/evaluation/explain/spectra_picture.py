"""A picture of the spectra of mean residuals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np

from fakeface.evaluation.explain.figures import colours, new_figure, write_png
from fakeface.evaluation.explain.judged import REAL
from fakeface.evaluation.explain.residual_spectra import OTHER_REAL, ResidualSpectra, azimuthal_mean, label


def write_residual_spectra(
    path: str | PathLike[str], spectra: ResidualSpectra, gans: Sequence[str], held_out: Sequence[str]
) -> None:
    """A PNG: a row of spectra a protocol, one panel a source on one colour scale, and the azimuthal means."""
    protocols = spectra.by_protocol
    sources = list(next(iter(protocols.values())))
    # Square panels of 1.45 inches, and room for titles, curves and the caption.
    figure = new_figure(1.2 + 1.45 * len(sources), 1.5 * len(protocols) + 4.3)
    parts: Any = figure.subfigures(2, 1, height_ratios=[1.5 * len(protocols) + 0.6, 3.3])
    top, bottom = parts
    _draw_panels(top, protocols, sources, held_out)
    _draw_curves(bottom, spectra, gans, held_out)
    top.suptitle(
        f"Fingerprints: spectrum of the mean high-pass residual of {spectra.n_images} images of each kind",
        fontsize=13,
    )
    bottom.supxlabel(
        "Above: frequency 0 in the middle, the finest stripes at the edges. What differs from image to image "
        "cancels in the mean; bright is what all share: aligned faces, and what a generator leaves.\n"
        "Below: averaged over directions. Other photographs: a second set; how far it lies from the first is "
        "chance. Laundered: some images rescaled, then all through JPEG.",
        fontsize=9,
    )
    write_png(path, figure)


def _draw_panels(
    part: Any,
    protocols: Mapping[str, Mapping[str, np.ndarray]],
    sources: Sequence[str],
    held_out: Sequence[str],
) -> None:
    panels = part.subplots(len(protocols), len(sources), squeeze=False)
    values = np.concatenate([spectrum.ravel() for by in protocols.values() for spectrum in by.values()])
    low, high = np.percentile(values, [1, 99.9])
    for line, (protocol, by_source) in zip(panels, protocols.items(), strict=True):
        for panel, source in zip(line, sources, strict=True):
            drawn = panel.imshow(
                by_source[source], cmap="magma", vmin=low, vmax=high, interpolation="nearest"
            )
            panel.set_xticks([])
            panel.set_yticks([])
        line[0].set_ylabel(protocol, fontsize=11)
    for panel, source in zip(panels[0], sources, strict=True):
        panel.set_title(label(source, held_out).replace(" ", "\n"), fontsize=10)
    part.colorbar(drawn, ax=panels, label="log10 magnitude", shrink=0.8, pad=0.01)


def _draw_curves(part: Any, spectra: ResidualSpectra, gans: Sequence[str], held_out: Sequence[str]) -> None:
    panels = np.atleast_1d(part.subplots(1, len(spectra.by_protocol), sharey=True))
    palette = colours(gans) | {OTHER_REAL: colours(gans)[REAL]}
    for panel, (protocol, by_source) in zip(panels, spectra.by_protocol.items(), strict=True):
        for source, spectrum in by_source.items():
            frequency = np.arange(1, len(spectrum) // 2 + 1) / len(spectrum)
            dashed = source in held_out or source == OTHER_REAL
            panel.plot(
                frequency,
                azimuthal_mean(spectrum),
                label=label(source, held_out),
                color=palette[source],
                linestyle="--" if dashed else "-",
                linewidth=2.5 if source in (REAL, OTHER_REAL) else 1.3,
            )
        panel.set_title(protocol, fontsize=11)
        panel.set_xlabel("frequency, cycles a pixel")
    panels[0].set_ylabel("mean log10 magnitude")
    panels[-1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
