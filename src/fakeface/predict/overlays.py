"""Pictures that show where the evidence for a verdict lies: the face beside its Grad-CAM heatmap."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from fakeface.atomic import write_bytes
from fakeface.detector.scoring import Detector
from fakeface.evaluation.explain.gradcam import grad_cam
from fakeface.predict.judge import Picture

_ENLARGED = 4


def overlay(pixels: np.ndarray, heatmap: np.ndarray) -> np.ndarray:
    """A face with its heatmap in red over grey: the brighter the red, the more evidence.

    Args:
        pixels: uint8 (S, S, 3).
        heatmap: float (S, S), >= 0; scaled to its own maximum.

    Returns:
        uint8 (S, S, 3).
    """
    grey = pixels.astype(np.float64).mean(axis=2, keepdims=True).repeat(3, axis=2)
    share = (heatmap / max(float(heatmap.max()), 1e-12))[..., None]
    red = np.array([220.0, 30.0, 30.0])
    return (grey * (1 - 0.7 * share) + red * 0.7 * share).round().clip(0, 255).astype(np.uint8)


def write_overlays(picture: Picture, number: int, detector: Detector, folder: Path) -> list[Path]:
    """One PNG a judged face, the face at the left and its evidence at the right.

    Args:
        picture: judged.
        number: of the picture among those of the call; keeps equal names from different folders apart.
        detector: that judged it.
        folder: created if need be.
    """
    written = []
    for index, face in enumerate(picture.faces, start=1):
        if face.pixels is None or face.verdict is None:
            continue
        heatmap = grad_cam(detector, face.pixels[None].copy(), np.array([face.verdict == "fake"]), 1)[0]
        pair = np.concatenate([face.pixels, overlay(face.pixels, heatmap)], axis=1)
        side = _ENLARGED * face.pixels.shape[0]
        image = Image.fromarray(pair).resize((2 * side, side), Image.Resampling.BICUBIC)
        path = folder / f"{number:04d}-{Path(picture.name).stem}-{index}-{face.verdict}.png"
        buffer = io.BytesIO()
        image.save(buffer, format="PNG")
        write_bytes(path, buffer.getvalue())
        written.append(path)
    return written
