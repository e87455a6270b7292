"""Ways to choose among fakes, from features of fakes and photographs alone.

Each knows one GAN's fakes and the photographs, never another GAN: a GAN that is left out of a fold has no say
in what the others' fakes are.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

_CHUNK = 512
PROBE_FOLDS = 5
# Of photographs, this share has another one nearer than two fakes may be to each other.
CLOSENESS = 0.01


def neighbour_distances(x: np.ndarray, k: int) -> np.ndarray:
    """Euclidean distance of each row to its k-th nearest other row.

    Args:
        x: float (N, D), N above ``k``.
        k: 1 for the nearest.

    Returns:
        float64 (N,).
    """
    # The nearest of all is the row itself, at distance zero.
    parts = [np.partition(cdist(part, x), k, axis=1)[:, k] for part in _chunks(x)]
    return np.concatenate(parts)


def realism(fake: np.ndarray, real: np.ndarray, k: int) -> np.ndarray:
    """Realism score: above 1 lies a fake within the neighbourhood of a photograph, the higher the deeper.

    The largest ratio, over photographs, of the radius of a photograph's neighbourhood (distance to its k-th
    nearest other) to its distance from the fake; the half of the photographs with the largest radii is left
    out (Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models", NeurIPS
    2019, equation 3).

    Args:
        fake: float (N, D).
        real: float (M, D), M above ``k``.
        k: of the neighbourhoods.

    Returns:
        float64 (N,); infinite for a fake with the features of a photograph.
    """
    radii = neighbour_distances(real, k)
    kept = radii <= np.median(radii)
    radii, real = radii[kept], real[kept]
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.nanmax(radii / cdist(part, real), axis=1) for part in _chunks(fake)]
    return np.concatenate(parts)


def probe_scores(fake: np.ndarray, real: np.ndarray, seed: int) -> np.ndarray:
    """How fake each fake looks to a logistic regression that was fitted without it, float64 (N,) of log odds.

    Args:
        fake: float (N, D), N at least ``PROBE_FOLDS``.
        real: float (M, D), M at least ``PROBE_FOLDS``.
        seed: of the folds.
    """
    x = np.vstack([real, fake])
    labels = np.repeat([0, 1], [len(real), len(fake)])
    probe = make_pipeline(
        StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced", max_iter=1000)
    )
    folds = StratifiedKFold(PROBE_FOLDS, shuffle=True, random_state=seed)
    scores = cross_val_predict(probe, x, labels, cv=folds, method="decision_function")
    return np.asarray(scores[len(real) :])


def distinct(fake: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Which fakes to keep so that no two of them are nearer to each other than photographs are.

    Photographs say how near: all but the share ``CLOSENESS`` of them are farther from their nearest other. In
    order, a fake stays if it is at least that far from all that stay before it; so of a mode on which a GAN
    has collapsed, one stays, and so of an image that comes twice.

    Args:
        fake: float (N, D).
        real: float (M, D), M at least 2.

    Returns:
        bool (N,).
    """
    least = float(np.quantile(neighbour_distances(real, 1), CLOSENESS))
    kept: list[int] = []
    for start in range(0, len(fake), _CHUNK):
        part = fake[start : start + _CHUNK]
        far = np.ones(len(part), dtype=bool)
        if kept:
            far = (cdist(part, fake[kept]) >= least).all(axis=1)
        among = cdist(part, part)
        here: list[int] = []
        for row in np.flatnonzero(far):
            if (among[row, here] >= least).all():
                here.append(int(row))
        kept += [start + row for row in here]
    result = np.zeros(len(fake), dtype=bool)
    result[kept] = True
    return result


def highest(scores: np.ndarray, share: float) -> np.ndarray:
    """The ``share`` of the rows with the highest scores, at least one; bool (N,). Of equals the first."""
    count = max(1, round(share * len(scores)))
    result = np.zeros(len(scores), dtype=bool)
    result[np.argsort(-scores, kind="stable")[:count]] = True
    return result


def _chunks(x: np.ndarray) -> list[np.ndarray]:
    return [x[start : start + _CHUNK] for start in range(0, len(x), _CHUNK)]
