"""Pictures dealt out into shards, and the scoring of one: what a worker does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from fakeface.apps.judge import NO_PICTURES, PictureError, judge_contents, pictures_below, read_picture, rows
from fakeface.base.errors import FakefaceError
from fakeface.bundle.bundle import load_bundle
from fakeface.data.archives import IMAGE_SUFFIXES, Archive, ArchiveError, open_archive

SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("picture", pa.string()),
        ("face", pa.int32()),
        *[(side, pa.float32()) for side in ("left", "top", "right", "bottom")],
        ("verdict", pa.string()),
        ("score", pa.float64()),
        ("rank", pa.float64()),
        ("resembles", pa.string()),
        ("message", pa.string()),
        ("failed", pa.bool_()),
    ]
)


class ScoreError(FakefaceError, RuntimeError):
    """Pictures cannot be scored; the message says why."""


@dataclass(frozen=True)
class Shard:
    """Some pictures of one folder or archive, in order; ``number`` counts the shards of a job from 0."""

    number: int
    source: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """All that is to be scored.

    The fingerprint is the SHA-256 of all that decides the rows: names, sizes and times of change of the
    pictures or their archive, and whatever :func:`plan` was told of the detector and the options.
    """

    shards: tuple[Shard, ...]
    fingerprint: str

    def __len__(self) -> int:
        """Number of pictures."""
        return sum(len(shard.names) for shard in self.shards)


def plan(sources: Sequence[str], shard_size: int, settings: object) -> Job:
    """List the pictures of folders (and folders in them), zips and tars; ``settings`` must suit JSON.

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
        path = None
        for path in pictures_below(source):
            state = path.stat()
            yield path.relative_to(source).as_posix(), [state.st_size, state.st_mtime_ns]
        if path is None:
            raise ScoreError(f"{source}: {NO_PICTURES}")
        return
    if source.suffix.lower() in IMAGE_SUFFIXES and source.is_file():
        raise ScoreError(f"{source}: a picture, expected a folder or an archive; see fakeface predict")
    with open_archive(source) as archive:
        state = source.stat()
        for name in archive.names:
            yield name, [state.st_size, state.st_mtime_ns]


@dataclass(frozen=True)
class Settings:
    """How pictures are judged: by the bundle in which folder, faces a pass of the networks, threads a worker.

    Without ``align`` every picture is one aligned face already.
    """

    detector: str
    device: str = "auto"
    align: bool = True
    batch_size: int = 64
    threads: int = 1

    def deciding(self) -> dict[str, object]:
        """What the rows depend on, beside the detector's content."""
        return {"align": self.align, "batch_size": self.batch_size}


class Scorer:
    """Loads the detector once and scores shards with it.

    Raises:
        BundleError: if there is no usable detector.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.bundle = load_bundle(settings.detector, settings.device, settings.threads)
        self.finder = self.bundle.finder(settings.threads) if settings.align else None
        # An archive stays open from one shard to the next of the same source.
        self._opened = ExitStack()
        self._source: str | None = None
        self._archive: Archive | None = None

    def __call__(self, shard: Shard) -> pa.Table:
        """A row a face; one without a face for a picture that has none or cannot be read."""
        bundle, batch_size = self.bundle, self.settings.batch_size
        pictures = judge_contents(
            self._contents(shard), bundle.detector, self.finder, bundle.attribution, batch_size
        )
        table = [{"source": shard.source} | row for picture in pictures for row in rows(picture)]
        return pa.Table.from_pylist(table, schema=SCHEMA)

    def _contents(self, shard: Shard) -> Iterator[tuple[str, bytes | PictureError]]:
        for name in shard.names:
            try:
                yield name, self._read(shard.source, name)
            except PictureError as error:
                yield name, error

    def _read(self, source: str, name: str) -> bytes:
        if Path(source).is_dir():
            return read_picture(Path(source) / name)
        if self._archive is None or source != self._source:
            self._opened.close()
            self._archive = None
            self._archive, self._source = self._opened.enter_context(open_archive(source)), source
        try:
            return self._archive.read(name)
        except ArchiveError as error:
            raise PictureError(str(error)) from error
