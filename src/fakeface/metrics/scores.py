"""The numbers of one block: how well P(fake) tells one set of fakes from one set of photographs.

Fake = 1 = positive. Everything is computed from how many photographs and fakes carry each distinct score,
so a bootstrap resample is a vector of counts and a thousand of them are a few matrix operations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from fakeface.metrics.thresholds import ECE_BINS, require_probabilities

METRICS = (
    "precision", "recall", "f1", "accuracy", "auroc", "average_precision", "eer", "fpr", "ece",
    "real_precision", "real_recall",
)  # fmt: skip

# What a metric needs in order to mean anything. Precision without photographs would be 1 by construction.
_NEEDS_FAKES = frozenset(METRICS) - {"fpr", "real_recall", "accuracy"}
_NEEDS_REALS = frozenset(METRICS) - {"recall", "accuracy"}
_CELLS_PER_CHUNK = 1_000_000


class _Ladder(NamedTuple):
    """The distinct scores, ascending, and where the threshold and the calibration bins cut them."""

    values: np.ndarray  # float64 (U,)
    n_not_above: int  # how many of the distinct scores are <= threshold
    bin_starts: np.ndarray  # int (bins in use,), first distinct score of each bin


def checked(labels: Any, scores: Any) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N,) of 0 and 1 as bool, True for a fake, and scores (N,) of P(fake) as float64.

    Raises:
        ValueError: for other shapes, other labels, or scores that are NaN or outside [0, 1].
    """
    labels = np.asarray(labels)
    scores = np.asarray(scores, dtype=np.float64)
    if labels.ndim != 1 or labels.shape != scores.shape:
        raise ValueError(f"labels and scores must both be (N,), got {labels.shape} and {scores.shape}")
    is_fake = labels == 1
    wrong = ~(is_fake | (labels == 0))
    if wrong.any():
        raise ValueError(f"labels must be 0 or 1, got {wrong.sum()} others, the first {labels[wrong][0]!r}")
    require_probabilities(scores)
    return is_fake, scores


def score_block(
    labels: Any, scores: Any, threshold: float, *, bootstrap: int = 0, seed: int = 0
) -> dict[str, Any]:
    """All metrics of one set of photographs and fakes.

    An image is called fake if its score is ABOVE the threshold, as
    :func:`fakeface.metrics.thresholds.choose_threshold` has it.

    - ``precision``, ``recall``, ``f1``: of fakes. ``real_precision``, ``real_recall``: of photographs.
    - ``fpr``: share of photographs called fake, ``1 - real_recall``.
    - ``auroc``: Mann-Whitney U / (n_real n_fake), ties count one half.
    - ``average_precision``: sum of (recall step x precision) over distinct scores, as in scikit-learn.
    - ``eer``: the error rate at which false positives and false negatives are equally frequent, on the
      ROC joined by straight lines.
    - ``ece``: expected calibration error (Guo et al., "On Calibration of Modern Neural Networks", 2017,
      eq. 3), with P(fake) as the confidence and the share of fakes as the accuracy, over 15 equal
      right-closed bins. Each class weighs one half in all: a score is P(fake) at even odds, and says nothing
      of how many fakes a test set has for each photograph. So it needs both classes.

    Intervals are 95 % percentile bootstrap intervals over images; photographs and fakes are resampled
    separately, so each resample has the same n_real and n_fake. Resamples in which a metric is undefined
    (no image called fake: no precision) are left out of its interval. The interval of ``ece`` leans upwards,
    because resampling adds noise to every bin and ECE counts noise as error: on well calibrated scores it
    can lie above the value itself.

    Args:
        labels: (N,) of 0 (photograph) and 1 (fake).
        scores: (N,) of P(fake), in [0, 1].
        threshold: the frozen decision threshold.
        bootstrap: number of resamples; 0 for none.
        seed: of the resamples.

    Returns:
        ``n_real``, ``n_fake``, the metrics of :data:`METRICS` as fractions and, with a bootstrap,
        ``<metric>_ci95: [low, high]``. A metric without a meaning is None, its interval too, and
        ``undefined`` maps its name to the reason; the key is absent where everything is defined.

    Raises:
        ValueError: for labels, scores or a threshold out of range, or a negative ``bootstrap``.
    """
    return mean_block(labels, [scores], [threshold], bootstrap=bootstrap, seed=seed)


