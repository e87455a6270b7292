"""Which pictures there are, in which shards they are scored, and what tells one job from another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from fakeface.data.archives import IMAGE_SUFFIXES, Archive, ArchiveError, open_archive
from fakeface.errors import FakefaceError
from fakeface.predict.inputs import PictureError, pictures_below, read_picture


class ScoreError(FakefaceError, RuntimeError):
    """Pictures cannot be scored; the message says why."""


@dataclass(frozen=True)
class Shard:
    """Some pictures of one folder or archive, in order.

    Attributes:
        number: counted over all folders and archives from 0.
        source: folder or archive.
        names: of the pictures in it.
    """

    number: int
    source: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """All that is to be scored.

    Attributes:
        shards: in order.
        fingerprint: SHA-256 of all that decides the rows: names, sizes and times of change of the pictures
            or their archive, and whatever :func:`plan` was told of the detector and the options.
    """

    shards: tuple[Shard, ...]
    fingerprint: str

    def __len__(self) -> int:
        """Number of pictures."""
        return sum(len(shard.names) for shard in self.shards)


def plan(sources: Sequence[str], shard_size: int, settings: object) -> Job:
    """List the pictures of folders (and the folders in them) and archives.

    Args:
        sources: folders, zips or tars; each once.
        shard_size: pictures a shard, at most.
        settings: of the detector and the options, JSON-serialisable.

    Raises:
        ScoreError: for a source that is given twice, does not exist or has no picture.
        ArchiveError: for an archive that is damaged or hostile as a whole.
    """
    if len(set(sources)) != len(sources):
        raise ScoreError(f"each folder or archive once, got {' '.join(sources)}")
    digest = hashlib.sha256(json.dumps([settings, shard_size], sort_keys=True).encode())
    shards: list[Shard] = []
    for source in sources:
        names = []
        for name, state in _listed(Path(source)):
            digest.update(json.dumps([source, name, state]).encode())
            names.append(name)
        for start in range(0, len(names), shard_size):
            shards.append(Shard(len(shards), source, tuple(names[start : start + shard_size])))
    return Job(tuple(shards), digest.hexdigest())


def _listed(source: Path) -> Iterator[tuple[str, list[int]]]:
    """Names below a folder or in an archive, with what changes when their content does."""
    if source.is_dir():
        found = False
        for path in pictures_below(source):
            found = True
            state = path.stat()
            yield path.relative_to(source).as_posix(), [state.st_size, state.st_mtime_ns]
        if not found:
            raise ScoreError(f"{source}: a folder without pictures ({', '.join(sorted(IMAGE_SUFFIXES))})")
        return
    if source.suffix.lower() in IMAGE_SUFFIXES and source.is_file():
        raise ScoreError(f"{source}: a picture, expected a folder or an archive; see fakeface predict")
    with open_archive(source) as archive:
        state = source.stat()
        for name in archive.names:
            yield name, [state.st_size, state.st_mtime_ns]


class Reader:
    """Reads pictures of one source after the other; an archive stays open as long as it is asked for."""

    def __init__(self) -> None:
        self._opened = ExitStack()
        self._source: str | None = None
        self._archive: Archive | None = None

    def read(self, source: str, name: str) -> bytes:
        """The bytes of a picture.

        Raises:
            PictureError: if it cannot be read.
        """
        if Path(source).is_dir():
            return read_picture(Path(source) / name)
        if self._archive is None or source != self._source:
            self.close()
            self._archive = self._opened.enter_context(open_archive(source))
            self._source = source
        try:
            return self._archive.read(name)
        except ArchiveError as error:
            raise PictureError(str(error)) from error

    def close(self) -> None:
        """Close the open archive, if there is one."""
        self._opened.close()
        self._archive = None
