"""What the loss of fine detail does to the margin of a photograph: taken off, one threshold serves all.

Compression moves photographs and fakes towards each other. A threshold that few compressed photographs exceed
is therefore far above uncompressed ones, and lets uncompressed fakes pass that are like no photograph of
their kind; noise, which is fine detail, moves photographs towards fakes. So each picture is compared with
photographs of its own kind: from its margin is taken how far validation photographs that miss as much fine
detail lie, on average, above all of them. Fakes have no part in it.

Its measure is the share of fine detail that is missing, block of 8x8 pixels by block, as JPEG's quantisation
leaves it: the mean over all blocks' coefficients of the cosine transform with both frequencies from 4 to 7 of
exp(-(c / 0.3)^2), which is 1 for a coefficient c of nothing and 0 for a visible one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.fft import dctn

from fakeface.base.errors import FakefaceError
from fakeface.data.preprocess import LUMA

BLOCK = 8
FINE = 4
SCALE = 0.3
# Added to the share before its logarithm: less than a hundredth is as good as none.
FLOOR = 0.01
_RIDGE = 1e-3


class ScoreOffsetError(FakefaceError, ValueError):
    """A stored score_offset is none."""


def missing_detail(images: np.ndarray) -> np.ndarray:
    """Logarithm of the share of missing fine detail, float64 (N,), of uint8 images (N, H, W, 3).

    Sides must be multiples of 8.
    """
    luma = images.astype(np.float64) @ LUMA
    count, height, width = luma.shape
    blocks = luma.reshape(count, height // BLOCK, BLOCK, width // BLOCK, BLOCK).swapaxes(2, 3)
    fine = dctn(blocks, axes=(3, 4), norm="ortho")[..., FINE:, FINE:]
    return np.log(np.exp(-np.square(fine / SCALE)).mean(axis=(1, 2, 3, 4)) + FLOOR)


@dataclass(frozen=True)
class ScoreOffset:
    """A parabola: the mean margin of photographs by the detail that they miss, less that of all.

    Attributes:
        coefficients: of 1, t and t^2.
        lowest, highest: measures of the photographs that it was fitted on; beyond, the nearer end counts.
    """

    coefficients: tuple[float, float, float] = (0.0, 0.0, 0.0)
    lowest: float = 0.0
    highest: float = 0.0

    def __post_init__(self) -> None:
        numbers = (*self.coefficients, self.lowest, self.highest)
        valid = all(isinstance(value, (int, float)) and math.isfinite(value) for value in numbers)
        if len(self.coefficients) != 3 or not valid or self.lowest > self.highest:
            raise ScoreOffsetError(f"three coefficients and a range of finite numbers expected, got {self}")

    def margins(self, missing: np.ndarray) -> np.ndarray:
        """What to take off margins of pictures that miss so much, float64 (N,)."""
        t = np.clip(np.asarray(missing, dtype=np.float64), self.lowest, self.highest)
        constant, linear, square = self.coefficients
        return constant + linear * t + square * t * t

    def numbers(self) -> dict[str, Any]:
        """What the weights file and the metrics say of it."""
        return {"coefficients": list(self.coefficients), "lowest": self.lowest, "highest": self.highest}


NO_SCORE_OFFSET = ScoreOffset()


def fit_score_offset(margins: np.ndarray, missing: np.ndarray) -> ScoreOffset:
    """Least squares over validation photographs, under every protocol of training and corrupted in some ways.

    Args:
        margins: float (N,) of the CN.
        missing: float (N,), see :func:`missing_detail`.
    """
    margins, missing = (np.asarray(values, dtype=np.float64) for values in (margins, missing))
    design = np.stack([np.ones_like(missing), missing, missing**2], axis=1)
    # A little ridge, for photographs that all miss the same.
    normal = design.T @ design + _RIDGE * np.eye(3)
    constant, linear, square = np.linalg.solve(normal, design.T @ (margins - margins.mean()))
    return ScoreOffset(
        (float(constant), float(linear), float(square)), float(missing.min()), float(missing.max())
    )
