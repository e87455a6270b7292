"""Features brought to mean 0 and standard deviation 1, in place and in little memory.

The matrix can be a gigabyte; scikit-learn's StandardScaler with sample weights makes copies of all of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_ROWS = 1024
# Less spread than this, relative to the mean, is rounding of a constant.
_CONSTANT = 1e-6


@dataclass(frozen=True)
class Standardiser:
    """Weighted mean and standard deviation of each feature.

    Attributes:
        mean: float32 (D,).
        scale: float32 (D,), positive; 1 for a feature that is constant in training.
    """

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, weights: np.ndarray) -> Standardiser:
        """Moments of float32 (N, D) ``features`` with ``weights``, float64 (N,) of sum 1."""
        mean = np.zeros(features.shape[1])
        for start in range(0, len(features), _ROWS):
            rows = slice(start, start + _ROWS)
            mean += weights[rows] @ features[rows].astype(np.float64)
        variance = np.zeros_like(mean)
        for start in range(0, len(features), _ROWS):
            rows = slice(start, start + _ROWS)
            variance += weights[rows] @ (features[rows] - mean) ** 2
        scale = np.sqrt(variance)
        scale[scale <= _CONSTANT * np.maximum(1, np.abs(mean))] = 1
        return cls(mean.astype(np.float32), scale.astype(np.float32))

    def apply(self, features: np.ndarray) -> np.ndarray:
        """Standardise float32 (N, D) in place and return it."""
        features -= self.mean
        features /= self.scale
        return features
