"""Where in a face the evidence for its verdict lies, as pictures."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from fakeface.apps.judge import Judged, Picture
from fakeface.base.files import write_bytes
from fakeface.detector.detector import Detector
from fakeface.evaluation.explain.saliency import grad_cam


def overlay(pixels: np.ndarray, heatmap: np.ndarray) -> np.ndarray:
    """A face in grey with its heatmap in red, uint8 (S, S, 3): the brighter the red, the more evidence.

    Args:
        pixels: uint8 (S, S, 3).
        heatmap: float (S, S), >= 0; scaled to its own maximum.
    """
    grey = pixels.astype(np.float64).mean(axis=2, keepdims=True).repeat(3, axis=2)
    share = (heatmap / max(float(heatmap.max()), 1e-12))[..., None]
    red = np.array([220.0, 30.0, 30.0])
    return (grey * (1 - 0.7 * share) + red * 0.7 * share).round().clip(0, 255).astype(np.uint8)


def evidence(face: Judged, detector: Detector) -> Image.Image:
    """A judged face at the left, and at the right where the evidence for its verdict lies (Grad-CAM).

    Raises:
        ValueError: if the face has no verdict.
    """
    if face.pixels is None or face.verdict is None:
        raise ValueError("evidence is there for a verdict only, got a face without one")
    heatmap = grad_cam(detector, face.pixels[None].copy(), np.array([face.verdict == "fake"]), 1)[0]
    pair = np.concatenate([face.pixels, overlay(face.pixels, heatmap)], axis=1)
    side = 4 * face.pixels.shape[0]
    return Image.fromarray(pair).resize((2 * side, side), Image.Resampling.BICUBIC)


def write_overlays(picture: Picture, number: int, detector: Detector, folder: Path) -> None:
    """One PNG a judged face, as :func:`evidence` draws it; ``number`` keeps equal names of pictures apart."""
    for index, face in enumerate(picture.faces, start=1):
        if face.verdict is None:
            continue
        path = folder / f"{number:04d}-{Path(picture.name).stem}-{index}-{face.verdict}.png"
        buffer = io.BytesIO()
        evidence(face, detector).save(buffer, format="PNG")
        write_bytes(path, buffer.getvalue())
