"""From what a person types to verdicts on the faces in pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from fakeface.base.errors import FakefaceError
from fakeface.data.archives import IMAGE_SUFFIXES, MAX_MEMBER_BYTES
from fakeface.data.faces import FaceFinder, FaceTooSmallError, align, share_outside, sheet_shape
from fakeface.data.preprocess import CorruptImageError, ImageTooSmallError, decode, preprocess
from fakeface.detector.attribution_head import AttributionHead
from fakeface.detector.decision import VERDICTS, ImageScorer, judge_with_copies

STANDARD_INPUT = "-"
NO_PICTURES = f"a folder without pictures ({', '.join(sorted(IMAGE_SUFFIXES))})"
NO_FACE = "no face found"
# A face of which more than this lies outside the picture is not called real: repeated edges look like nothing
# that a generator makes. benchmarks/cut_off.py measures what that hides.
OUTSIDE = 0.1
# Lines between the pictures of a sample sheet.
_LINE = 2


class PictureError(FakefaceError, ValueError):
    """A picture cannot be judged; the message is the reason, without its name."""


@dataclass(frozen=True)
class Refused:
    """What was named and is no picture file, and why."""

    name: str
    reason: str


def expand(names: Sequence[str], listed: Iterable[str]) -> Iterator[Path | Refused]:
    """Every picture file of files and folders in order; ``-`` stands for the lines in ``listed``.

    A file is taken whatever its suffix; of a folder, and the folders in it, those with the suffix of a
    picture, sorted, links not followed. Empty lines are skipped.
    """
    for name in names:
        if name == STANDARD_INPUT:
            lines = (line.rstrip("\r\n") for line in listed)
            yield from expand([line for line in lines if line and line != STANDARD_INPUT], ())
            continue
        path = Path(name)
        if path.is_dir():
            below = pictures_below(path)
            yield next(below, Refused(name, NO_PICTURES))
            yield from below
        elif path.is_file():
            yield path
        else:
            yield Refused(name, "not a regular file" if path.exists() else "no such file or folder")


def pictures_below(folder: Path) -> Iterator[Path]:
    """Files with the suffix of a picture in a folder, then in the folders in it; links are not followed."""
    entries = sorted(folder.iterdir())
    for entry in entries:
        if entry.suffix.lower() in IMAGE_SUFFIXES and entry.is_file():
            yield entry
    for entry in entries:
        if entry.is_dir() and not entry.is_symlink():
            yield from pictures_below(entry)


def read_picture(path: Path) -> bytes:
    """The bytes of a file of reasonable size.

    Raises:
        PictureError: if it cannot be read, is empty or larger than any photograph.
    """
    try:
        size = path.stat().st_size
        if size > MAX_MEMBER_BYTES:
            raise PictureError(f"{size} bytes, expected at most {MAX_MEMBER_BYTES}")
        if not size:
            raise PictureError("an empty file")
        return path.read_bytes()
    except OSError as error:
        raise PictureError(f"cannot be read: {error.strerror or error}") from error


@dataclass(frozen=True)
class Judged:
    """One face, or the whole of an aligned picture.

    Attributes:
        box: left, top, right, bottom in the picture's pixels; None for a whole picture.
        reason: why there is no verdict, else None.
        note: what else there is to know of it, else None.
        cut_off: whether more of it than :data:`OUTSIDE` lies outside the picture.
        pixels: uint8 (S, S, 3), what the networks saw; None if there is no verdict.
        score: higher for what looks more like a fake, in [0, 1]; a probability at even odds only for
            generators that training has seen.
        rank: share of validation photographs whose score is lower; None if the detector does not know it.
        verdict: one of fakeface.detector.decision.VERDICTS.
        resembles: unless it is called real, the known GAN whose fakes it is like, or "unknown".
    """

    box: tuple[float, float, float, float] | None = None
    reason: str | None = None
    note: str | None = None
    cut_off: bool = False
    pixels: np.ndarray | None = field(default=None, repr=False, compare=False)
    score: float | None = None
    rank: float | None = None
    verdict: str | None = None
    resembles: str | None = None


@dataclass(frozen=True)
class Picture:
    """What came of a picture: its faces from left to right, or why there are none.

    ``name`` is as it was named, or its path below the folder that was. ``failed``: it could not be read.
    """

    name: str
    faces: tuple[Judged, ...] = ()
    message: str | None = None
    failed: bool = False

    @property
    def incomplete(self) -> bool:
        """Whether something in it should have been judged and was not."""
        return self.failed or any(face.verdict is None for face in self.faces)


def judge(
    entries: Iterable[Path | Refused],
    detector: ImageScorer,
    finder: FaceFinder | None,
    attribution: AttributionHead | None = None,
    batch_size: int = 64,
) -> Iterator[Picture]:
    """Judge picture files in order: :func:`judge_contents` of what :func:`expand` gives."""
    return judge_contents(map(_content, entries), detector, finder, attribution, batch_size)


def _content(entry: Path | Refused) -> tuple[str, bytes | PictureError]:
    if isinstance(entry, Refused):
        return entry.name, PictureError(entry.reason)
    try:
        return str(entry), read_picture(entry)
    except PictureError as error:
        return str(entry), error


def judge_contents(
    contents: Iterable[tuple[str, bytes | PictureError]],
    detector: ImageScorer,
    finder: FaceFinder | None,
    attribution: AttributionHead | None = None,
    batch_size: int = 64,
) -> Iterator[Picture]:
    """Judge pictures in order, some at a time, so that any number of them fits in memory.

    Args:
        contents: the name of each picture, and the bytes of its file or why they cannot be read.
        finder: of faces; None: every picture is one aligned face already.
        attribution: says which GAN a fake resembles; None: nothing is said.
        batch_size: faces a pass of the networks.
    """
    waiting: list[Picture] = []
    for name, content in contents:
        waiting.append(_prepare(name, content, detector.image_size, finder))
        if sum(len(picture.faces) for picture in waiting) >= batch_size or len(waiting) >= batch_size:
            yield from _scored(waiting, detector, attribution, batch_size)
            waiting = []
    yield from _scored(waiting, detector, attribution, batch_size)


def _prepare(name: str, content: bytes | PictureError, image_size: int, finder: FaceFinder | None) -> Picture:
    try:
        if isinstance(content, PictureError):
            raise content
        faces = faces_of(decode(content), image_size, finder)
    except (PictureError, CorruptImageError) as error:
        return Picture(name, message=str(error), failed=True)
    return Picture(name, faces, message=None if faces else NO_FACE)


def _scored(
    pictures: list[Picture], detector: ImageScorer, attribution: AttributionHead | None, batch_size: int
) -> Iterator[Picture]:
    together = [face for picture in pictures for face in picture.faces]
    faces = iter(score_faces(together, detector, attribution, batch_size))
    for picture in pictures:
        yield replace(picture, faces=tuple(next(faces) for _ in picture.faces))


def faces_of(image: Image.Image, image_size: int, finder: FaceFinder | None) -> tuple[Judged, ...]:
    """The faces of an upright RGB picture, prepared but without verdict; none if none is found.

    Without a finder the whole picture is one face, or a sample sheet of them.
    """
    if finder is None:
        return _whole(image, image_size)
    result = []
    for face in finder.find(image):
        left, top, right, bottom = (float(value) for value in face.box)
        judged = Judged((left, top, right, bottom))
        try:
            pixels = preprocess(align(image, face.landmarks, image_size, finder.framing), image_size)
        except FaceTooSmallError as error:
            result.append(replace(judged, reason=str(error)))
            continue
        outside = share_outside(image.size, face.landmarks, finder.framing)
        judged = replace(judged, pixels=pixels, cut_off=outside > OUTSIDE)
        note = f"{outside:.0%} of what the detector looks at lies outside the picture"
        result.append(replace(judged, note=note if judged.cut_off else None))
    return tuple(result)


def _whole(image: Image.Image, image_size: int) -> tuple[Judged, ...]:
    """A picture as one face, or the pictures of a sample sheet as one face each."""
    # A picture of the detector's size was prepared already.
    shape = sheet_shape(image) if min(image.size) > image_size else None
    if shape is None:
        try:
            return (Judged(pixels=preprocess(image, image_size)),)
        except ImageTooSmallError as error:
            return (Judged(reason=str(error)),)
    columns, rows = shape
    width, height = image.width / columns, image.height / rows
    what = f"a sample sheet of {columns} x {rows} pictures"
    if min(width, height) < image_size:
        size = f"{width:.0f} x {height:.0f} pixels"
        return (Judged(reason=f"{what} of {size} each, expected at least {image_size}"),)
    line = min(int(min(width, height) - image_size) // 2, _LINE)
    cells = []
    for row in range(rows):
        for column in range(columns):
            box = (column * width, row * height, (column + 1) * width, (row + 1) * height)
            left, top, right, bottom = (round(value) for value in box)
            part = image.crop((left + line, top + line, right - line, bottom - line))
            cells.append(Judged(box, pixels=preprocess(part, image_size), note=f"of {what}"))
    return tuple(cells)


def score_faces(
    faces: Iterable[Judged],
    detector: ImageScorer,
    attribution: AttributionHead | None = None,
    batch_size: int = 64,
) -> list[Judged]:
    """The same faces with score and verdict, and with what those that are not real resemble."""
    result = list(faces)
    prepared = {index: face.pixels for index, face in enumerate(result) if face.pixels is not None}
    if not prepared:
        return result
    scores, decided = judge_with_copies(detector, np.stack(list(prepared.values())), batch_size)
    ranks = detector.rule.ranks(scores)
    for place, (index, score, verdict) in enumerate(zip(prepared, scores, decided, strict=True)):
        rank = None if ranks is None else float(ranks[place])
        word = VERDICTS[verdict]
        if word == "real" and result[index].cut_off:
            word = "unsure"
        result[index] = replace(result[index], score=float(score), rank=rank, verdict=word)
    suspects = [index for index in prepared if result[index].verdict != "real"]
    if attribution is not None and suspects:
        images = np.stack([prepared[index] for index in suspects])
        names = attribution.names(detector.attribution_features(images))
        for index, name in zip(suspects, names, strict=True):
            result[index] = replace(result[index], resembles=name)
    return result


def rows(picture: Picture) -> list[dict[str, object]]:
    """What a file of scores says of a picture: a row a face, or one that says why there is none."""
    if not picture.faces:
        return [{"picture": picture.name, "message": picture.message, "failed": picture.failed}]
    return [
        {
            "picture": picture.name,
            "face": number,
            **dict(zip(("left", "top", "right", "bottom"), face.box or (None,) * 4, strict=True)),
            "verdict": face.verdict,
            "score": face.score,
            "rank": face.rank,
            "resembles": face.resembles,
            "message": face.reason or face.note,
            "failed": face.verdict is None,
        }
        for number, face in enumerate(picture.faces, start=1)
    ]
