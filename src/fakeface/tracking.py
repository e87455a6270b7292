"""Learning curves through DVCLive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dvclive import Live
from lightning_fabric import Fabric

Log = Callable[[int, dict[str, float]], None]


@contextmanager
def live_curves(folder: str | Path, fabric: Fabric) -> Iterator[Log | None]:
    """Yield a callback ``(epoch, losses)`` that adds a point to ``<folder>/plots/metrics/*.tsv``.

    DVCLive would otherwise rewrite dvc.yaml and save an experiment of its own. Only the first process
    writes; the others get None.
    """
    if not fabric.is_global_zero:
        yield None
        return
    with Live(str(folder), dvcyaml=None, save_dvc_exp=False, report=None) as live:

        def log(epoch: int, losses: dict[str, float]) -> None:
            live.step = epoch
            for name, value in losses.items():
                live.log_metric(name, value)
            live.make_summary()

        yield log
