"""Artificial fingerprints: the spectrum of the mean high-pass residual of each GAN's images.

Marra et al., "Do GANs leave artificial fingerprints?", MIPR 2019, average the noise residuals of one GAN's
images: what differs from picture to picture cancels, what the generator leaves in all of them stays. Its
Fourier transform shows the periodic part as bright spots, as in Wang et al., "CNN-generated images are
surprisingly easy to spot... for now", CVPR 2020. The residual here is that of Wang et al.'s kind, a plain
high-pass: pixel minus the mean of its 3x3 neighbourhood.

What cancels leaves a floor that falls with the number of images, so every mean is over equally many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import uniform_filter

from fakeface.detector.dataset import DetectorData
from fakeface.evaluation.explain.figures import described
from fakeface.evaluation.explain.judged import REAL, spread
from fakeface.params import Params

MAX_IMAGES = 500
# A second set of photographs shows how far apart two sets are that have no generator between them.
OTHER_REAL = "other real"
# In grey levels; keeps the logarithm finite at frequency 0, which the high-pass removes.
FLOOR = 1e-3


def mean_residual(images: np.ndarray) -> np.ndarray:
    """Mean over images of pixel minus the mean of its 3x3 neighbourhood, borders mirrored.

    Args:
        images: uint8 (N, S, S, 3), N >= 1.

    Returns:
        float64 (S, S, 3) in grey levels.
    """
    # The filter is linear, so it may be applied to the mean picture alone.
    mean = images.mean(axis=0, dtype=np.float64)
    return mean - uniform_filter(mean, size=(3, 3, 1), mode="mirror")


def log_spectrum(residual: np.ndarray) -> np.ndarray:
    """Log magnitude of the 2-D Fourier transform, frequency 0 in the middle.

    Args:
        residual: float (S, S, 3).

    Returns:
        float64 (S, S): log10 of the root of the mean ``|F|^2`` over the channels, F orthonormal, in grey
        levels.
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
    """Log spectra of mean residuals.

    Attributes:
        n_images: behind each mean.
        by_protocol: protocol -> source -> float64 (S, S), see :func:`log_spectrum`; sources are ``real``,
            ``other real``, a second set of photographs, and the GANs.
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


def residual_spectra(
    params: Params, data: DetectorData, key: Sequence[int], protocols: Sequence[str]
) -> ResidualSpectra:
    """Spectra of photographs and of every GAN of a split, from equally many images each.

    Args:
        params: validated params.
        data: at least two photographs, and an image of every GAN.
        key: of the laundering's draws.
        protocols: names of the chains that the images go through.
    """
    photographs = np.flatnonzero(data.groups == 0)
    members = {REAL: photographs[::2], OTHER_REAL: photographs[1::2]}
    members |= {gan: np.flatnonzero(data.groups == group) for group, gan in enumerate(data.gans, start=1)}
    n_images = min(MAX_IMAGES, *(len(rows) for rows in members.values()))
    by_protocol: dict[str, dict[str, np.ndarray]] = {}
    for number, name in enumerate(protocols):
        chain = [getattr(params.protocols, name)]
        by_protocol[name] = {
            source: log_spectrum(
                mean_residual(data.laundered(spread(rows, n_images), chain, [params.seed, *key, number]))
            )
            for source, rows in members.items()
        }
    return ResidualSpectra(n_images, by_protocol)


def label(source: str, held_out: Sequence[str]) -> str:
    """``photographs``, ``other photographs``, ``dcgan (seen)`` or ``sngan (unseen)``."""
    names = {REAL: "photographs", OTHER_REAL: "other photographs"}
    return names[source] if source in names else described(source, held_out)
