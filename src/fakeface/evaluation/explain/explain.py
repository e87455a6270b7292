"""All that the stage ``explain`` writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fakeface.base.files import write_text
from fakeface.data.image_sets import Folders, Split
from fakeface.detector.batches import load_split, load_training
from fakeface.detector.detector import Detector
from fakeface.evaluation.evaluate import TEST_KEY
from fakeface.evaluation.explain.embedding_splits import write_embedding_splits
from fakeface.evaluation.explain.judged import HEADLINE, REAL, Judged, judge
from fakeface.evaluation.explain.saliency import grad_cam, saliency_metrics, write_saliency
from fakeface.evaluation.explain.spectra import residual_spectra, write_residual_spectra
from fakeface.evaluation.explain.worst_errors import worst_error_table, write_worst_errors
from fakeface.params import Params

# Photographs, and fakes a GAN, at most; and images a pass of Grad-CAM, which needs the memory of a training.
TEST_IMAGES, CAM_BATCH = 150, 50
# Keeps the draws of laundering apart from those of other uses.
EXPLAIN_KEY = 17
SPECTRA_PROTOCOLS = ("clean", HEADLINE)
EMBEDDED: tuple[tuple[Split, list[int]], ...] = (("train", [EXPLAIN_KEY, 1]), ("val", [EXPLAIN_KEY, 2]))


def error_counts(judged: Judged) -> dict[str, dict[str, Any]]:
    """``n``, ``errors`` and ``share`` of errors at the frozen threshold, by source."""
    sources = dict.fromkeys(judged.sources.tolist())
    result = {}
    for source in sources:
        wrong = ~judged.right[judged.sources == source]
        result[source] = {"n": len(wrong), "errors": int(wrong.sum()), "share": float(wrong.mean())}
    return result


def explain(params: Params, detector: Detector, folders: Folders, folder: Path) -> dict[str, Any]:
    """Write pictures, curves and the table of worst errors; return the metrics.

    Args:
        params: validated params.
        detector: trained.
        folders: image sets, as :func:`fakeface.detector.batches.load_training` reads them.
        folder: gets ``saliency.png`` and ``worst_errors.png``, which show photographs, and
            ``worst_errors.csv``, ``residual_spectra.png``, ``spectra.json`` and ``embedding_splits.png``.
    """
    gans, held_out = list(params.gans), params.held_out
    test = judge(
        params, detector, load_split(folders.real, folders.fake, gans, "test"), [TEST_KEY], TEST_IMAGES
    )
    heatmaps = grad_cam(detector, test.images, test.called_fake, CAM_BATCH)
    write_saliency(folder / "saliency.png", test, heatmaps, held_out)
    write_worst_errors(folder / "worst_errors.png", test, held_out)
    table = worst_error_table(test, held_out)
    write_text(folder / "worst_errors.csv", table.to_csv(index=False, lineterminator="\n"))

    everything = load_split(folders.real, folders.fake, gans, "train")
    spectra = residual_spectra(params, everything, [EXPLAIN_KEY, 0], SPECTRA_PROTOCOLS)
    write_residual_spectra(folder / "residual_spectra.png", spectra, gans, held_out)
    lines = ",\n".join(json.dumps(row) for row in spectra.rows(held_out))
    write_text(folder / "spectra.json", f"[\n{lines}\n]\n")

    points = params.evaluate.embedding_points
    learnt_from = {
        "train": load_training(folders, params.training_gans),
        "val": load_split(folders.real, folders.fake, params.training_gans, "val"),
    }
    splits: dict[str, Judged] = {}
    for split, key in EMBEDDED:
        splits[split] = judge(params, detector, learnt_from[split], key, points)
    splits["test"] = test
    write_embedding_splits(folder / "embedding_splits.png", splits, gans, held_out)
    return {
        "protocol": HEADLINE,
        "threshold": detector.rule.threshold,
        "n_real": int((test.sources == REAL).sum()),
        "n_fake": int((test.sources != REAL).sum()),
        "errors": error_counts(test),
        "central_share": saliency_metrics(test, heatmaps, held_out),
        "spectra": {"n_images": spectra.n_images, "distance_to_photographs": spectra.distances()},
    }
