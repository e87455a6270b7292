"""Who scores the shards: this process, several of this machine, or a cluster through Ray."""

from __future__ import annotations

import importlib.util
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from itertools import islice
from typing import Any

import pyarrow as pa

from fakeface.data.workers import die_with_parent
from fakeface.score.scorer import Scorer, Settings
from fakeface.score.shards import ScoreError, Shard

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
        source = iter(shards)
        pending: deque[tuple[Shard, Future[pa.Table]]] = deque()
        try:
            while True:
                for shard in islice(source, 2 * workers - len(pending)):
                    pending.append((shard, pool.submit(_score, shard, settings)))
                if not pending:
                    return
                shard, future = pending.popleft()
                yield shard, future.result()
        except BrokenProcessPool:
            raise ScoreError(
                "a worker process died, perhaps for want of memory (fewer --workers, smaller --batch-size); "
                "the same command goes on where it stopped"
            ) from None
        finally:
            for _, future in pending:
                future.cancel()


@cache
def _scorer(settings: Settings) -> Scorer:
    """Of a worker process; made with its first shard, because an error on starting would not be told."""
    return Scorer(settings)


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
    of = {shard.number: shard for shard in shards}
    items = [{"number": number, "shard": shard} for number, shard in of.items()]
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
            yield of[row["number"]], reader.read_all()


ENGINES: dict[str, Engine] = {"local": score_locally, "ray": score_with_ray}
