"""What the detector says of samples of the splits, in pictures and a few figures."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

from fakeface.base.files import write_text
from fakeface.data.image_sets import Folders, evenly_spaced
from fakeface.detector.activations import NetworkInputs
from fakeface.detector.batches import DetectorData, load_split, load_training
from fakeface.detector.detector import Detector
from fakeface.detector.views import ViewKind, every_view, protocol_kinds
from fakeface.evaluation.figures import REAL, bare, colours, described, new_figure, write_png, write_rows
from fakeface.evaluation.grad_cam import CENTRAL_SIDE, central_share, grad_cam
from fakeface.evaluation.spectra import label, residual_spectra, write_residual_spectra
from fakeface.params import Params

HEADLINE = "laundered"
# Of the worst errors: photographs and fakes at most, and fakes of one GAN.
PER_KIND = 6
PER_GAN = 2
BATCH = 250


@dataclass(frozen=True)
class Judged:
    """Images of one split under the headline protocol, and what the detector said.

    Attributes:
        names: str (N,), of the manifest.
        sources: str (N,), ``real`` or the name of a GAN.
        images: uint8 (N, S, S, 3), laundered.
        scores: float64 (N,), P(fake).
        embeddings: float32 (N, D).
        threshold: above it an image is called fake.
    """

    names: np.ndarray
    sources: np.ndarray
    images: np.ndarray
    scores: np.ndarray
    embeddings: np.ndarray
    threshold: float

    @property
    def called_fake(self) -> np.ndarray:
        """bool (N,)."""
        return self.scores > self.threshold

    @property
    def right(self) -> np.ndarray:
        """bool (N,): photographs called real and fakes called fake."""
        return self.called_fake == (self.sources != REAL)

    def extreme(
        self, candidates: np.ndarray, count: int, *, highest: bool, each: int | None = None
    ) -> np.ndarray:
        """Rows of the candidates with the most extreme scores, ties in the order of the images: int64 (M,).

        Args:
            candidates: bool (N,).
            count: how many, at most.
            highest: the highest scores, highest first, or else the lowest, lowest first.
            each: how many of one source, at most; None for any number.
        """
        rows = np.flatnonzero(candidates)
        rows = rows[np.argsort(-self.scores[rows] if highest else self.scores[rows], kind="stable")]
        if each is not None:
            order = pd.Series(self.sources[rows])
            rows = rows[(order.groupby(order).cumcount() < each).to_numpy()]
        return rows[:count]


def judge(
    params: Params, detector: Detector, data: DetectorData, kind: ViewKind, limit: int | None
) -> Judged:
    """Launder and score a sample of a split: at most ``limit`` photographs, and fakes a GAN; None for all.

    With the ``kind`` of the evaluation's views, a test image gets the very same pixels and score as there.
    """
    groups = [np.flatnonzero(data.groups == group) for group in range(len(data.gans) + 1)]
    rows = np.concatenate([group if limit is None else evenly_spaced(group, limit) for group in groups])
    views = every_view(data, kind, params.seed, rows)
    inputs = NetworkInputs(params, detector.cffn, detector.fabric)
    batches = [views[at : at + BATCH] for at in range(0, len(views), BATCH)]
    judged = [detector.judge(*inputs.read_with_detail(batch)) for batch in batches]
    scores, embeddings = (np.concatenate(parts) for parts in zip(*judged, strict=True))
    sources = np.array([REAL, *data.gans])[data.groups[rows]]
    names = data.manifest["name"].to_numpy(str)[rows]
    return Judged(names, sources, views.pixels, scores, embeddings, detector.rule.threshold)


def worst_errors(judged: Judged) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the photographs with the highest scores and of the fakes with the lowest, worst first.

    Only errors at the frozen threshold; six of each kind at most, and two a GAN.
    """
    photographs = judged.extreme(~judged.right & (judged.sources == REAL), PER_KIND, highest=True)
    fakes = judged.extreme(~judged.right & (judged.sources != REAL), PER_KIND, highest=False, each=PER_GAN)
    return photographs, fakes


