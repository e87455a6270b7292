"""Many pictures into one Parquet file: dealt out into shards, each scored once, then joined."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import multiprocessing
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from itertools import repeat
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from fakeface.apps.judge import NO_PICTURES, PictureError, judge_contents, pictures_below, read_picture, rows
from fakeface.base.errors import FakefaceError
from fakeface.base.files import atomic_path, write_text
from fakeface.bundle.bundle import load_bundle
from fakeface.data.archives import IMAGE_SUFFIXES, Archive, ArchiveError, open_archive
from fakeface.data.workers import die_with_parent

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


# In the metadata of the finished file: the fingerprint of its job.
KEY = b"fakeface.job"
# The rows of shards, in the order of their completion.
Engine = Callable[[Sequence[Shard], Settings, int], Iterator[tuple[Shard, pa.Table]]]


def score_locally(
    shards: Sequence[Shard], settings: Settings, workers: int
) -> Iterator[tuple[Shard, pa.Table]]:
    """In this process, or in ``workers`` others of this machine."""
    if workers == 1:
        scorer = Scorer(settings)
        for shard in shards:
            yield shard, scorer(shard)
        return
    # spawn: a forked child of a process with threads may inherit a lock that nobody will release.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=die_with_parent) as pool:
        try:
            yield from zip(shards, pool.map(_score, shards, repeat(settings)), strict=True)
        except BrokenProcessPool:
            raise ScoreError(
                "a worker process died, perhaps for want of memory (fewer --workers, smaller --batch-size); "
                "the same command goes on where it stopped"
            ) from None
        finally:
            # Or an interrupted job would first finish all that waits.
            pool.shutdown(cancel_futures=True)


# Of a worker process; made with its first shard, because an error on starting would not be told.
_scorer = cache(Scorer)


def _score(shard: Shard, settings: Settings) -> pa.Table:
    return _scorer(settings)(shard)


class _RayScorer:
    """A worker of Ray: rows come back as bytes, because tables of different shards are not to be joined."""

    def __init__(self, settings: Settings) -> None:
        self.scorer = Scorer(settings)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        sink = pa.BufferOutputStream()
        table = self.scorer(batch["shard"][0])
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return {"number": batch["number"], "table": [sink.getvalue().to_pybytes()]}


def score_with_ray(
    shards: Sequence[Shard], settings: Settings, workers: int
) -> Iterator[tuple[Shard, pa.Table]]:
    """Through Ray Data: on the cluster that this machine belongs to, else in processes that Ray starts here.

    Pictures and detector must be found under the same names on every machine.

    Raises:
        ScoreError: if Ray is not installed.
    """
    if importlib.util.find_spec("ray") is None:
        raise ScoreError("--engine ray needs Ray: pip install -e '.[ray]'")
    import ray

    if not ray.is_initialized():
        ray.init(logging_level="warning", include_dashboard=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    by_number = {shard.number: shard for shard in shards}
    items = [{"number": number, "shard": shard} for number, shard in by_number.items()]
    gpus = 0 if settings.device == "cpu" else 1 if ray.cluster_resources().get("GPU") else 0
    scored = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        _RayScorer,
        fn_constructor_args=(settings,),
        batch_size=1,
        num_cpus=settings.threads,
        num_gpus=gpus,
        concurrency=workers,
    )
    for row in scored.iter_rows():
        with pa.ipc.open_stream(row["table"]) as reader:
            yield by_number[row["number"]], reader.read_all()


ENGINES: dict[str, Engine] = {"local": score_locally, "ray": score_with_ray}


@dataclass(frozen=True)
class Summary:
    """What became of the pictures: faces by verdict, and numbers; ``faces`` are those with a verdict.

    ``failed`` rows should have a verdict and have none: pictures that cannot be read, small faces.
    """

    verdicts: dict[str, int]
    pictures: int
    faces: int
    without_face: int
    failed: int


def parts_of(out: Path) -> Path:
    """The folder of a job's shards until it is done."""
    return out.with_name(out.name + ".parts")


def run_job(job: Job, settings: Settings, out: Path, engine: Engine, workers: int) -> Summary:
    """Score what is not scored yet, then join the shards to ``out`` and remove them.

    ``out`` is a Parquet file, one row a face, in the order of the pictures.

    Raises:
        ScoreError: if ``out`` or the shards beside it are of another job.
    """
    if out.exists():
        if (pq.read_schema(out).metadata or {}).get(KEY) != job.fingerprint.encode():
            raise ScoreError(f"{out}: exists and is of another job, remove it or choose another --out")
        return summarise(out)
    parts = parts_of(out)
    claim = parts / "job"
    if parts.exists() and (not claim.exists() or claim.read_text(encoding="utf-8") != job.fingerprint):
        raise ScoreError(
            f"{parts}: shards of another job (other pictures, detector or options), "
            "remove them or choose another --out"
        )
    write_text(claim, job.fingerprint)
    todo = [shard for shard in job.shards if not _part(parts, shard).exists()]
    done = len(job) - sum(len(shard.names) for shard in todo)
    bar = tqdm(total=len(job), initial=done, unit="picture", desc="score", disable=None)
    for shard, table in engine(todo, settings, workers) if todo else ():
        with atomic_path(_part(parts, shard)) as temporary:
            pq.write_table(table, temporary)
        bar.update(len(shard.names))
    bar.close()
    with (
        atomic_path(out) as temporary,
        pq.ParquetWriter(temporary, SCHEMA.with_metadata({KEY: job.fingerprint})) as writer,
    ):
        for shard in job.shards:
            writer.write_table(pq.read_table(_part(parts, shard)).cast(SCHEMA))
    shutil.rmtree(parts)
    return summarise(out)


def _part(parts: Path, shard: Shard) -> Path:
    return parts / f"{shard.number:06d}.parquet"


def summarise(path: Path) -> Summary:
    """Count the rows of a finished job, some at a time."""
    verdicts: Counter[str] = Counter()
    pictures = without_face = failed = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=["face", "verdict", "failed"]):
            for row in batch.to_pylist():
                verdicts.update([row["verdict"]] if row["verdict"] else [])
                pictures += row["face"] in (None, 1)
                failed += row["failed"]
                without_face += row["face"] is None and not row["failed"]
    return Summary(dict(sorted(verdicts.items())), pictures, sum(verdicts.values()), without_face, failed)
