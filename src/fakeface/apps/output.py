"""Verdicts as tables, JSON lines, CSV, and heatmaps."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from fakeface.apps.judge import Judged, Picture
from fakeface.base.files import write_bytes
from fakeface.detector.attribution_head import UNKNOWN
from fakeface.detector.detector import Detector
from fakeface.evaluation.explain.saliency import grad_cam

# -------------------------------------------------------------------------------------------------
# Verdicts as a table for people, or as JSON lines or CSV for programs.

COLUMNS = ("picture", "face", "left", "top", "right", "bottom", "verdict", "score", "resembles", "message")


def write_json_lines(pictures: Iterable[Picture], out: IO[str]) -> Iterator[Picture]:
    """One object a picture: name, message, faces with box, verdict, score, likeness and message."""
    for picture in pictures:
        faces = [
            {
                "box": face.box,
                "verdict": face.verdict,
                "score": face.score,
                "resembles": face.resembles,
                "message": face.reason,
            }
            for face in picture.faces
        ]
        line = {"picture": picture.name, "failed": picture.failed, "message": picture.message, "faces": faces}
        out.write(json.dumps(line, ensure_ascii=False) + "\n")
        yield picture


def write_csv(pictures: Iterable[Picture], out: IO[str]) -> Iterator[Picture]:
    """One row a face; one without a face for a picture that has none. Scores in full precision."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for picture in pictures:
        for number, face in enumerate(picture.faces, start=1):
            score = "" if face.score is None else repr(face.score)
            box = face.box or ("", "", "", "")
            writer.writerow(
                [
                    picture.name,
                    number,
                    *box,
                    face.verdict or "",
                    score,
                    face.resembles or "",
                    face.reason or "",
                ]
            )
        if not picture.faces:
            writer.writerow([picture.name, *[""] * 8, picture.message])
        yield picture


def write_table(pictures: Iterable[Picture], out: IO[str], detector: Detector) -> Iterator[Picture]:
    """A line a face as soon as it is judged, then what the verdicts mean."""
    judged = False
    for picture in pictures:
        for number, face in enumerate(picture.faces, start=1):
            where = f" (face {number} of {len(picture.faces)})" if len(picture.faces) > 1 else ""
            like = f", like those of {face.resembles}" if face.resembles not in (None, UNKNOWN) else ""
            out.write(f"{_words(face)}  {picture.name}{where}{like}\n")
            judged |= face.verdict is not None
        if not picture.faces:
            out.write(f"{'-':8}{'':8}  {picture.name}: {picture.message}\n")
        out.flush()
        yield picture
    if judged:
        out.write(f"\n{meaning(detector)}\n")


def _words(face: Judged) -> str:
    if face.verdict is None or face.score is None:
        return f"{'-':8}{'':8}  [{face.reason}]"
    return f"{face.verdict:8}{face.score:8.4f}"


def meaning(detector: Detector) -> str:
    """What the number before a name is, and where the verdicts part."""
    text = (
        "Second column: P(fake), were photographs and fakes equally many. "
        f"Called fake above {detector.rule.threshold:.4f}"
    )
    if detector.rule.lower_threshold < detector.rule.threshold:
        text += f", real below {detector.rule.lower_threshold:.4f}, unsure between."
    else:
        text += ", else real."
    return text + " A verdict is a hint, no proof: see the detector's README.md."


# -------------------------------------------------------------------------------------------------
# Pictures that show where the evidence for a verdict lies: the face beside its Grad-CAM heatmap.

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