def worst_error_table(judged: Judged, held_out: Sequence[str]) -> pd.DataFrame:
    """One row an error: ``error, rank, name, source, seen, score, threshold``.

    ``error`` is ``false positive`` for a photograph, ``false negative`` for a fake. ``seen`` is empty
    for photographs, ``yes`` or ``no`` for fakes.
    """
    rows = []
    for kind, chosen in zip(("false positive", "false negative"), worst_errors(judged), strict=True):
        for rank, row in enumerate(chosen, start=1):
            source = judged.sources[row]
            seen = "" if source == REAL else "no" if source in held_out else "yes"
            score, threshold = round(float(judged.scores[row]), 6), round(judged.threshold, 6)
            rows.append((kind, rank, judged.names[row], source, seen, score, threshold))
    columns = ["error", "rank", "name", "source", "seen", "score", "threshold"]
    return pd.DataFrame(rows, columns=columns)


def write_worst_errors(path: str | PathLike[str], judged: Judged, held_out: Sequence[str]) -> None:
    """A PNG with a row of photographs called fake and one of fakes missed, as the detector saw them."""
    figure = new_figure(10.5, 5.2)
    titles = ("photographs\ncalled fake", "fakes\nnot called fake")
    for line, title, chosen in zip(figure.subplots(2, PER_KIND), titles, worst_errors(judged), strict=True):
        line[0].set_ylabel(title, fontsize=11)
        for panel in line:
            bare(panel)
        for panel, row in zip(line, chosen, strict=False):
            panel.imshow(judged.images[row], interpolation="nearest")
            panel.set_title(f"score {judged.scores[row]:.3f}", fontsize=11)
            name = PurePosixPath(judged.names[row]).name
            panel.set_xlabel(f"{described(judged.sources[row], held_out)}\n{name}", fontsize=9)
        for panel in line[len(chosen) :]:
            panel.text(0.5, 0.5, "no further\nerror", ha="center", va="center", transform=panel.transAxes)
    n_real = int((judged.sources == REAL).sum())
    figure.suptitle("The errors that the detector was surest of", fontsize=13)
    figure.supxlabel(
        f"Score: P(fake). Above the threshold {judged.threshold:.3f} an image is called fake. Worst on the "
        f"left, at most {PER_GAN} a GAN.\nOut of {n_real} photographs and {len(judged.sources) - n_real} "
        f"fakes of the test split, as the detector saw them (protocol {HEADLINE}: some rescaled, then JPEG).",
        fontsize=9,
    )
    write_png(path, figure)


# Hits and misses, each with its heatmap.

EXAMPLES = 2
# Evidence for "fake" is drawn in reds, evidence for "photograph" in blues.
COLOUR_MAPS = {True: "Reds", False: "Blues"}
TITLES = {"photographs": "Photographs", "seen": "Fakes of seen GANs", "unseen": "Fakes of unseen GANs"}


def kinds(judged: Judged, held_out: Sequence[str]) -> dict[str, np.ndarray]:
    """Members, bool (N,), of ``photographs``, ``seen`` and ``unseen``, the fakes of seen and unseen GANs."""
    real, unseen = judged.sources == REAL, np.isin(judged.sources, list(held_out))
    return {"photographs": real, "seen": ~real & ~unseen, "unseen": unseen}


def examples(judged: Judged, members: np.ndarray, right: bool) -> np.ndarray:
    """Rows of the hits or misses that the detector was surest of, of different GANs where they are fakes."""
    candidates = members & (judged.right == right)
    several = len(np.unique(judged.sources[members])) >= EXAMPLES
    # A sure hit on a fake has a high score, and so has a sure miss on a photograph.
    fake = not (judged.sources[members] == REAL).any()
    return judged.extreme(candidates, EXAMPLES, highest=fake == right, each=1 if several else None)


