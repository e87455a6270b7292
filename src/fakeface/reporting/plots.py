"""What `dvc plots show` draws (JSON, CSV), and the pictures that its templates cannot draw (PNG).

Curves are long: one row a point, with the name of its curve, for the template `.dvc/plots/curves.json`,
which takes any number of them. They come as ``{name: (labels, scores)}``: labels (N,) of 0 and 1 (fake),
scores (N,) of P(fake). Every function that takes curves raises a ValueError for none, or for one that lacks a
class or has bad scores, by name. The same input gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.metrics import precision_recall_curve, roc_curve

from fakeface.base.files import atomic_directory, write_text
from fakeface.detector.batches import DetectorData
from fakeface.evaluation.abstention import coverage_curve
from fakeface.evaluation.evaluate import Predictions, selections
from fakeface.evaluation.figures import (
    REAL_COLOUR,
    colours,
    described,
    new_figure,
    write_png,
    write_rows,
)
from fakeface.metrics.scores import calibration_bins, checked
from fakeface.params import Params

PathOrName = str | PathLike[str]
Curves = Mapping[str, tuple[Any, Any]]

CURVE_POINTS = 200
SEEN_MARKERS = ("o", "s", "v", "D", "p", "h")
UNSEEN_MARKERS = ("x", "+", "1", "2")
HEADLINE = "laundered"


def write_pictures(
    folder: Path,
    params: Params,
    threshold: float,
    test: DetectorData,
    predictions: dict[str, Predictions],
    *,
    lower_threshold: float | None = None,
) -> None:
    """Write curves, confusion, histograms and embedding of the headline protocol into ``folder``.

    ROC and precision-recall curves have one line a GAN and one a protocol over all GANs; so have reliability
    diagrams, and one over the seen and one over the unseen GANs. Accuracy against coverage has these two.
    """
    headline = predictions[HEADLINE]
    real = test.groups == 0
    curves = {
        gan: (test.labels[rows], headline.scores[rows])
        for gan, rows in ((gan, real | (test.groups == i)) for i, gan in enumerate(test.gans, start=1))
    }
    curves |= {f"all ({name})": (test.labels, predicted.scores) for name, predicted in predictions.items()}
    groups = {
        f"all {name}": (test.labels[rows], headline.scores[rows])
        for name, rows in selections(params, test).items()
        if name != "overall" and test.labels[rows].any()
    }
    sources = np.array(["real", *test.gans])[test.groups]
    fake_scores = {gan: headline.scores[test.groups == i] for i, gan in enumerate(test.gans, start=1)}
    # Evenly spaced members of each group: no draw, and as many photographs as fakes of one GAN.
    shown = np.concatenate(
        [
            rows[:: max(1, -(-len(rows) // params.evaluate.embedding_points))]
            for rows in (np.flatnonzero(test.groups == group) for group in range(len(test.gans) + 1))
        ]
    )
    with atomic_directory(folder) as out:
        write_roc(out / "roc.json", curves)
        write_pr(out / "precision_recall.json", curves)
        write_calibration(out / "calibration.json", curves | groups)
        write_coverage(out / "coverage.json", groups, threshold)
        write_confusion(out / "confusion.csv", test.labels, headline.scores, sources.tolist(), threshold)
        write_histograms(
            out / "scores.png",
            headline.scores[real],
            fake_scores,
            threshold=threshold,
            lower_threshold=lower_threshold,
            held_out=params.held_out,
            title=f"Scores of photographs and of each GAN's fakes ({HEADLINE})",
        )
        write_embedding(
            out / "embedding.png",
            headline.embeddings[shown],
            sources[shown].tolist(),
            gans=list(test.gans),
            held_out=params.held_out,
            title=f"CFFN embedding of test photographs and fakes ({HEADLINE})",
        )


def write_roc(path: PathOrName, curves: Curves) -> None:
    """ROC curves as JSON rows ``curve, fpr, tpr``, at most 200 points a curve."""
    _write_curves(path, curves, ("fpr", "tpr"), lambda is_fake, scores: roc_curve(is_fake, scores)[:2])


def write_pr(path: PathOrName, curves: Curves) -> None:
    """Precision-recall curves as JSON rows ``curve, recall, precision``, at most 200 points a curve."""

    def points(is_fake: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        precision, recall, _ = precision_recall_curve(is_fake, scores, drop_intermediate=True)
        return recall[::-1], precision[::-1]

    _write_curves(path, curves, ("recall", "precision"), points)


def write_calibration(path: PathOrName, curves: Curves) -> None:
    """Reliability diagrams as JSON rows ``curve, mean_score, share_fake, weight, n``, a row a used bin.

    Bins and weights are those of the metric ``ece``: each class weighs one half in all, so ``mean_score`` and
    ``share_fake`` are weighted means, ``weight`` adds up to 1 over a curve, and ``ece`` is the weighted mean
    of their distances. ``n`` counts images. A detector whose score is P(fake) at even odds lies on the
    diagonal, whatever the numbers of photographs and fakes.
    """
    rows = []
    for name, (is_fake, scores) in _both_classes(curves).items():
        bins = calibration_bins(scores)
        weights = np.where(is_fake, 0.5 / is_fake.sum(), 0.5 / (~is_fake).sum())
        for inside in (bins == index for index in np.unique(bins)):
            here = weights[inside]
            rows.append(
                {
                    "curve": name,
                    "mean_score": _rounded(np.average(scores[inside], weights=here)),
                    "share_fake": _rounded(np.average(is_fake[inside], weights=here)),
                    "weight": _rounded(here.sum()),
                    "n": int(inside.sum()),
                }
            )
    write_rows(path, rows)


def write_coverage(path: PathOrName, curves: Curves, threshold: float) -> None:
    """Accuracy against coverage as JSON rows ``curve, coverage, accuracy``, at most 200 points a curve."""
    _write_curves(path, curves, ("coverage", "accuracy"), partial(coverage_curve, threshold=threshold))


def thin(x: np.ndarray, y: np.ndarray, n_points: int = CURVE_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """At most ``n_points`` of a curve's own points, evenly spread along it, both ends among them.

    Spread by the distance walked along the curve, ``|dx| + |dy|``, so steep and flat parts keep their shape
    alike: no point left out is further along the curve from one kept than its length / (n_points - 1).
    """
    if len(x) <= n_points:
        return x, y
    walked = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    wanted = np.linspace(0, walked[-1], n_points)
    kept = np.unique(np.searchsorted(walked, wanted[:-1], side="left"))
    kept = np.append(kept[kept < len(x) - 1], len(x) - 1)
    return x[kept], y[kept]


def _both_classes(curves: Curves) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    if not curves:
        raise ValueError("curves must hold at least one curve, got none")
    result = {}
    for name, (labels, scores) in curves.items():
        is_fake, values = checked(labels, scores)
        n_fake, n_real = int(is_fake.sum()), int((~is_fake).sum())
        if not n_fake or not n_real:
            raise ValueError(f"curve {name} must have real and fake images, got {n_real} real, {n_fake} fake")
        result[name] = (is_fake, values)
    return result


def _write_curves(
    path: PathOrName, curves: Curves, axes: tuple[str, str], points: Callable[[np.ndarray, np.ndarray], Any]
) -> None:
    rows = []
    for name, (is_fake, scores) in _both_classes(curves).items():
        for point in zip(*thin(*points(is_fake, scores)), strict=True):
            rows.append({"curve": name} | dict(zip(axes, map(_rounded, point), strict=True)))
    write_rows(path, rows)


def _rounded(value: Any) -> float:
    """Five decimals: finer than any screen, and a small file."""
    return round(float(value), 5)


def write_confusion(
    path: PathOrName, labels: Any, scores: Any, sources: Sequence[str], threshold: float
) -> None:
    """One CSV row an image, ``actual, predicted, source``, for DVC's confusion template.

    Raises:
        ValueError: for bad labels, scores or lengths.
    """
    is_fake, scores = checked(labels, scores)
    if len(sources) != len(scores):
        raise ValueError(f"sources must have one name a score, got {len(sources)} for {len(scores)}")
    actual, predicted = (np.where(fake, "fake", "real") for fake in (is_fake, scores > threshold))
    table = pd.DataFrame({"actual": actual, "predicted": predicted, "source": sources})
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


def write_histograms(
    path: PathOrName,
    real_scores: Any,
    fake_scores: Mapping[str, Any],
    *,
    threshold: float,
    lower_threshold: float | None = None,
    held_out: Sequence[str] = (),
    title: str = "Scores of photographs and of each GAN's fakes",
) -> None:
    """A PNG with one panel a GAN: the scores of its fakes over those of the photographs, P(fake).

    ``threshold`` is a dashed line. Scores from ``lower_threshold`` to it are shaded as unsure; none are if it
    is None or not below the other. Panels of ``held_out`` GANs say that training never saw them.

    Raises:
        ValueError: for no GAN, an empty or a bad set of scores.
    """
    real = _scores_of("photographs", real_scores)
    fakes = {name: _scores_of(name, scores) for name, scores in fake_scores.items()}
    if not fakes:
        raise ValueError("fake_scores must hold at least one GAN, got none")
    unsure = lower_threshold is not None and lower_threshold < threshold
    n_columns = min(3, len(fakes))
    n_rows = -(-len(fakes) // n_columns)
    figure = new_figure(max(6.4, 3.4 * n_columns + 0.6), 2.5 * n_rows + 1.1)
    panels = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False).reshape(-1)
    palette = colours(list(fakes))
    for index, (name, scores) in enumerate(fakes.items()):
        panel = panels[index]
        _histogram(panel, real, REAL_COLOUR)
        _histogram(panel, scores, palette[name])
        panel.axvline(threshold, color="black", linestyle="--", linewidth=1)
        if unsure:
            panel.axvspan(lower_threshold, threshold, color="black", alpha=0.07, linewidth=0)
        panel.set_title(f"{described(name, held_out)}: {np.mean(scores > threshold):.0%} caught", fontsize=10)
        if index + n_columns >= len(fakes):
            panel.set_xlabel("score, P(fake)")
            panel.tick_params(labelbottom=True)
        if index % n_columns == 0:
            panel.set_ylabel("share of images")
    for panel in panels[len(fakes) :]:
        panel.set_visible(False)
    figure.suptitle(title, fontsize=12)
    figure.supxlabel(
        f"Grey: the same {len(real)} photographs in each panel. Colour: fakes.\n"
        f"Dashed: the threshold {threshold:.3f}; {np.mean(real > threshold):.1%} of the photographs above."
        + (f" Shaded: unsure, from {lower_threshold:.3f}." if unsure else ""),
        fontsize=9,
    )
    write_png(path, figure)


def _scores_of(name: str, scores: Any) -> np.ndarray:
    values = np.asarray(scores, dtype=np.float64)
    try:
        checked(np.zeros(values.shape, dtype=int), values)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if values.size == 0:
        raise ValueError(f"{name}: at least one score is needed, got none")
    return values


def _histogram(panel: Any, scores: np.ndarray, colour: str) -> None:
    """Outline and filling of the share of images in each of 30 bins."""
    bins, weights = np.linspace(0, 1, 31), np.full(scores.size, 1 / scores.size)
    panel.hist(scores, bins, weights=weights, color=colour, histtype="stepfilled", alpha=0.4)
    panel.hist(scores, bins, weights=weights, color=colour, histtype="step", linewidth=1.3)


def write_embedding(
    path: PathOrName,
    points: Any,
    sources: Sequence[str],
    *,
    gans: Sequence[str],
    held_out: Sequence[str] = (),
    title: str = "Embedding of photographs and fakes",
) -> None:
    """A PNG of the embedding in two dimensions: its first two principal components.

    The components are fitted to photographs and seen GANs only, so the view owes nothing to held-out ones.

    Points are float (N, D), D >= 2; sources N names, ``real`` or one of ``gans``, which are in the order of
    the legend and of the colours. ``held_out`` GANs are crosses.

    Raises:
        ValueError: for other shapes, unknown sources, values that are not finite, or fewer than 3 points of
            photographs and seen GANs.
    """
    points, names = np.asarray(points, dtype=np.float64), np.asarray(sources)
    if points.ndim != 2 or points.shape[1] < 2 or names.shape != points.shape[:1]:
        raise ValueError(f"points must be (N, D >= 2) with N sources, got {points.shape} and {names.shape}")
    if n_wrong := int((~np.isfinite(points)).sum()):
        raise ValueError(f"points must be finite, got {n_wrong} values that are not")
    if unknown := sorted(set(names.tolist()) - {"real", *gans}):
        raise ValueError(f"sources must be real or one of {', '.join(gans)}, got {', '.join(unknown)}")
    known = ~np.isin(names, list(held_out))
    if known.sum() < 3:
        raise ValueError(f"points must hold 3 or more of photographs and seen GANs, got {known.sum()}")
    pca = PCA(n_components=2, svd_solver="full").fit(points[known])
    flat = pca.transform(points)

    figure = new_figure(8.4, 5.6)
    axes = figure.subplots()
    for name, (label, style) in _marks(gans, held_out).items():
        here = flat[names == name]
        axes.scatter(here[:, 0], here[:, 1], label=label, **style)
    first, second = pca.explained_variance_ratio_
    axes.set_xlabel(f"first principal component ({first:.0%} of the variance)")
    axes.set_ylabel(f"second principal component ({second:.0%})")
    axes.set_title(title, fontsize=12)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, markerscale=1.4)
    write_png(path, figure)


def _marks(gans: Sequence[str], held_out: Sequence[str]) -> dict[str, tuple[str, dict[str, Any]]]:
    """Label and scatter style of the photographs, the seen GANs and, on top, the unseen ones."""
    palette = colours(gans)
    marks: dict[str, tuple[str, dict[str, Any]]] = {
        "real": ("photographs", {"marker": "o", "s": 12, "linewidths": 0, "alpha": 0.8})
    }
    for index, gan in enumerate(gan for gan in gans if gan not in held_out):
        marker = SEEN_MARKERS[index % len(SEEN_MARKERS)]
        marks[gan] = gan, {"marker": marker, "s": 18, "linewidths": 0, "alpha": 0.7}
    for index, gan in enumerate(gan for gan in gans if gan in held_out):
        marker = UNSEEN_MARKERS[index % len(UNSEEN_MARKERS)]
        marks[gan] = f"{gan} (unseen)", {"marker": marker, "s": 26, "linewidths": 1.1, "alpha": 0.8}
    return {name: (label, style | {"color": palette[name]}) for name, (label, style) in marks.items()}
