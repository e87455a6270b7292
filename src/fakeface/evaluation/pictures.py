"""Every plot of the evaluation, from its predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fakeface.atomic import atomic_directory
from fakeface.detector.dataset import DetectorData
from fakeface.evaluation.evaluate import selections
from fakeface.evaluation.plots import (
    write_calibration,
    write_confusion,
    write_coverage,
    write_embedding,
    write_histograms,
    write_pr,
    write_roc,
)
from fakeface.evaluation.predict import Predictions
from fakeface.params import Params

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