def saliency_metrics(judged: Judged, heatmaps: np.ndarray, held_out: Sequence[str]) -> dict[str, Any]:
    """Mean share of the evidence inside the central square, for hits and misses of each kind.

    Returns:
        For each kind ``hits``, ``misses``, ``n_hits`` and ``n_misses``. A share without an image that has
        evidence is None, with the reason under ``undefined``. ``even`` is the share of an even heatmap.
    """
    shares = central_share(heatmaps)
    result: dict[str, Any] = {"even": round(CENTRAL_SIDE**2, 6)}
    for kind, members in kinds(judged, held_out).items():
        block: dict[str, Any] = {}
        undefined = {}
        for name, right in (("hits", True), ("misses", False)):
            rows = members & (judged.right == right)
            defined = shares[rows & ~np.isnan(shares)]
            block[name] = round(float(defined.mean()), 6) if len(defined) else None
            block[f"n_{name}"] = int(rows.sum())
            if not len(defined):
                undefined[name] = f"no {name}" if not rows.any() else "no evidence on any image"
        result[kind] = block | ({"undefined": undefined} if undefined else {})
    return result


def _mean_heatmap(heatmaps: np.ndarray) -> np.ndarray:
    """Mean over images, each weighing the same; 1 everywhere where the evidence is spread evenly."""
    means = heatmaps.mean(axis=(1, 2), dtype=np.float64)
    kept = means > 0
    if not kept.any():
        return np.zeros(heatmaps.shape[1:])
    return (heatmaps[kept] / means[kept, None, None]).mean(axis=0)


def _draw_heatmap(panel: Any, heatmap: np.ndarray, fake: bool, top: float) -> None:
    side = len(heatmap)
    panel.imshow(heatmap, cmap=COLOUR_MAPS[fake], vmin=0, vmax=top or 1.0)
    low, high = side * (1 - CENTRAL_SIDE) / 2 - 0.5, side * (1 + CENTRAL_SIDE) / 2 - 0.5
    panel.plot([low, high, high, low, low], [low, low, high, high, low], "k:", linewidth=0.7)


