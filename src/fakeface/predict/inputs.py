"""From what a person types to picture files: files, folders, and a list on standard input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fakeface.data.archives import IMAGE_SUFFIXES, MAX_MEMBER_BYTES
from fakeface.errors import FakefaceError

STANDARD_INPUT = "-"


class PictureError(FakefaceError, ValueError):
    """A picture cannot be judged; the message is the reason, without its name."""


@dataclass(frozen=True)
class Refused:
    """What was named and is no picture file, and why."""

    name: str
    reason: str


def expand(names: Sequence[str], listed: Iterable[str]) -> Iterator[Path | Refused]:
    """Every picture file, in order.

    Args:
        names: files, folders, or ``-`` for the names in ``listed``. A file is taken whatever its suffix; of a
            folder, and the folders in it, those with the suffix of a picture, sorted, links not followed.
        listed: lines of standard input; empty ones are skipped.
    """
    for name in names:
        if name == STANDARD_INPUT:
            lines = (line.rstrip("\r\n") for line in listed)
            yield from expand([line for line in lines if line and line != STANDARD_INPUT], ())
            continue
        path = Path(name)
        if path.is_dir():
            found = False
            for picture in pictures_below(path):
                found = True
                yield picture
            if not found:
                yield Refused(name, f"a folder without pictures ({', '.join(sorted(IMAGE_SUFFIXES))})")
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
