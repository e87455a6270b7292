"""Pictures dealt out into shards, and the scoring of one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import torch

from fakeface.apps.judge import Picture, PictureError, judge_contents, pictures_below, read_picture
from fakeface.base.errors import FakefaceError
from fakeface.data.archives import IMAGE_SUFFIXES, Archive, ArchiveError, open_archive
from fakeface.data.faces import FaceFinder
from fakeface.detector.bundle import load_bundle

# -------------------------------------------------------------------------------------------------
# Which pictures there are, in which shards they are scored, and what tells one job from another.


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


# -------------------------------------------------------------------------------------------------
# One shard to its rows: what a worker does, in this process, in another one or on another machine.

SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("picture", pa.string()),
        ("face", pa.int32()),
        *[(side, pa.float32()) for side in ("left", "top", "right", "bottom")],
        ("verdict", pa.string()),
        ("score", pa.float64()),
        ("resembles", pa.string()),
        ("message", pa.string()),
        ("failed", pa.bool_()),
    ]
)


@dataclass(frozen=True)
class Settings:
    """How pictures are judged.

    Attributes:
        detector: folder of the bundle.
        device: ``auto``, ``cpu`` or ``cuda``.
        align: find faces and align them; False: every picture is one aligned face.
        batch_size: faces a pass of the networks.
        threads: of this worker on the CPU.
    """

    detector: str
    device: str = "auto"
    align: bool = True
    batch_size: int = 64
    threads: int = 1

    def deciding(self) -> dict[str, object]:
        """What the rows depend on, beside the detector's content."""
        settings = asdict(self)
        return {key: settings[key] for key in ("align", "batch_size")}


class Scorer:
    """Loads the detector once and scores shards with it.

    Raises:
        BundleError: if there is no usable detector.
    """

    def __init__(self, settings: Settings) -> None:
        torch.set_num_threads(settings.threads)
        self.settings = settings
        self.bundle = load_bundle(settings.detector, settings.device)
        self.finder = FaceFinder(self.bundle.faces, threads=settings.threads) if settings.align else None
        self.reader = Reader()

    def __call__(self, shard: Shard) -> pa.Table:
        """A row a face; one without a face for a picture that has none or cannot be read."""
        pictures = judge_contents(
            self._contents(shard),
            self.bundle.detector,
            self.finder,
            self.bundle.attribution,
            self.settings.batch_size,
        )
        rows = [row for picture in pictures for row in _rows(shard.source, picture)]
        return pa.Table.from_pylist(rows, schema=SCHEMA)

    def _contents(self, shard: Shard) -> Iterator[tuple[str, bytes | PictureError]]:
        for name in shard.names:
            try:
                yield name, self.reader.read(shard.source, name)
            except PictureError as error:
                yield name, error


def _rows(source: str, picture: Picture) -> Iterator[dict[str, object]]:
    common = {"source": source, "picture": picture.name, "failed": picture.failed}
    for number, face in enumerate(picture.faces, start=1):
        box = dict(zip(("left", "top", "right", "bottom"), face.box or [None] * 4, strict=True))
        yield (
            common
            | box
            | {
                "face": number,
                "verdict": face.verdict,
                "score": face.score,
                "resembles": face.resembles,
                "message": face.reason,
                "failed": face.verdict is None,
            }
        )
    if not picture.faces:
        yield common | {"message": picture.message}