def _panels(n_groups: int) -> tuple[Figure, np.ndarray]:
    """A figure and bare panels (2, n_groups, 2 * EXAMPLES + 1): pairs of image and heatmap, then a mean."""
    # Inches: no layout engine keeps image and heatmap side by side whatever the width of the titles.
    tile, small, wide, left, line = 1.1, 0.06, 0.22, 0.95, 1.78
    group = (2 * EXAMPLES + 1) * tile + EXAMPLES * (small + wide)
    width, height = left + n_groups * (group + 2 * wide), 2 * line + 1.5
    figure = new_figure(width, height)
    figure.set_layout_engine("none")
    panels = np.empty((2, n_groups, 2 * EXAMPLES + 1), dtype=object)
    for row, index, place in np.ndindex(panels.shape):
        x = left + index * (group + 2 * wide) + place * tile + (place // 2) * wide + (place + 1) // 2 * small
        y = height - 1.1 - row * line - tile
        panels[row, index, place] = figure.add_axes((x / width, y / height, tile / width, tile / height))
        bare(panels[row, index, place])
    return figure, panels


def write_saliency(
    path: str | PathLike[str], judged: Judged, heatmaps: np.ndarray, held_out: Sequence[str]
) -> None:
    """A PNG with rows of hits and misses: images that the detector was surest of, each beside its heatmap.

    Photographs, fakes of seen and fakes of unseen GANs stand side by side, each with the mean heatmap of all.
    Heatmaps are float (N, S, S).
    """
    groups = {kind: members for kind, members in kinds(judged, held_out).items() if members.any()}
    figure, panels = _panels(len(groups))
    shares = central_share(heatmaps)
    rows_of = {
        (kind, right): members & (judged.right == right)
        for kind, members in groups.items()
        for right in (True, False)
    }
    means = {cell: _mean_heatmap(heatmaps[rows]) for cell, rows in rows_of.items() if rows.any()}
    top = max((float(mean.max()) for mean in means.values()), default=1.0)
    for index, (kind, members) in enumerate(groups.items()):
        panels[0, index, EXAMPLES].annotate(
            TITLES[kind], (0.5, 1), (0, 36), "axes fraction", "offset points", ha="center", fontsize=13
        )
        for line, right in zip(panels[:, index], (True, False), strict=True):
            fake = (kind != "photographs") == right
            for place, row in enumerate(examples(judged, members, right)):
                line[2 * place].imshow(judged.images[row], interpolation="nearest")
                source = "photograph" if kind == "photographs" else judged.sources[row]
                line[2 * place].set_title(f"{source}\nscore {judged.scores[row]:.3f}", fontsize=9.5)
                _draw_heatmap(line[2 * place + 1], heatmaps[row], fake, float(heatmaps[row].max()))
            if (kind, right) not in means:
                line[0].text(0.5, 0.5, "none", ha="center", va="center", transform=line[0].transAxes)
                continue
            rows = rows_of[kind, right]
            _draw_heatmap(line[-1], means[kind, right], fake, top)
            line[-1].set_title(f"mean of\nall {rows.sum()}", fontsize=9.5)
            if not np.isnan(shares[rows]).all():
                line[-1].set_xlabel(f"{np.nanmean(shares[rows]):.0%} in square", fontsize=9.5)
    for line, text in zip(panels[:, 0], ("HITS\n(right)", "MISSES\n(wrong)"), strict=True):
        line[0].set_ylabel(text, fontsize=12, rotation=0, ha="right", va="center")
    figure.suptitle("Where the evidence for a verdict lies (Grad-CAM)", fontsize=14)
    caption = (
        "Right of each image its heatmap. Red: places that spoke for “fake”; blue: places that spoke for "
        "“photograph”; white: none. Shown are the verdicts that the detector was surest of; score: P(fake), "
        f"above {judged.threshold:.3f} the verdict is “fake”. The dotted square is the middle "
        f"{CENTRAL_SIDE**2:.0%} of the area: evidence that is spread evenly has that share in it. All "
        f"means are on one colour scale. Images of the test split, protocol {HEADLINE}."
    )
    # About 12 characters an inch.
    figure.supxlabel(textwrap.fill(caption, int(11.5 * figure.get_figwidth())), fontsize=10)
    write_png(path, figure)


# Photographs, and fakes a GAN, at most; and images a pass of Grad-CAM, which needs the memory of a training.
TEST_IMAGES, CAM_BATCH = 150, 50
SPECTRA_PROTOCOLS = ("clean", HEADLINE)


def explain(params: Params, detector: Detector, folders: Folders, folder: Path) -> dict[str, Any]:
    """Write pictures, curves and the table of worst errors into ``folder``; return the metrics.

    ``saliency.png`` and ``worst_errors.png`` show photographs; the others are ``worst_errors.csv``,
    ``residual_spectra.png``, ``spectra.json`` and ``embedding_splits.png``.
    """
    gans, held_out = list(params.gans), params.held_out
    everything = load_split(folders.real, folders.fake, gans, "test")
    test = judge(params, detector, everything, protocol_kinds(params)[HEADLINE], TEST_IMAGES)
    heatmaps = grad_cam(detector, test.images, test.called_fake, CAM_BATCH)
    write_saliency(folder / "saliency.png", test, heatmaps, held_out)
    write_worst_errors(folder / "worst_errors.png", test, held_out)
    table = worst_error_table(test, held_out)
    write_text(folder / "worst_errors.csv", table.to_csv(index=False, lineterminator="\n"))

    everything = load_split(folders.real, folders.fake, gans, "train")
    spectra = residual_spectra(params, everything, SPECTRA_PROTOCOLS)
    write_residual_spectra(folder / "residual_spectra.png", spectra, gans, held_out)
    write_rows(folder / "spectra.json", spectra.rows(held_out))

    points = params.evaluate.embedding_points
    train = load_training(folders, params.training_gans)
    val = load_split(folders.real, folders.fake, params.training_gans, "val")
    headline = (getattr(params.protocols, HEADLINE),)
    splits = {
        "train": judge(params, detector, train, ViewKind("explain train", headline), points),
        "val": judge(params, detector, val, ViewKind("explain val", headline), points),
        "test": test,
    }
    write_embedding_splits(folder / "embedding_splits.png", splits, gans, held_out)
    n_real = int((test.sources == REAL).sum())
    return {
        "protocol": HEADLINE,
        "threshold": detector.rule.threshold,
        "n_real": n_real,
        "n_fake": len(test.sources) - n_real,
        "errors": error_counts(test),
        "central_share": saliency_metrics(test, heatmaps, held_out),
        "spectra": {"n_images": spectra.n_images, "distance_to_photographs": spectra.distances()},
    }


def error_counts(judged: Judged) -> dict[str, dict[str, Any]]:
    """``n``, ``errors`` and ``share`` of errors at the frozen threshold, by source."""
    result = {}
    for source in dict.fromkeys(judged.sources.tolist()):
        wrong = ~judged.right[judged.sources == source]
        result[source] = {"n": len(wrong), "errors": int(wrong.sum()), "share": float(wrong.mean())}
    return result


def write_embedding_splits(
    path: str | PathLike[str], splits: Mapping[str, Judged], gans: Sequence[str], held_out: Sequence[str]
) -> None:
    """A PNG with one panel a split: what training pulled apart, and what of it holds for other images.

    All panels show the first two principal components of the first split; unseen GANs are crosses.

    Raises:
        ValueError: if the first split has fewer than 3 images.
    """
    fitted_name, fitted = next(iter(splits.items()))
    if len(fitted.embeddings) < 3:
        raise ValueError(f"split {fitted_name} must have 3 or more images, got {len(fitted.embeddings)}")
    pca = PCA(n_components=2, svd_solver="full").fit(fitted.embeddings.astype(np.float64))
    figure = new_figure(4.2 * len(splits) + 2.0, 4.9)
    panels = np.atleast_1d(figure.subplots(1, len(splits), sharex=True, sharey=True))
    palette = colours(gans)
    marks = {}
    # Unseen GANs come last, on top of those that they fall among.
    order = [REAL, *sorted(gans, key=lambda gan: gan in held_out)]
    for panel, (name, judged) in zip(panels, splits.items(), strict=True):
        flat = pca.transform(judged.embeddings.astype(np.float64))
        for source in order:
            here = flat[judged.sources == source]
            if not len(here):
                continue
            unseen = source in held_out
            marks[label(source, held_out)] = panel.scatter(
                here[:, 0],
                here[:, 1],
                marker="x" if unseen else "o",
                s=22 if unseen else 13,
                linewidths=1.0 if unseen else 0,
                color=palette[source],
                alpha=0.75,
            )
        n_real = int((judged.sources == REAL).sum())
        panel.set_title(f"{name}: {n_real} photographs, {len(flat) - n_real} fakes", fontsize=11)
        panel.set_xlabel(f"first component of {fitted_name} ({pca.explained_variance_ratio_[0]:.1%})")
    panels[0].set_ylabel(f"second component ({pca.explained_variance_ratio_[1]:.1%})")
    figure.legend(
        list(marks.values()), list(marks), loc="outside right center", frameon=False, markerscale=1.6
    )
    figure.suptitle(f"CFFN embedding, split by split (protocol {HEADLINE})", fontsize=13)
    figure.supxlabel(
        f"Axes of all panels: the two principal components of the {fitted_name} panel, with their share of "
        "its variance. Dots: photographs and the GANs of the training.\nCrosses: GANs that training never "
        "saw, in the test alone; those among the photographs are hard to catch.",
        fontsize=9,
    )
    write_png(path, figure)
