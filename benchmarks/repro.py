"""`dvc repro` stage by stage: the default from nothing, and how its cost grows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from celeba_scale import stand_in_zip
from timing import Section, slope, spread

ROOT = Path(__file__).parents[1]
PHOTOGRAPHS = (1000, 2000, 5000, 10_000)
GANS = (2, 4, 7)
MAIN_JOB = "evaluate"
ALL = "all stages"


@contextmanager
def clone(keep: Path | None = None) -> Iterator[Path]:
    """The committed project in a folder of its own, with an empty DVC cache.

    Args:
        keep: the folder, which must not exist and stays; None for a temporary one.
    """
    with tempfile.TemporaryDirectory(prefix="fakeface-benchmark-") as temporary:
        folder = keep or Path(temporary) / "fakeface"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
        yield folder


def stage_seconds(project: Path, targets: Sequence[str] = ()) -> dict[str, float]:
    """Seconds of every stage that `dvc repro` runs, with what DVC does before the next one begins."""
    command = [sys.executable, "-m", "dvc", "repro", *targets]
    environment = os.environ | {"PYTHONPATH": str(project / "src"), "PYTHONUNBUFFERED": "1"}
    seconds: dict[str, float] = {}
    with tempfile.TemporaryFile("w+") as errors:
        running = subprocess.Popen(
            command, cwd=project, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        assert running.stdout is not None
        stage, began = "", time.perf_counter()
        for line in running.stdout:
            found = re.match(r"Running stage '(.+)':", line)
            if found:
                if stage:
                    seconds[stage] = time.perf_counter() - began
                stage, began = found[1], time.perf_counter()
        if running.wait():
            errors.seek(0)
            raise SystemExit(f"{' '.join(command)} in {project}: {errors.read()[-2000:]}")
    if stage:
        seconds[stage] = time.perf_counter() - began
    return seconds


def grouped(seconds: Mapping[str, float]) -> dict[str, float]:
    """Stages of one name, `generate@dcgan` and so on, as one; and their sum."""
    result: dict[str, float] = {}
    for stage, value in seconds.items():
        name = stage.partition("@")[0]
        result[name] = result.get(name, 0.0) + value
    return result | {ALL: sum(result.values())}


def stages(keep: Path | None = None) -> dict[str, Section]:
    """Seconds of every stage of the default: first the main job, then the rest, then with nothing to do.

    Args:
        keep: where the project that is reproduced stays.
    """
    with clone(keep) as project:
        main = grouped(stage_seconds(project, [MAIN_JOB]))
        rest = grouped(stage_seconds(project))
        nothing = []
        for _ in range(3):
            began = time.perf_counter()
            stage_seconds(project)
            nothing.append(time.perf_counter() - began)
    rows = {f"`{name}`": spread([value]) for name, value in main.items() if name != ALL}
    rows["**`dvc repro evaluate`, all of these**"] = spread([main[ALL]])
    # A stage such as `quality` is in both where some of its GANs were done for the main job.
    rows |= {f"`{name}`": spread([value]) for name, value in rest.items() if name != ALL}
    rows["**`dvc repro`, everything**"] = spread([main[ALL] + rest[ALL]])
    rows["**`dvc repro` with nothing changed**"] = spread(nothing)
    return {"The default, stage by stage": Section("s", rows, {}, "Once, from an empty DVC cache.")}


def _shape(params: dict[str, Any], archive: Path, gans: int | None) -> dict[str, Any]:
    """Params with these photographs, and the first GANs that may train; every pixel is shown every epoch."""
    never = params["leave_one_out"]["never_train"]
    names = [name for name in params["gans"] if name not in never][:gans]
    return params | {
        "data": params["data"] | {"source": "folder", "root": str(archive)},
        "gans": {name: params["gans"][name] for name in names},
        "held_out": [],
        "cffn": params["cffn"] | {"steps_per_epoch": None},
        "leave_one_out": params["leave_one_out"] | {"never_train": []},
    }


def growth(
    archive: Path, photographs: Sequence[int] = PHOTOGRAPHS, gans: Sequence[int] = GANS
) -> dict[str, Section]:
    """Seconds of the main job by the number of photographs, and of GANs, with slopes of log-log plots.

    Args:
        archive: photographs that the stand-ins are variants of.
        photographs: numbers to try, with all GANs.
        gans: numbers to try, with the first number of photographs.
    """
    results: dict[str, dict[int, dict[str, float]]] = {"photographs": {}, "GANs": {}}
    with clone() as project, tempfile.TemporaryDirectory() as scratch:
        default = yaml.safe_load((project / "params.yaml").read_text())
        trials = [("photographs", count, count, None) for count in photographs]
        trials += [("GANs", count, photographs[0], count) for count in gans]
        for what, size, n_photographs, n_gans in trials:
            packed = Path(scratch) / f"{n_photographs}.zip"
            if not packed.exists():
                stand_in_zip(packed, archive, n_photographs)
            shaped = _shape(default, packed, n_gans)
            (project / "params.yaml").write_text(yaml.safe_dump(shaped, sort_keys=False))
            # All again: the sweep over GANs has the same photographs once more.
            results[what][size] = grouped(stage_seconds(project, ["--force", MAIN_JOB]))
            print(f"{size} {what}: {results[what][size]}", file=sys.stderr, flush=True)
    sections = {}
    for what, by_size in results.items():
        names = [
            name
            for name in next(iter(by_size.values()))
            if all(name in figures for figures in by_size.values())
        ]
        rows = {}
        for name in names:
            seconds = {size: figures[name] for size, figures in by_size.items()}
            slopes = {"log-log slope": slope(seconds, seconds.values())}
            rows[f"`{name}`"] = {f"{size} {what}": value for size, value in seconds.items()} | slopes
        sections[f"`dvc repro {MAIN_JOB}` by the number of {what}"] = Section(
            "s", rows, {}, "Once. Slope of a log-log plot: 1 where twice as many take twice as long."
        )
    return sections
