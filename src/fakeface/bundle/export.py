"""The detector as an ONNX graph, and its comparison with PyTorch."""

from __future__ import annotations

import json
import logging
import math
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import nn

from fakeface import __version__
from fakeface.base.errors import FakefaceError
from fakeface.base.files import write_bytes
from fakeface.base.onnx_session import open_session
from fakeface.data.preprocess import LUMA
from fakeface.detector.calibration import BLOCK, FINE, FLOOR, SCALE
from fakeface.detector.decision import DecisionRule
from fakeface.detector.detector import Detector
from fakeface.models.cffn import FeatureNetwork
from fakeface.models.cn import ClassificationNetwork

# The detector as one network: bytes of prepared images in, scores out.


def fine_filters() -> torch.Tensor:
    """Filters for a block's fine coefficients, orthonormal cosine transform: float32 (16, 1, 8, 8)."""
    k, n = torch.arange(FINE, BLOCK).double(), torch.arange(BLOCK).double()
    waves = math.sqrt(2 / BLOCK) * torch.cos(math.pi * k[:, None] * (2 * n + 1) / (2 * BLOCK))
    return torch.einsum("uy,vx->uvyx", waves, waves).reshape(-1, 1, BLOCK, BLOCK).float()


class MissingDetail(nn.Module):
    """:func:`fakeface.detector.calibration.missing_detail` in tensors."""

    filters: torch.Tensor
    luma: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filters", fine_filters())
        self.register_buffer("luma", torch.tensor(LUMA))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """float32 (N, 3, S, S) in [0, 255] to float32 (N,)."""
        luma = torch.einsum("nchw,c->nhw", images, self.luma)[:, None]
        fine = F.conv2d(luma, self.filters, stride=BLOCK)
        return torch.log(torch.exp(-((fine / SCALE) ** 2)).mean(dim=(1, 2, 3)) + FLOOR)


class WholeDetector(nn.Module):
    """Normalisation, CFFN, CN, score offset and calibration.

    Args:
        cffn, cn: trained networks.
        rule: from margins to scores.
    """

    def __init__(
        self,
        cffn: FeatureNetwork,
        cn: ClassificationNetwork,
        rule: DecisionRule,
    ) -> None:
        super().__init__()
        self.cffn, self.cn, self.traces = cffn.eval(), cn.eval(), MissingDetail()
        self.slope, self.bias = rule.calibration.slope, rule.calibration.bias
        self.score_offset = rule.score_offset

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """uint8 (N, S, S, 3), RGB, to P(fake) float32 (N,) and embeddings float32 (N, feature_dim)."""
        pixels = images.permute(0, 3, 1, 2).float()
        maps = self.cffn.level_maps(pixels / 127.5 - 1.0)
        logits = self.cn(FeatureNetwork.joint_map(maps))
        t = self.traces(pixels).clamp(self.score_offset.lowest, self.score_offset.highest)
        constant, linear, square = self.score_offset.coefficients
        margin = logits[:, 1] - logits[:, 0] - (constant + linear * t + square * t * t)
        return torch.sigmoid(self.slope * margin + self.bias), self.cffn.embed_maps(maps)


# Write the detector as ONNX, with what a program must know in the file's metadata.

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

    network = WholeDetector(detector.cffn, detector.cn, detector.rule).cpu().eval()
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
        "threshold": json.dumps(detector.rule.threshold),
        "lower_threshold": json.dumps(detector.rule.lower_threshold),
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


# Does the exported file say what PyTorch says?

TOLERANCE = 1e-4
# The activations of more images at once leave a CPU's cache.
_AT_ONCE = 8


def check_export(detector: Detector, path: str | Path, batches: Iterable[np.ndarray]) -> float:
    """The largest difference between the scores of ONNX Runtime and of PyTorch in single precision.

    Args:
        detector: that was exported, on the CPU.
        path: of the file.
        batches: prepared images, uint8 (N, S, S, 3) each.

    Raises:
        ExportError: if a difference is above :data:`TOLERANCE`.
    """
    session = open_session(path, torch.get_num_threads())
    # The detector's own precision may be a lower one.
    single = Detector(
        detector.cffn,
        detector.cn,
        detector.rule,
        detector.image_size,
        Fabric(accelerator="cpu", devices=1),
    )
    worst = 0.0
    for images in batches:
        parts = [images[start : start + _AT_ONCE] for start in range(0, len(images), _AT_ONCE)]
        scores = np.concatenate([session.run([OUTPUTS[0]], {INPUT: part})[0] for part in parts])
        expected, _ = single.score_and_embed(images, len(images))
        worst = max(worst, float(np.abs(scores - expected).max()))
    if not worst <= TOLERANCE:
        raise ExportError(
            f"{path}: scores differ from PyTorch's by {worst:.2g}, expected at most {TOLERANCE}"
        )
    return worst
