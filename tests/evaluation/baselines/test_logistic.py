"""The linear classifier: its standardisation, and that it is at the minimum of the documented objective."""

from __future__ import annotations

import numpy as np
import pytest

from fakeface.evaluation import baselines as standardise
from fakeface.evaluation.baselines import Standardiser, balanced_weights, fit_logistic


@pytest.fixture
def groups() -> np.ndarray:
    return np.repeat([0, 1, 2], [60, 25, 15])


@pytest.fixture
def features(groups: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(0)
    matrix = rng.normal(5, 3, (100, 6)) + groups[:, None] * rng.normal(0, 1, 6)
    return matrix.astype(np.float32)


def test_weighted_moments(features: np.ndarray, groups: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standardise, "_ROWS", 7)
    weights = balanced_weights(groups)
    standard = Standardiser.fit(features, weights)
    mean = np.average(features.astype(np.float64), axis=0, weights=weights)
    variance = np.average((features - mean) ** 2, axis=0, weights=weights)
    np.testing.assert_allclose(standard.mean, mean, rtol=1e-6)
    np.testing.assert_allclose(standard.scale, np.sqrt(variance), rtol=1e-6)
    expected = (features - mean) / np.sqrt(variance)
    result = standard.apply(features)
    assert result is features
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_a_constant_feature_stays_at_zero(features: np.ndarray, groups: np.ndarray) -> None:
    features[:, 2] = 0.1
    standard = Standardiser.fit(features, balanced_weights(groups))
    assert standard.scale[2] == 1
    np.testing.assert_allclose(standard.apply(features)[:, 2], 0, atol=1e-6)


@pytest.mark.parametrize("c", [0.001, 0.1])
def test_the_gradient_of_the_objective_vanishes(features: np.ndarray, groups: np.ndarray, c: float) -> None:
    weights, labels = balanced_weights(groups), (groups > 0).astype(np.int64)
    raw = features.astype(np.float64)
    model = fit_logistic(features, labels, weights, c)
    mean = np.average(raw, axis=0, weights=weights)
    z = (raw - mean) / np.sqrt(np.average((raw - mean) ** 2, axis=0, weights=weights))
    probability = 1 / (1 + np.exp(-(z @ model.coefficients + model.intercept)))
    residual = weights * (probability - labels)
    gradient = z.T @ residual + model.coefficients / (c * len(raw))
    np.testing.assert_allclose(gradient, 0, atol=2e-4)
    assert residual.sum() == pytest.approx(0, abs=2e-4)
    np.testing.assert_allclose(model.probability(raw.astype(np.float32)), probability, atol=1e-5)
    assert np.abs(model.coefficients).max() > 0.01
