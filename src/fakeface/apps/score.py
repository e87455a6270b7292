"""The command ``fakeface score``."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from pathlib import Path

from fakeface.apps.predict import DEFAULT_DETECTOR

EXIT_CODES = """exit codes:
  0  every picture was judged, or has no face
  1  a picture could not be read, or a face is too small; its row says why, the others were judged
  2  nothing was written: no usable detector, no pictures, or the output is of another job"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to ``fakeface``'s."""
    parser = commands.add_parser(
        "score",
        help="judge any number of pictures into a Parquet file",
        description="Judge all pictures of folders and archives (zip, tar) into one Parquet file, a row a "
        "face. An interrupted job goes on where it stopped when it is started again.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sources", nargs="+", metavar="FOLDER_OR_ARCHIVE")
    parser.add_argument("--out", type=Path, required=True, help="file to write, .parquet")
    parser.add_argument("--detector", default=DEFAULT_DETECTOR, help="folder of a detector (%(default)s)")
    parser.add_argument("--no-align", action="store_true", help="pictures are aligned faces already")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="(%(default)s)")
    parser.add_argument("--engine", default="local", choices=("local", "ray"), help="(%(default)s)")
    parser.add_argument("--workers", type=_positive, help="processes (one a core, four a GPU)")
    parser.add_argument("--shard-size", type=_positive, default=1000, help="pictures a shard (%(default)s)")
    parser.add_argument("--batch-size", type=_positive, default=64, help="faces a pass (%(default)s)")
    parser.set_defaults(run=run)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return number


def run(options: argparse.Namespace) -> int:
    """Score what ``options`` name; the exit code."""
    from fakeface.apps.shards import ScoreError, plan

    if importlib.util.find_spec("pyarrow") is None:
        raise ScoreError("fakeface score needs PyArrow: pip install -e '.[score]'")
    if options.out.suffix != ".parquet":
        raise ScoreError(f"--out must be a .parquet file, got {options.out}")
    from fakeface.apps.score_job import ENGINES, parts_of, run_job
    from fakeface.apps.shards import Settings
    from fakeface.detector.bundle import check_files, read_manifest

    manifest = read_manifest(Path(options.detector))
    check_files(Path(options.detector), manifest)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = options.workers or _default_workers(options.device, cores)
    settings = Settings(
        options.detector, options.device, not options.no_align, options.batch_size, max(1, cores // workers)
    )
    job = plan(options.sources, options.shard_size, [manifest.files, settings.deciding()])
    try:
        summary = run_job(job, settings, options.out, ENGINES[options.engine], workers)
    except KeyboardInterrupt:
        print(f"stopped; the same command goes on from {parts_of(options.out)}", file=sys.stderr)
        return 130
    verdicts = ", ".join(f"{number} {verdict}" for verdict, number in summary.verdicts.items())
    print(
        f"{options.out}: {summary.pictures} pictures, {summary.faces} faces judged ({verdicts or 'none'}), "
        f"{summary.without_face} pictures without a face, {summary.failed} failed"
    )
    return int(summary.failed > 0)


def _default_workers(device: str, cores: int) -> int:
    if device == "cpu":
        return cores
    import torch

    return min(cores, 4 * torch.cuda.device_count()) if torch.cuda.is_available() else cores
