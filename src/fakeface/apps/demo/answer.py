"""One answer of the demo: what is said of a picture, and how often one address may ask."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from PIL import Image, ImageDraw, ImageFont

from fakeface.apps.heatmaps import evidence
from fakeface.apps.judge import NO_FACE, Judged, PictureError, faces_of, read_picture, score_faces
from fakeface.apps.output import percent
from fakeface.bundle.bundle import Bundle
from fakeface.data.faces import FaceFinder
from fakeface.data.preprocess import CorruptImageError, decode
from fakeface.detector.attribution_head import UNKNOWN
from fakeface.detector.decision import DecisionRule
from fakeface.detector.detector import Detector

MAX_FILE_SIZE = "20 MB"
MAX_WAITING = 20
RATE = "30/minute"
# Heatmaps take longer than verdicts; a crowd gets verdicts for all and evidence for some.
MAX_EVIDENCE = 6
_SHOWN_SIDE = 1000
_COLOURS = {"fake": "#c62828", "unsure": "#b26a00", "real": "#2e7d32", None: "#616161"}


class RateLimit:
    """At most so many pictures an address, counted over a moving window; kept in memory.

    Against accidents, not attacks: a question is counted when it is answered, after its upload and its place
    in the queue. Whoever serves the page to strangers puts a proxy in front of it that limits uploads, too.
    """

    def __init__(self, rate: str = RATE) -> None:
        self._item = parse(rate)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def admits(self, address: str) -> bool:
        """Whether ``address`` may ask once more; counts the question if so."""
        return self._limiter.hit(self._item, address)

    @property
    def words(self) -> str:
        """The limit for people."""
        return f"at most {self._item.amount} pictures in {self._item.get_expiry()} seconds"


@dataclass(frozen=True)
class Answer:
    """To one picture: Markdown, with what is not ours escaped, and pictures.

    ``picture`` has a numbered box around each face, None if none was looked for; ``evidence`` is each of the
    first faces and its heatmap, with captions.
    """

    text: str
    picture: Image.Image | None = None
    evidence: tuple[tuple[Image.Image, str], ...] = ()


def answer_file(path: Path, bundle: Bundle[Detector], finder: FaceFinder | None) -> Answer:
    """Judge a picture file; a file that cannot be judged gets the reason as its answer."""
    try:
        image = decode(read_picture(path))
    except (PictureError, CorruptImageError) as error:
        return Answer(f"**This file cannot be judged**: {html.escape(str(error))}.")
    return answer(image, bundle, finder)


def answer(image: Image.Image, bundle: Bundle[Detector], finder: FaceFinder | None) -> Answer:
    """Judge an upright RGB picture; without ``finder`` it is one aligned face already."""
    detector = bundle.detector
    faces = score_faces(faces_of(image, detector.image_size, finder), detector, bundle.attribution)
    if not faces:
        return Answer(
            f"**No verdict: {NO_FACE}.** The detector judges faces only. If the picture is one face that "
            "fills it, as CelebA's do, tick the box under the picture.",
            _with_boxes(image, faces),
        )
    lines = [_words(face, number, len(faces), detector.rule) for number, face in enumerate(faces, start=1)]
    judged = [(number, face) for number, face in enumerate(faces, start=1) if face.verdict is not None]
    if len(judged) > MAX_EVIDENCE:
        lines.append(f"Evidence is shown for the first {MAX_EVIDENCE} of {len(judged)} faces.")
    shown = []
    for number, face in judged[:MAX_EVIDENCE]:
        pair = evidence(face, detector)
        side = pair.height
        shown.append((pair.crop((0, 0, side, side)), f"face {number}"))
        shown.append((pair.crop((side, 0, 2 * side, side)), f"what says {face.verdict}"))
    return Answer("\n\n".join(lines), None if finder is None else _with_boxes(image, faces), tuple(shown))


def _words(face: Judged, number: int, count: int, rule: DecisionRule) -> str:
    name = f"Face {number}: " if count > 1 else ""
    if face.verdict is None or face.score is None:
        return f"{name}**no verdict**: {html.escape(str(face.reason))}."
    score = f"Its score is {face.score:.3f}."
    if face.rank is not None:
        score = f"It scores higher than {percent(face.rank, rule)} of photographs."
    if face.verdict == "real":
        return f"{name}**Called real.** {score} It shows no trace of a GAN that this detector can see."
    like = (
        "It resembles the fakes of none of the GANs that it can name."
        if face.resembles in (None, UNKNOWN)
        else f"It resembles the fakes of **{face.resembles}**."
    )
    said = "Called fake." if face.verdict == "fake" else "Unsure."
    return f"{name}**{said}** {score} {like}"


def _with_boxes(image: Image.Image, faces: list[Judged]) -> Image.Image:
    """A copy of at most ``_SHOWN_SIDE`` pixels a side; faces that have a box have it drawn."""
    scale = min(1.0, _SHOWN_SIDE / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    shown = image.resize(size, Image.Resampling.BICUBIC) if scale < 1 else image.copy()
    draw = ImageDraw.Draw(shown)
    line = max(2, round(max(size) / 250))
    font = ImageFont.load_default(size=max(12, round(max(size) / 40)))
    for number, face in enumerate(faces, start=1):
        if face.box is None:
            continue
        corners = np.asarray(face.box) * scale
        draw.rectangle(tuple(corners), outline=_COLOURS[face.verdict], width=line)
        place = (corners[0] + line, corners[1] + line)
        draw.rectangle(draw.textbbox(place, f" {number} ", font=font), fill=_COLOURS[face.verdict])
        draw.text(place, f" {number} ", fill="white", font=font)
    return shown
