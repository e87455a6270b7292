"""What refusing to judge costs and gains: the share of unsure images, and accuracy on the others."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import logit

from fakeface.detector.decision import VERDICTS, DecisionRule
from fakeface.metrics.scores import checked, interval

ABSTENTION_METRICS = ("unsure", "unsure_real", "unsure_fake", "accuracy_decided")
_REAL, _UNSURE, _FAKE = range(len(VERDICTS))


def abstention_block(
    labels: Any, scores: Any, threshold: float, lower_threshold: float, *, bootstrap: int = 0, seed: int = 0
) -> dict[str, Any]:
    """How often the detector is unsure, and how often it is right where it is not.

    - ``unsure``: share of images between the thresholds; ``unsure_real`` and ``unsure_fake`` of each class.
    - ``accuracy_decided``: balanced accuracy on the others, the mean of the share of decided photographs
      called real and the share of decided fakes called fake.

    Args:
        labels: (N,) of 0 (photograph) and 1 (fake).
        scores: (N,) of P(fake), in [0, 1].
        threshold, lower_threshold: as :class:`fakeface.detector.decision.DecisionRule`.
        bootstrap: number of resamples for 95 % percentile intervals over images, drawn within each class; 0
            for none.
        seed: of the resamples.

    Returns:
        The metrics of :data:`ABSTENTION_METRICS` as fractions and, with a bootstrap, ``<metric>_ci95``. One
        without a meaning is None, its interval too, and ``undefined`` maps its name to the reason.

    Raises:
        ValueError: for labels or scores out of range, or a negative ``bootstrap``.
    """
    is_fake, scores = checked(labels, scores)
    if bootstrap < 0:
        raise ValueError(f"bootstrap must be a number of resamples >= 0, got {bootstrap}")
    called = DecisionRule(threshold, lower_threshold).verdicts(scores)
    reals, fakes = (np.bincount(called[of], minlength=len(VERDICTS))[None] for of in (~is_fake, is_fake))
    point = _rates(reals, fakes)
    undefined = _undefined(reals[0], fakes[0])
    samples: dict[str, np.ndarray] = {}
    if bootstrap:
        # Drawing n images with replacement and counting verdicts is drawing the counts from a multinomial.
        streams = np.random.default_rng(seed).spawn(2)
        drawn = [
            rng.multinomial(counts.sum(), counts[0] / max(1, counts.sum()), size=bootstrap)
            for rng, counts in zip(streams, (reals, fakes), strict=True)
        ]
        samples = _rates(*drawn)
    block: dict[str, Any] = {}
    for name in ABSTENTION_METRICS:
        block[name] = None if name in undefined else float(point[name][0])
        if bootstrap:
            block[f"{name}_ci95"] = None if name in undefined else interval(samples[name])
    return block | ({"undefined": undefined} if undefined else {})


def coverage_curve(labels: Any, scores: Any, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Balanced accuracy on the surest images, for every share of images that one may want judged.

    Sureness is the distance between the logits of score and threshold. With a calibration of the form
    sigmoid(slope * margin + bias) that is the distance of the margins but for a factor. Both axes weigh each
    class one half, so neither depends on how many fakes there are for each photograph.

    Args:
        labels: (N,) of 0 (photograph) and 1 (fake), both among them.
        scores: (N,) of P(fake), in [0, 1].
        threshold: the frozen decision threshold.

    Returns:
        Coverage float64 (K,), ascending to 1: the mean of both classes' shares of images that are at least
        as sure as some image. Balanced accuracy float64 (K,) on these images. Equally sure images come in
        together. Coverages at which a class has no image are left out.

    Raises:
        ValueError: for labels or scores out of range, or a class without images.
    """
    is_fake, scores = checked(labels, scores)
    n_fake = int(is_fake.sum())
    n_real = is_fake.size - n_fake
    if not n_fake or not n_real:
        raise ValueError(f"coverage needs real and fake images, got {n_real} real, {n_fake} fake")
    limits = np.finfo(np.float64).tiny, 1 - np.finfo(np.float64).epsneg
    distance = np.abs(logit(scores) - logit(np.clip(threshold, *limits)))
    # Scores that have rounded to 0 or 1 are the surest, and equally sure.
    distance = np.nan_to_num(distance, posinf=np.finfo(np.float64).max)
    order = np.argsort(-distance, kind="stable")
    is_last = np.append(np.diff(distance[order]) != 0, True)
    right = (scores > threshold) == is_fake
    real_in, fake_in, real_right, fake_right = (
        np.cumsum(chosen[order])[is_last] for chosen in (~is_fake, is_fake, ~is_fake & right, is_fake & right)
    )
    both = (real_in > 0) & (fake_in > 0)
    coverage = 0.5 * (real_in[both] / n_real + fake_in[both] / n_fake)
    return coverage, 0.5 * (real_right[both] / real_in[both] + fake_right[both] / fake_in[both])


def _rates(reals: np.ndarray, fakes: np.ndarray) -> dict[str, np.ndarray]:
    """Counts of verdicts int (R, 3) of each class to every metric float64 (R,), NaN where it is 0 / 0."""
    n_real, n_fake = reals.sum(axis=1), fakes.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return {
            "unsure": (reals + fakes)[:, _UNSURE] / (n_real + n_fake),
            "unsure_real": reals[:, _UNSURE] / n_real,
            "unsure_fake": fakes[:, _UNSURE] / n_fake,
            "accuracy_decided": 0.5
            * (
                reals[:, _REAL] / (n_real - reals[:, _UNSURE])
                + fakes[:, _FAKE] / (n_fake - fakes[:, _UNSURE])
            ),
        }


def _undefined(reals: np.ndarray, fakes: np.ndarray) -> dict[str, str]:
    """Reasons for the metrics that have no value, by name, from counts int (3,) of verdicts."""
    result = {}
    if not (reals + fakes).any():
        result["unsure"] = "no images"
    for name, counts in (("fake", fakes), ("real", reals)):
        if not counts.any():
            result[f"unsure_{name}"] = result["accuracy_decided"] = f"no {name} images"
        elif counts[_UNSURE] == counts.sum():
            result.setdefault("accuracy_decided", f"every {name} image is unsure")
    return result
