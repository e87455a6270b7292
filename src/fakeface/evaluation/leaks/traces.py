"""The classifier of traces that resizing, coding or rounding leave in whole images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.fft import dctn
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from fakeface.evaluation.leaks.cross_validation import cross_validate, too_few, without

_CHUNK = 512
# JPEG's luma and chroma (JFIF 1.02, without its offset): coding coarsens the two chromas most.
_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]], np.float32)


def image_features(images: np.ndarray) -> np.ndarray:
    """Where tampering with whole images shows, float32 (N, 3 S S + 256).

    The logarithm of the DCT of luma and chroma (after Frank et al., "Leveraging Frequency Analysis for Deep
    Fake Image Recognition", ICML 2020) shows resizing and coding; how often each value of 0..255 occurs shows
    rounding, as values that occur never or twice as often.

    Args:
        images: uint8 (N, S, S, 3).
    """
    n_values = int(np.prod(images.shape[1:]))
    features = np.empty((len(images), n_values + 256), dtype=np.float32)
    for start in range(0, len(images), _CHUNK):
        rows = slice(start, start + _CHUNK)
        spectrum = dctn(images[rows].astype(np.float32) @ _YCBCR.T, axes=(1, 2), norm="ortho")
        # 1 is some three times the error that rounding to 8 bits leaves in a coefficient.
        features[rows, :n_values] = np.log(np.abs(spectrum) + 1).reshape(-1, n_values)
        counts = [np.bincount(image.reshape(-1), minlength=256) for image in images[rows]]
        features[rows, n_values:] = np.sqrt(counts)
    return features


def linear(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Logistic regression with L2 penalty on ``image_features``, standardised: scores of ``test``.

    Each kind of features is scaled to a total variance of 1, so that 256 counts weigh as much as thousands of
    coefficients. In these terms C = 3 is strong: per coefficient at S = 64 it is C = 0.00024.
    """
    n_logs = train.shape[1] - 256
    weights = np.repeat([n_logs, 256], [n_logs, 256]).astype(np.float32) ** -0.5
    scaler = StandardScaler().fit(train)
    model = LogisticRegression(C=3, max_iter=500).fit(scaler.transform(train) * weights, labels)
    return model.decision_function(scaler.transform(test) * weights)


def judge_often(
    of_zero: np.ndarray, of_one: np.ndarray, labellings: Sequence[np.ndarray], folds: int, seed: int
) -> dict[str, Any]:
    """AUROC of ``linear`` for each labelling of N images, which have other features for label 0 and 1.

    Args:
        of_zero: float32 (N, D), features of the images that a labelling calls 0.
        of_one: float32 (N, D), features of those that it calls 1.
        labellings: at least two of int (N,), independent of each other.
        folds, seed: of the cross-validation.

    Returns:
        ``{auroc, standard_error, aurocs}``: mean over the labellings, its standard error, and each.

    Raises:
        ValueError: for fewer than 2 labellings.
    """
    if len(labellings) < 2:
        raise ValueError(f"at least 2 labellings are needed for a standard error, got {len(labellings)}")
    if reason := too_few(labellings[0], folds):
        return without(["auroc", "standard_error", "aurocs"], reason)
    aurocs = [
        cross_validate(linear, np.where(labels[:, None] == 1, of_one, of_zero), labels, folds, seed)
        for labels in labellings
    ]
    error = np.std(aurocs, ddof=1) / np.sqrt(len(aurocs))
    return {"auroc": float(np.mean(aurocs)), "standard_error": float(error), "aurocs": aurocs}
