"""From the CN's two logits to P(fake): an offset for lost detail, then temperature or Platt scaling.

All of it is fitted on validation images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.fft import dctn
from scipy.special import expit

from fakeface.base.errors import FakefaceError
from fakeface.data.preprocess import LUMA

# What the loss of fine detail does to the margin of a photograph: taken off, one threshold serves all.
#
# Compression moves photographs and fakes towards each other. A threshold that few compressed photographs
# exceed is therefore far above uncompressed ones, and lets uncompressed fakes pass that are like no
# photograph of their kind; noise, which is fine detail, moves photographs towards fakes. So each picture is
# compared with photographs of its own kind: from its margin is taken how far validation photographs that miss
# as much fine detail lie, on average, above all of them. Fakes have no part in it.
#
# Its measure is the share of fine detail that is missing, block of 8x8 pixels by block, as JPEG's
# quantisation leaves it: the mean over all blocks' coefficients of the cosine transform with both frequencies
# from 4 to 7 of exp(-(c / 0.3)^2), which is 1 for a coefficient c of nothing and 0 for a visible one.

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


# Temperature scaling and Platt scaling.
#
# Trained networks are overconfident: they go on sharpening their logits after the last error on training
# images is gone. One or two numbers put that right, and leave the order of the images, so AUROC, as it is:
#
#     P(fake) = sigmoid(slope * margin + bias),    margin = logit of fake - logit of real
#
# ``platt`` fits both numbers (Platt, "Probabilistic outputs for support vector machines", 1999).
# ``temperature`` fits the slope alone, 1 / T (Guo et al., "On Calibration of Modern Neural Networks", 2017).
# ``none`` is slope 1 and bias 0, the softmax.
#
# Each class weighs one half in the fit. How many fakes stand against each photograph is our choice, since
# fakes are free, and says nothing about the pictures that users bring. So P(fake) is meant at even odds, and
# who knows the odds in his own pictures adds their logarithm to the logit of the score.

METHODS = ("none", "temperature", "platt")
# Of margins with a standard deviation of 1. Anything less does not rank the images better than chance, and
# would bring different margins so close together that they might share a score.
_MIN_SLOPE = 1e-6
_GRADIENT_TOLERANCE, _LARGEST_GRADIENT = 1e-8, 1e-6


class CalibrationError(FakefaceError, ValueError):
    """A calibration is not one, or there is nothing to fit it on."""


def is_number(value: object) -> bool:
    """A finite int or float; True and False are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True)
class Calibration:
    """An increasing map from margins to P(fake).

    Attributes:
        method: one of :data:`METHODS`.
        slope: float > 0; 1 / temperature.
        bias: float.
        fallback: why ``method`` is ``none`` although another was asked for; else None.

    Raises:
        CalibrationError: for an unknown method, a slope that is not above 0, or numbers that are not finite.
    """

    method: str
    slope: float
    bias: float
    fallback: str | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise CalibrationError(f"method must be one of {', '.join(METHODS)}, got {self.method!r}")
        if not is_number(self.slope) or self.slope <= 0:
            raise CalibrationError(f"slope must be a number > 0, got {self.slope!r}")
        if not is_number(self.bias):
            raise CalibrationError(f"bias must be a number, got {self.bias!r}")

    def logits(self, margins: np.ndarray) -> np.ndarray:
        """Calibrated log-odds of being fake, float64 (N,)."""
        return self.slope * np.asarray(margins, dtype=np.float64) + self.bias

    def scores(self, margins: np.ndarray) -> np.ndarray:
        """P(fake) at even odds, float64 (N,) in [0, 1]. Log-odds above about 36 all round to 1."""
        return expit(self.logits(margins))

    def numbers(self) -> dict[str, Any]:
        """What the weights file and the metrics say of it: method, slope, bias and a fallback's reason."""
        numbers = {"method": self.method, "slope": self.slope, "bias": self.bias}
        return numbers if self.fallback is None else numbers | {"fallback": self.fallback}


