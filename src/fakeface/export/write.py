"""Write the detector as ONNX, with what a program must know in the file's metadata."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import torch

from fakeface import __version__
from fakeface.atomic import write_bytes
from fakeface.detector.scoring import Detector
from fakeface.errors import FakefaceError
from fakeface.export.network import WholeDetector

INPUT, OUTPUTS = "images", ("score", "embedding")
OPSET = 18
PREPROCESSING = (
    "uint8 (N, {size}, {size}, 3), RGB: the upright picture in 8-bit RGB, aligned like CelebA, its middle "
    "square cut out, reduced with Pillow's BICUBIC (antialiased). Normalisation is inside."
)


class ExportError(FakefaceError, RuntimeError):
    """The detector cannot be exported; the message says why."""


def write_onnx(detector: Detector, path: str | Path) -> None:
    """Write ``images`` -> ``score``, ``embedding`` for any number of prepared images.

    The metadata hold ``preprocessing``, ``threshold``, ``lower_threshold`` and ``fakeface_version``.

    Args:
        detector: trained.
        path: of the ONNX file.

    Raises:
        ExportError: if PyTorch cannot express the network.
    """
    import onnx

    network = WholeDetector(detector.cffn, detector.cn, detector.calibration, detector.reference).cpu().eval()
    size = detector.image_size
    images = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    # The exporter reports each of its steps.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                network,
                (images,),
                input_names=[INPUT],
                output_names=list(OUTPUTS),
                dynamic_shapes=({0: torch.export.Dim("batch", max=2**20)},),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise ExportError(f"PyTorch cannot export the network: {error}") from error
    finally:
        detector.cffn.to(detector.fabric.device)
        detector.cn.to(detector.fabric.device)
    if program is None:
        raise ExportError("PyTorch exported nothing")
    model = program.model_proto
    _without_notes(model)
    facts = {
        "fakeface_version": __version__,
        "preprocessing": PREPROCESSING.format(size=size),
        "threshold": json.dumps(detector.threshold),
        "lower_threshold": json.dumps(detector.lower_threshold),
    }
    onnx.helper.set_model_props(model, facts)
    onnx.checker.check_model(model)
    write_bytes(path, model.SerializeToString(deterministic=True))


def _without_notes(model: Any) -> None:
    """Remove what the exporter notes of its source: stack traces with the paths of this machine."""
    for part in (model.graph, *model.graph.node, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.initializer):
        del value.metadata_props[:]
