"""What came of pictures: a table for people, JSON lines or CSV for programs, heatmaps."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from PIL import Image

from fakeface.apps.judge import Judged, Picture, rows
from fakeface.base.files import write_bytes
from fakeface.detector.attribution_head import UNKNOWN
from fakeface.detector.decision import DecisionRule

if TYPE_CHECKING:
    from fakeface.detector.detector import Detector

COLUMNS = (
    *("picture", "face", "left", "top", "right", "bottom"),
    *("verdict", "score", "rank", "resembles", "message"),
)


def write_json_lines(pictures: Iterable[Picture], out: IO[str]) -> Iterator[Picture]:
    """One object a picture: name, message, faces with box, verdict, score, rank, likeness and message."""
    for picture in pictures:
        faces = [
            {"box": face.box, "verdict": face.verdict, "score": face.score, "rank": face.rank}
            | {"resembles": face.resembles, "message": face.reason or face.note}
            for face in picture.faces
        ]
        line = {"picture": picture.name, "failed": picture.failed, "message": picture.message, "faces": faces}
        out.write(json.dumps(line, ensure_ascii=False) + "\n")
        yield picture


def write_csv(pictures: Iterable[Picture], out: IO[str]) -> Iterator[Picture]:
    """One row a face; one without a face for a picture that has none. Scores in full precision."""
    writer = csv.DictWriter(out, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for picture in pictures:
        writer.writerows(rows(picture))
        yield picture


def write_table(pictures: Iterable[Picture], out: IO[str], rule: DecisionRule) -> Iterator[Picture]:
    """A line a face as soon as it is judged, then what the verdicts mean."""
    judged = False
    for picture in pictures:
        for number, face in enumerate(picture.faces, start=1):
            words = f"{'-':16}  [{face.reason}]"
            if face.verdict is not None:
                words = f"{face.verdict:8}{measure_of(face, rule):>8}"
                judged = True
            where = f" (face {number} of {len(picture.faces)})" if len(picture.faces) > 1 else ""
            like = f", like those of {face.resembles}" if face.resembles not in (None, UNKNOWN) else ""
            note = f"  [{face.note}]" if face.note else ""
            out.write(f"{words}  {picture.name}{where}{like}{note}\n")
        if not picture.faces:
            out.write(f"{'-':16}  {picture.name}: {picture.message}\n")
        out.flush()
        yield picture
    if judged:
        out.write(f"\n{_meaning(rule)} A verdict is a hint, no proof: see the detector's README.md.\n")


def percent(rank: float, rule: DecisionRule) -> str:
    """A rank among photographs in words, no more exact than their number allows."""
    step = 1 / len(rule.photographs)
    if rank > 1 - step:
        return f">{1 - step:.1%}"
    return f"<{step:.1%}" if rank < step else f"{rank:.1%}"


def measure_of(face: Judged, rule: DecisionRule) -> str:
    """What stands behind a verdict: the rank of a judged face, or its score where ranks are unknown."""
    return f"{face.score:.4f}" if face.rank is None else percent(face.rank, rule)


def _meaning(rule: DecisionRule) -> str:
    thresholds = np.array([rule.threshold, rule.lower_threshold])
    ranks = rule.ranks(thresholds)
    if ranks is None:
        what, (upper, lower) = "a score", (f"{value:.4f}" for value in thresholds)
    else:
        what = "the share of the detector's validation photographs that score lower"
        upper, lower = (percent(rank, rule) for rank in ranks)
    text = f"Second column: {what}. Fake: above {upper}; "
    if rule.lower_threshold < rule.threshold:
        text += f"real: below {lower}; unsure: between, "
    else:
        text += "real: else; unsure: "
    copies = "if a compressed or reduced copy is judged the opposite"
    return f"{text}{copies}, or if the frame cuts off a face that would be real."


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
    # Heatmaps need derivatives, and those PyTorch; verdicts do without.
    from fakeface.evaluation.grad_cam import grad_cam

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
