"""All that the stage ``explain`` writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fakeface.base.files import write_text
from fakeface.data.image_sets import Folders
from fakeface.detector.batches import load_split, load_training
from fakeface.detector.detector import Detector
from fakeface.detector.views import ViewKind, protocol_kinds
from fakeface.evaluation.explain.embedding_splits import write_embedding_splits
from fakeface.evaluation.explain.judged import HEADLINE, REAL, Judged, judge
from fakeface.evaluation.explain.saliency import grad_cam, saliency_metrics, write_saliency
from fakeface.evaluation.explain.spectra import residual_spectra, write_residual_spectra
from fakeface.evaluation.explain.worst_errors import worst_error_table, write_worst_errors
from fakeface.params import Params

# Photographs, and fakes a GAN, at most; and images a pass of Grad-CAM, which needs the memory of a training.
TEST_IMAGES, CAM_BATCH = 150, 50
SPECTRA_PROTOCOLS = ("clean", HEADLINE)


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
    data = load_split(folders.real, folders.fake, gans, "test")
    test = judge(params, detector, data, protocol_kinds(params)[HEADLINE], TEST_IMAGES)
    heatmaps = grad_cam(detector, test.images, test.called_fake, CAM_BATCH)
    write_saliency(folder / "saliency.png", test, heatmaps, held_out)
    write_worst_errors(folder / "worst_errors.png", test, held_out)
    table = worst_error_table(test, held_out)
    write_text(folder / "worst_errors.csv", table.to_csv(index=False, lineterminator="\n"))

    everything = load_split(folders.real, folders.fake, gans, "train")
    spectra = residual_spectra(params, everything, SPECTRA_PROTOCOLS)
    write_residual_spectra(folder / "residual_spectra.png", spectra, gans, held_out)
    lines = ",\n".join(json.dumps(row) for row in spectra.rows(held_out))
    write_text(folder / "spectra.json", f"[\n{lines}\n]\n")

    points = params.evaluate.embedding_points
    learnt_from = {
        "train": load_training(folders, params.training_gans),
        "val": load_split(folders.real, folders.fake, params.training_gans, "val"),
    }
    splits: dict[str, Judged] = {}
    for split, learnt in learnt_from.items():
        kind = ViewKind(f"explain {split}", (getattr(params.protocols, HEADLINE),))
        splits[split] = judge(params, detector, learnt, kind, points)
    splits["test"] = test
    write_embedding_splits(folder / "embedding_splits.png", splits, gans, held_out)
    return {
        "protocol": HEADLINE,
        "threshold": detector.threshold,
        "n_real": int((test.sources == REAL).sum()),
        "n_fake": int((test.sources != REAL).sum()),
        "errors": error_counts(test),
        "central_share": saliency_metrics(test, heatmaps, held_out),
        "spectra": {"n_images": spectra.n_images, "distance_to_photographs": spectra.distances()},
    }
