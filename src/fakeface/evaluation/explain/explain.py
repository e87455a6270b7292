"""All that the stage ``explain`` writes; the embedding of each split is drawn here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.decomposition import PCA

from fakeface.base.files import write_text
from fakeface.data.image_sets import Folders
from fakeface.detector.batches import load_split, load_training
from fakeface.detector.detector import Detector
from fakeface.detector.views import ViewKind, protocol_kinds
from fakeface.evaluation.explain.judged import (
    HEADLINE,
    REAL,
    Judged,
    judge,
    worst_error_table,
    write_worst_errors,
)
from fakeface.evaluation.explain.saliency import grad_cam, saliency_metrics, write_saliency
from fakeface.evaluation.explain.spectra import label, residual_spectra, write_residual_spectra
from fakeface.evaluation.figures import colours, new_figure, write_png, write_rows
from fakeface.params import Params

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
