"""Verdicts as a table for people, or as JSON lines or CSV for programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from typing import IO

from fakeface.attribution.head import UNKNOWN
from fakeface.detector.scoring import Detector
from fakeface.predict.judge import Judged, Picture

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
        f"Called fake above {detector.threshold:.4f}"
    )
    if detector.lower_threshold < detector.threshold:
        text += f", real below {detector.lower_threshold:.4f}, unsure between."
    else:
        text += ", else real."
    return text + " A verdict is a hint, no proof: see the detector's README.md."