def mean_block(
    labels: Any, runs: Sequence[Any], thresholds: Sequence[float], *, bootstrap: int = 0, seed: int = 0
) -> dict[str, Any]:
    """The block of :func:`score_block` averaged over several trainings that scored the same images.

    Args:
        labels: (N,) of 0 (photograph) and 1 (fake).
        runs: for each training its scores (N,).
        thresholds: and its frozen threshold.
        bootstrap: number of resamples; a resample draws the same images for every training.
        seed: of the resamples.

    Returns:
        The keys of :func:`score_block`. With two trainings or more also ``<metric>_std``, the standard
        deviation over trainings (of a sample: divided by their number less one). A metric that is undefined
        in one training is None for all.

    Raises:
        ValueError: as :func:`score_block`, or if there is not one threshold a run.
    """
    if not runs or len(runs) != len(thresholds):
        raise ValueError(f"runs need one threshold each, got {len(runs)} runs, {len(thresholds)} thresholds")
    if bootstrap < 0:
        raise ValueError(f"bootstrap must be a number of resamples >= 0, got {bootstrap}")
    points: list[dict[str, float]] = []
    resampled: list[dict[str, np.ndarray]] = []
    undefined: dict[str, str] = {}
    for scores, threshold in zip(runs, thresholds, strict=True):
        point, reasons, n_real, n_fake = _point(labels, scores, threshold)
        points.append(point)
        undefined |= reasons
        if bootstrap:
            resampled.append(bootstrap_samples(labels, scores, threshold, bootstrap, seed))
    block: dict[str, Any] = {"n_real": n_real, "n_fake": n_fake}
    for name in METRICS:
        known = name not in undefined
        values = [point[name] for point in points]
        block[name] = float(np.mean(values)) if known else None
        if bootstrap:
            mean = np.mean([run[name] for run in resampled], axis=0)
            block[f"{name}_ci95"] = interval(mean) if known else None
        if len(points) > 1:
            block[f"{name}_std"] = float(np.std(values, ddof=1)) if known else None
    if undefined:
        block["undefined"] = undefined
    return block


def bootstrap_samples(
    labels: Any, scores: Any, threshold: float, bootstrap: int, seed: int
) -> dict[str, np.ndarray]:
    """Every metric of every resample, float64 (bootstrap,) each, NaN where it is undefined.

    Which images resample r draws depends on ``seed`` and on the numbers of photographs and of fakes only. So
    samples of two detectors on the same images are paired, and their difference has the interval of the
    paired difference; and sets that share their photographs share the draws of them too.

    Arguments as :func:`score_block`, ``bootstrap`` >= 1.
    """
    is_fake, scores = checked(labels, scores)
    ladder, rung = _ladder(scores, threshold)
    chunks = [
        _measure(*counts, ladder)
        for counts in _resamples(rung[is_fake], rung[~is_fake], ladder.values.size, bootstrap, seed)
    ]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in METRICS}


def _point(labels: Any, scores: Any, threshold: float) -> tuple[dict[str, float], dict[str, str], int, int]:
    """Metrics on the images themselves, reasons of the undefined ones, n_real and n_fake."""
    is_fake, scores = checked(labels, scores)
    if np.isnan(threshold):
        raise ValueError(f"threshold must be a number, got {threshold}")
    n_fake = int(is_fake.sum())
    n_real = int(is_fake.size - n_fake)
    ladder, rung = _ladder(scores, threshold)
    n_rungs = ladder.values.size
    fakes = np.bincount(rung[is_fake], minlength=n_rungs)[None]
    reals = np.bincount(rung[~is_fake], minlength=n_rungs)[None]
    point = {name: float(values[0]) for name, values in _measure(fakes, reals, ladder).items()}
    return point, _undefined(point, n_real, n_fake), n_real, n_fake


def calibration_bins(scores: np.ndarray) -> np.ndarray:
    """Calibration bin of each score, int (N,): bin i covers (i / 15, (i + 1) / 15], the first 0 as well."""
    edges = np.linspace(0, 1, ECE_BINS + 1)
    return np.searchsorted(edges[1:-1], scores, side="left")


def _ladder(scores: np.ndarray, threshold: float) -> tuple[_Ladder, np.ndarray]:
    """The distinct scores, and for each image which one it has, int (N,)."""
    values, rung = np.unique(scores, return_inverse=True)
    _, bin_starts = np.unique(calibration_bins(values), return_index=True)
    n_not_above = int(np.searchsorted(values, threshold, side="right"))
    return _Ladder(values, n_not_above, bin_starts), rung.reshape(-1)


