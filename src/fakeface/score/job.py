"""A job from its pictures to one file of rows, by way of a file a shard: an interrupted job goes on."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from fakeface.atomic import atomic_path, write_text
from fakeface.score.engines import Engine
from fakeface.score.scorer import SCHEMA, Settings
from fakeface.score.shards import Job, ScoreError, Shard

KEY = b"fakeface.job"


@dataclass(frozen=True)
class Summary:
    """What became of the pictures.

    Attributes:
        verdicts: faces by verdict.
        pictures, faces, without_face: their numbers; faces are those with a verdict.
        failed: rows that should have a verdict and have none: pictures that cannot be read, small faces.
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

    Args:
        job: all pictures.
        settings: how they are judged.
        out: Parquet file, one row a face, in the order of the pictures.
        engine: who works.
        workers: how many.

    Raises:
        ScoreError: if ``out`` or the shards beside it are of another job.
    """
    if out.exists():
        if (pq.read_schema(out).metadata or {}).get(KEY) != job.fingerprint.encode():
            raise ScoreError(f"{out}: exists and is of another job, remove it or choose another --out")
        return summarise(out)
    parts = parts_of(out)
    _claim(parts, job)
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


def _claim(parts: Path, job: Job) -> None:
    claim = parts / "job"
    if parts.exists() and (not claim.exists() or claim.read_text(encoding="utf-8") != job.fingerprint):
        raise ScoreError(
            f"{parts}: shards of another job (other pictures, detector or options), "
            "remove them or choose another --out"
        )
    write_text(claim, job.fingerprint)


def summarise(path: Path) -> Summary:
    """Count the rows of a finished job, some at a time."""
    verdicts: Counter[str] = Counter()
    pictures = without_face = failed = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=["face", "verdict", "failed"]):
            table = pa.Table.from_batches([batch]).to_pydict()
            verdicts.update(verdict for verdict in table["verdict"] if verdict is not None)
            pictures += sum(face in (None, 1) for face in table["face"])
            failed += sum(table["failed"])
            without_face += sum(
                face is None and not bad for face, bad in zip(table["face"], table["failed"], strict=True)
            )
    return Summary(dict(sorted(verdicts.items())), pictures, sum(verdicts.values()), without_face, failed)
