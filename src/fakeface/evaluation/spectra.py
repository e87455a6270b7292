"""Artificial fingerprints: the spectrum of the mean high-pass residual of each GAN's images.

Marra et al., "Do GANs leave artificial fingerprints?", MIPR 2019, average the noise residuals of one GAN's
images: what differs from picture to picture cancels, what the generator leaves in all of them stays. Its
Fourier transform shows the periodic part as bright spots, as in Wang et al., "CNN-generated images are
surprisingly easy to spot... for now", CVPR 2020. The residual here is that of Wang et al.'s kind, a plain
high-pass: pixel minus the mean of its 3x3 neighbourhood.

What cancels leaves a floor that falls with the number of images, so every mean is over equally many.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
from scipy.ndimage import uniform_filter

from fakeface.data.image_sets import evenly_spaced
from fakeface.detector.batches import DetectorData
from fakeface.detector.views import ViewKind, every_view
from fakeface.evaluation.figures import REAL, colours, described, new_figure, write_png
from fakeface.params import Params

MAX_IMAGES = 500
# A second set of photographs shows how far apart two sets are that have no generator between them.
OTHER_REAL = "other real"
# In grey levels; keeps the logarithm finite at frequency 0, which the high-pass removes.
FLOOR = 1e-3


def mean_residual(images: np.ndarray) -> np.ndarray:
    """Mean over images of pixel minus the mean of its 3x3 neighbourhood, borders mirrored.

    Takes uint8 (N, S, S, 3), N >= 1; gives float64 (S, S, 3) in grey levels.
    """
    # The filter is linear, so it may be applied to the mean picture alone.
    mean = images.mean(axis=0, dtype=np.float64)
    return mean - uniform_filter(mean, size=(3, 3, 1), mode="mirror")


def log_spectrum(residual: np.ndarray) -> np.ndarray:
    """Log magnitude of the 2-D Fourier transform of float (S, S, 3), frequency 0 in the middle.

    float64 (S, S): log10 of the root of the mean ``|F|^2`` over the channels, F orthonormal, in grey levels.
    """
    power = np.mean(np.abs(np.fft.fft2(residual, axes=(0, 1), norm="ortho")) ** 2, axis=2)
    return np.fft.fftshift(0.5 * np.log10(power + FLOOR**2))


def azimuthal_mean(spectrum: np.ndarray) -> np.ndarray:
    """Mean over the directions at radii 1, 2, ..., S // 2, in cycles an image: float64 (S // 2,)."""
    side = spectrum.shape[0]
    frequency = np.arange(side) - side // 2
    radius = np.rint(np.hypot(frequency[:, None], frequency)).astype(np.int64).ravel()
    return (np.bincount(radius, spectrum.ravel()) / np.bincount(radius))[1 : side // 2 + 1]


def distance(first: np.ndarray, second: np.ndarray) -> float:
    """Root mean square difference of two log spectra over all frequencies but 0."""
    squares = (first - second) ** 2
    middle = len(squares) // 2
    squares[middle, middle] = 0
    return float(np.sqrt(squares.sum() / (squares.size - 1)))


@dataclass(frozen=True)
class ResidualSpectra:
    """Log spectra of means of ``n_images`` residuals: protocol -> source -> float64 (S, S).

    Sources are ``real``, ``other real``, a second set of photographs, and the GANs.
    """

    n_images: int
    by_protocol: dict[str, dict[str, np.ndarray]]

    def distances(self) -> dict[str, dict[str, float]]:
        """Of every source to the photographs, by protocol; ``real`` is that of the second set."""
        return {
            protocol: {
                REAL if source == OTHER_REAL else source: round(distance(spectra[REAL], spectrum), 6)
                for source, spectrum in spectra.items()
                if source != REAL
            }
            for protocol, spectra in self.by_protocol.items()
        }

    def rows(self, held_out: Sequence[str]) -> list[dict[str, Any]]:
        """Azimuthal means, a row a curve and frequency: ``curve, frequency`` and a column a protocol.

        Frequencies are in cycles a pixel, up to 0.5; values in log10 grey levels.
        """
        means = {
            protocol: {source: azimuthal_mean(spectrum) for source, spectrum in spectra.items()}
            for protocol, spectra in self.by_protocol.items()
        }
        rows = []
        for source, spectrum in next(iter(self.by_protocol.values())).items():
            for index in range(len(spectrum) // 2):
                values = {name: round(float(by[source][index]), 5) for name, by in means.items()}
                frequency = round((index + 1) / len(spectrum), 5)
                rows.append({"curve": label(source, held_out), "frequency": frequency} | values)
        return rows


def residual_spectra(params: Params, data: DetectorData, protocols: Sequence[str]) -> ResidualSpectra:
    """Spectra of photographs and of every GAN of a split under each protocol, from equally many images each.

    The split needs at least two photographs, and an image of every GAN.
    """
    photographs = np.flatnonzero(data.groups == 0)
    members = {REAL: photographs[::2], OTHER_REAL: photographs[1::2]}
    members |= {gan: np.flatnonzero(data.groups == group) for group, gan in enumerate(data.gans, start=1)}
    n_images = min(MAX_IMAGES, *(len(rows) for rows in members.values()))

    def spectrum(rows: np.ndarray, protocol: str) -> np.ndarray:
        kind = ViewKind(f"spectra {protocol}", (getattr(params.protocols, protocol),))
        views = every_view(data, kind, params.seed, evenly_spaced(rows, n_images))
        return log_spectrum(mean_residual(views.pixels))

    by_protocol = {
        name: {source: spectrum(rows, name) for source, rows in members.items()} for name in protocols
    }
    return ResidualSpectra(n_images, by_protocol)


def label(source: str, held_out: Sequence[str]) -> str:
    """``photographs``, ``other photographs``, ``dcgan (seen)`` or ``sngan (unseen)``."""
    names = {REAL: "photographs", OTHER_REAL: "other photographs"}
    return names[source] if source in names else described(source, held_out)


def write_residual_spectra(
    path: str | PathLike[str], spectra: ResidualSpectra, gans: Sequence[str], held_out: Sequence[str]
) -> None:
    """A PNG: a row of spectra a protocol, one panel a source on one colour scale, and the azimuthal means."""
    protocols = spectra.by_protocol
    sources = list(next(iter(protocols.values())))
    # Square panels of 1.45 inches, and room for titles, curves and the caption.
    width = max(7.5, 1.2 + 1.45 * len(sources))
    figure = new_figure(width, 1.5 * len(protocols) + 4.3)
    parts: Any = figure.subfigures(2, 1, height_ratios=[1.5 * len(protocols) + 0.6, 3.3])
    top, bottom = parts
    _draw_panels(top, protocols, sources, held_out)
    _draw_curves(bottom, spectra, gans, held_out)
    title = f"Fingerprints: spectrum of the mean high-pass residual of {spectra.n_images} images of each kind"
    top.suptitle(textwrap.fill(title, int(9 * width)), fontsize=13)
    captions = (
        "Above: frequency 0 in the middle, the finest stripes at the edges. What differs from image to image "
        "cancels in the mean; bright is what all share: aligned faces, and what a generator leaves.",
        "Below: averaged over directions. Other photographs: a second set; how far it lies from the first is "
        "chance. Laundered: some images rescaled, then all through JPEG.",
    )
    bottom.supxlabel("\n".join(textwrap.fill(line, int(13 * width)) for line in captions), fontsize=9)
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