def _resamples(
    fake_rungs: np.ndarray, real_rungs: np.ndarray, n_rungs: int, bootstrap: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Counts of fakes and of photographs on each rung, int (R, U) each, a chunk of R resamples at a time."""
    # One stream a class, so that the draws do not depend on the chunks.
    of_fakes, of_reals = np.random.default_rng(seed).spawn(2)
    chunk = max(1, _CELLS_PER_CHUNK // max(1, fake_rungs.size + real_rungs.size))
    for start in range(0, bootstrap, chunk):
        rows = min(chunk, bootstrap - start)
        yield _draw(fake_rungs, n_rungs, rows, of_fakes), _draw(real_rungs, n_rungs, rows, of_reals)


def _draw(rungs: np.ndarray, n_rungs: int, rows: int, rng: np.random.Generator) -> np.ndarray:
    """``rows`` resamples with replacement of the images on ``rungs``, as counts, int (rows, n_rungs)."""
    if rungs.size == 0:
        return np.zeros((rows, n_rungs), dtype=np.int64)
    drawn = rungs[rng.integers(0, rungs.size, size=(rows, rungs.size), dtype=np.int32)]
    drawn += np.arange(rows)[:, None] * n_rungs
    return np.bincount(drawn.reshape(-1), minlength=rows * n_rungs).reshape(rows, n_rungs)


def _measure(fakes: np.ndarray, reals: np.ndarray, ladder: _Ladder) -> dict[str, np.ndarray]:
    """Every metric of every resample, float64 (R,) each; NaN where it is 0 / 0.

    ``fakes`` and ``reals``, int (R, U), say how many fakes and photographs carry each distinct score.
    """
    if fakes.shape[1] == 0:
        return {name: np.full(len(fakes), np.nan) for name in METRICS}
    fakes_up_to = np.cumsum(fakes, axis=1)
    reals_up_to = np.cumsum(reals, axis=1)
    n_fake, n_real = fakes_up_to[:, -1], reals_up_to[:, -1]

    below = ladder.n_not_above
    missed = fakes_up_to[:, below - 1] if below else np.zeros_like(n_fake)
    passed = reals_up_to[:, below - 1] if below else np.zeros_like(n_real)
    caught, false_alarms = n_fake - missed, n_real - passed

    wins = np.einsum("ru,ru->r", fakes, reals_up_to - 0.5 * reals)
    caught_from = n_fake[:, None] - fakes_up_to + fakes
    called_from = caught_from + n_real[:, None] - reals_up_to + reals
    # Where nothing is left above, no fake is here either, and the step is 0 whatever the precision.
    ap = np.einsum("ru,ru->r", fakes, caught_from / np.maximum(called_from, 1))

    # A bin's share of fakes less its mean score, times its weight: what fakes lack to 1 less what photographs
    # have above 0, each relative to the size of its class.
    lacking = np.add.reduceat(fakes * (1 - ladder.values), ladder.bin_starts, axis=1)
    exceeding = np.add.reduceat(reals * ladder.values, ladder.bin_starts, axis=1)
    gaps = np.abs(_ratio(lacking, n_fake[:, None]) - _ratio(exceeding, n_real[:, None])).sum(axis=1)

    return {
        "precision": _ratio(caught, caught + false_alarms),
        "recall": _ratio(caught, n_fake),
        "f1": _ratio(2 * caught, n_fake + caught + false_alarms),
        "accuracy": _ratio(caught + passed, n_fake + n_real),
        "auroc": _ratio(wins, n_fake * n_real),
        "average_precision": _ratio(ap, n_fake),
        "eer": _equal_error_rate(fakes_up_to, reals_up_to),
        "fpr": _ratio(false_alarms, n_real),
        "ece": gaps / 2,
        "real_precision": _ratio(passed, passed + missed),
        "real_recall": _ratio(passed, n_real),
    }


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(denominator == 0, np.nan, numerator / denominator)


def _equal_error_rate(fakes_up_to: np.ndarray, reals_up_to: np.ndarray) -> np.ndarray:
    """Where the ROC, joined by straight lines, crosses the line of equal errors, float64 (R,)."""
    rows = np.arange(len(fakes_up_to))
    misses = _ratio(fakes_up_to, fakes_up_to[:, -1:])
    alarms = 1 - _ratio(reals_up_to, reals_up_to[:, -1:])
    # As the threshold climbs, misses grow from 0 to 1 while false alarms shrink from 1 to 0.
    crossing = np.argmax(misses >= alarms, axis=1)
    previous = np.maximum(crossing - 1, 0)
    start_misses = np.where(crossing == 0, 0.0, misses[rows, previous])
    start_alarms = np.where(crossing == 0, 1.0, alarms[rows, previous])
    rise = misses[rows, crossing] - start_misses
    gap = start_alarms - start_misses
    return start_misses + rise * _ratio(gap, gap - (alarms[rows, crossing] - misses[rows, crossing]))


def _undefined(point: dict[str, float], n_real: int, n_fake: int) -> dict[str, str]:
    """Reasons for the metrics that have no value, by name."""
    reasons = {"precision": "no image was called fake", "real_precision": "no image was called real"}
    result = {}
    for name in METRICS:
        if n_real + n_fake == 0:
            result[name] = "no images"
        elif n_fake == 0 and name in _NEEDS_FAKES:
            result[name] = "no fake images"
        elif n_real == 0 and name in _NEEDS_REALS:
            result[name] = "no real images"
        elif np.isnan(point[name]):
            result[name] = reasons[name]
    return result


def interval(samples: np.ndarray) -> list[float] | None:
    """95 % percentile interval of bootstrap samples (R,), NaN left out; None if nothing else is there."""
    defined = samples[~np.isnan(samples)]
    if defined.size == 0:
        return None
    low, high = np.percentile(defined, [2.5, 97.5])
    return [float(low), float(high)]
