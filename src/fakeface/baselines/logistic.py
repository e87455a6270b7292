"""Logistic regression on standardised features, L2-regularised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from fakeface.baselines.standardise import Standardiser


@dataclass(frozen=True)
class LogisticModel:
    """P(fake) = sigmoid(w . z + b) of standardised features z.

    Attributes:
        standardiser: of the training features.
        coefficients: float64 (D,), w.
        intercept: b.
    """

    standardiser: Standardiser
    coefficients: np.ndarray
    intercept: float

    def probability(self, features: np.ndarray) -> np.ndarray:
        """float32 (B, D), overwritten, to float64 (B,) in [0, 1]."""
        return expit(self.standardiser.apply(features) @ self.coefficients + self.intercept)


def fit_logistic(
    features: np.ndarray, labels: np.ndarray, weights: np.ndarray, inverse_strength: float
) -> LogisticModel:
    """Minimise ``sum_i weights_i log-loss_i + |w|^2 / (2 C N)`` over w and b.

    With weights of mean 1 instead of sum 1 that is scikit-learn's objective, C its ``C``. Its L-BFGS keeps a
    float32 matrix as it is, so fitting takes no memory beyond the features.

    Args:
        features: float32 (N, D); overwritten with its standardised values.
        labels: int (N,), both 0 and 1 occur.
        weights: float64 (N,) of sum 1.
        inverse_strength: C; smaller is smoother.
    """
    standardiser = Standardiser.fit(features, weights)
    model = LogisticRegression(C=inverse_strength, max_iter=1000)
    model.fit(standardiser.apply(features), labels, sample_weight=weights * len(weights))
    return LogisticModel(standardiser, model.coef_[0].astype(np.float64), float(model.intercept_[0]))
