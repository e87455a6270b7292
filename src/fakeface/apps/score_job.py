"""A scoring job: who scores its shards, and how they become one file of rows.

Each shard is a file until the job is done, so an interrupted job goes on where it stopped.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from itertools import repeat
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from fakeface.apps.shards import SCHEMA, Job, ScoreError, Scorer, Settings, Shard
from fakeface.base.files import atomic_path, write_text
from fakeface.data.workers import die_with_parent

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
