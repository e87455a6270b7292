"""Verdicts as a table for people, as JSON lines or CSV for programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from typing import IO

import numpy as np

from fakeface.apps.judge import Judged, Picture, rows
from fakeface.detector.attribution_head import UNKNOWN
from fakeface.detector.decision import DecisionRule

COLUMNS = (
    *("picture", "face", "left", "top", "right", "bottom"),
    *("verdict", "score", "rank", "resembles", "message"),
)


def write_json_lines(pictures: Iterable[Picture], out: IO[str]) -> Iterator[Picture]:
    """One object a picture: name, message, faces with box, verdict, score, rank, likeness and message."""
    for picture in pictures:
        faces = [
            {"box": face.box, "verdict": face.verdict, "score": face.score, "rank": face.rank}
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
                words = f"{face.verdict:8}{measure_of(face, rule):>8}"
                judged = True
            where = f" (face {number} of {len(picture.faces)})" if len(picture.faces) > 1 else ""
            like = f", like those of {face.resembles}" if face.resembles not in (None, UNKNOWN) else ""
            out.write(f"{words}  {picture.name}{where}{like}\n")
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
    return f"{text}or if a compressed or reduced copy is judged the opposite."
