"""Pictures that show where the evidence for a verdict lies: the face beside its Grad-CAM heatmap."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from fakeface.atomic import write_bytes
from fakeface.detector.scoring import Detector
from fakeface.evaluation.explain.gradcam import grad_cam
from fakeface.predict.judge import Judged, Picture

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


def evidence(face: Judged, detector: Detector) -> Image.Image:
    """A judged face at the left, and at the right where the evidence for its verdict lies; enlarged.

    Raises:
        ValueError: if the face has no verdict.
    """
    if face.pixels is None or face.verdict is None:
        raise ValueError("evidence is there for a verdict only, got a face without one")
    heatmap = grad_cam(detector, face.pixels[None].copy(), np.array([face.verdict == "fake"]), 1)[0]
    pair = np.concatenate([face.pixels, overlay(face.pixels, heatmap)], axis=1)
    side = _ENLARGED * face.pixels.shape[0]
    return Image.fromarray(pair).resize((2 * side, side), Image.Resampling.BICUBIC)


def write_overlays(picture: Picture, number: int, detector: Detector, folder: Path) -> list[Path]:
    """One PNG a judged face, as :func:`evidence` draws it.

    Args:
        picture: judged.
        number: of the picture among those of the call; keeps equal names from different folders apart.
        detector: that judged it.
        folder: created if need be.
    """
    written = []
    for index, face in enumerate(picture.faces, start=1):
        if face.verdict is None:
            continue
        path = folder / f"{number:04d}-{Path(picture.name).stem}-{index}-{face.verdict}.png"
        buffer = io.BytesIO()
        evidence(face, detector).save(buffer, format="PNG")
        write_bytes(path, buffer.getvalue())
        written.append(path)
    return written
