"""Verdicts as a table for people, as JSON lines or CSV for programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from typing import IO

from fakeface.apps.judge import Picture, rows
from fakeface.detector.attribution_head import UNKNOWN
from fakeface.detector.decision import DecisionRule

COLUMNS = ("picture", "face", "left", "top", "right", "bottom", "verdict", "score", "resembles", "message")


def write_json_lines(pictures: Iterable[Picture], out: IO[str]) -> Iterator[Picture]:
    """One object a picture: name, message, faces with box, verdict, score, likeness and message."""
    for picture in pictures:
        faces = [
            {"box": face.box, "verdict": face.verdict, "score": face.score}
            | {"resembles": face.resembles, "message": face.reason}
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
                words = f"{face.verdict:8}{face.score:8.4f}"
                judged = True
            where = f" (face {number} of {len(picture.faces)})" if len(picture.faces) > 1 else ""
            like = f", like those of {face.resembles}" if face.resembles not in (None, UNKNOWN) else ""
            out.write(f"{words}  {picture.name}{where}{like}\n")
        if not picture.faces:
            out.write(f"{'-':16}  {picture.name}: {picture.message}\n")
        out.flush()
        yield picture
    if judged:
        lower, upper = rule.lower_threshold, rule.threshold
        real = f"real below {lower:.4f}, unsure between" if lower < upper else "else real"
        out.write(
            "\nSecond column: P(fake), were photographs and fakes equally many. Called fake above "
            f"{upper:.4f}, {real}. A verdict is a hint, no proof: see the detector's README.md.\n"
        )