UNCALIBRATED = Calibration("none", 1.0, 0.0)


def fit_calibration(method: str, margins: np.ndarray, labels: np.ndarray) -> Calibration:
    """Minimise the class-balanced negative log-likelihood of validation images.

    The targets are Platt's: (n + 1) / (n + 2) for the n fakes and 1 / (n + 2) for the n photographs in place
    of 1 and 0. So the minimum is finite even where a margin parts the classes perfectly, and the fewer
    images, the less certain the scores. The problem is convex; margins are standardised for the solver.

    Where the best slope is not above 0, the margins do not rank these fakes above these photographs, and no
    increasing map improves on a constant. Then the result is the identity, and its ``fallback`` says why.

    Args:
        method: one of :data:`METHODS`.
        margins: float (N,), of photographs and fakes of SEEN GANs that did not train.
        labels: int (N,) of 0 (photograph) and 1 (fake).

    Raises:
        CalibrationError: for an unknown method, a class without images, or margins that are not finite.
    """
    if method not in METHODS:
        raise CalibrationError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    margins, labels = np.asarray(margins, dtype=np.float64), np.asarray(labels)
    n_fake = int((labels == 1).sum())
    n_real = len(labels) - n_fake
    if not n_real or not n_fake:
        raise CalibrationError(
            f"calibration needs photographs and fakes, got {n_real} photographs and {n_fake} fakes"
        )
    if n_wrong := int((~np.isfinite(margins)).sum()):
        raise CalibrationError(f"margins must be finite, got {n_wrong} of {len(margins)} that are not")
    if method == "none":
        return UNCALIBRATED
    has_bias = method == "platt"
    centre = float(margins.mean()) if has_bias else 0.0
    scale = float(np.sqrt(np.mean((margins - centre) ** 2)))
    if scale <= 1e-12 * abs(centre):
        return replace(UNCALIBRATED, fallback=f"{method}: all margins are equal")
    x = ((margins - centre) / scale)[:, None]
    design = np.hstack([x, np.ones_like(x)]) if has_bias else x
    targets = np.where(labels == 1, (n_fake + 1) / (n_fake + 2), 1 / (n_real + 2))
    weights = np.where(labels == 1, 0.5 / n_fake, 0.5 / n_real)
    slope, *bias = _minimise(design, targets, weights)
    if slope < _MIN_SLOPE:
        reason = f"{method}: the best slope, {slope / scale:.3g}, is not above 0"
        return replace(UNCALIBRATED, fallback=reason)
    return Calibration(method, slope / scale, bias[0] - slope * centre / scale if has_bias else 0.0)


def _minimise(design: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> list[float]:
    """Coefficients (K,) of a logistic regression with soft targets, by Newton's method in a trust region."""

    def loss(coefficients: np.ndarray) -> float:
        logits = design @ coefficients
        return float(weights @ (np.logaddexp(0, logits) - targets * logits))

    def gradient(coefficients: np.ndarray) -> np.ndarray:
        return design.T @ (weights * (expit(design @ coefficients) - targets))

    def hessian(coefficients: np.ndarray) -> np.ndarray:
        p = expit(design @ coefficients)
        return (design * (weights * p * (1 - p))[:, None]).T @ design

    from scipy.optimize import minimize  # heavy to import, and only fitting needs it

    found = minimize(
        loss,
        np.zeros(design.shape[1]),
        jac=gradient,
        hess=hessian,
        method="trust-exact",
        options={"gtol": _GRADIENT_TOLERANCE},
    )
    # Not found.success: next to the minimum the loss rounds to equal values and the solver gives up.
    if not np.linalg.norm(found.jac) < _LARGEST_GRADIENT:
        raise CalibrationError(f"the fit did not converge: {found.message}")
    return [float(value) for value in found.x]
