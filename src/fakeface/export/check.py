"""Does the exported file say what PyTorch says?"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric

from fakeface.detector.scoring import Detector
from fakeface.export.write import INPUT, OUTPUTS, ExportError

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
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    # The detector's own precision may be a lower one.
    single = Detector(
        detector.cffn,
        detector.cn,
        detector.threshold,
        detector.image_size,
        Fabric(accelerator="cpu", devices=1),
        detector.calibration,
        reference=detector.reference,
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
