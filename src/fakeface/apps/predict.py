"""The command ``fakeface predict``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

DEFAULT_DETECTOR = "models/detector"
EXIT_CODES = """exit codes:
  0  every picture was judged, or has no face
  1  a picture could not be read, or a face is too small; the others were judged
  2  nothing was judged: no usable detector, or wrong arguments"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to ``fakeface``'s."""
    parser = commands.add_parser(
        "predict",
        help="judge pictures: real, fake or unsure",
        description="Find the faces in pictures, align them, and say of each how likely a GAN made it.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="pictures, folders, or - for a list on stdin"
    )
    parser.add_argument("--detector", default=DEFAULT_DETECTOR, help="folder of a detector (%(default)s)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object a picture and line")
    form.add_argument("--csv", action="store_true", help="one row a face")
    parser.add_argument("--no-align", action="store_true", help="pictures are aligned faces already")
    parser.add_argument("--explain", metavar="DIR", type=Path, help="write a heatmap of each face")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="(%(default)s)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Judge what ``options`` name; the exit code."""
    # Here, so that --help needs no torch.
    from fakeface.apps.judge import expand, judge
    from fakeface.apps.output import write_csv, write_json_lines, write_overlays, write_table
    from fakeface.data.faces import FaceFinder
    from fakeface.detector.bundle import load_bundle

    bundle = load_bundle(options.detector, options.device)
    finder = None if options.no_align else FaceFinder(bundle.faces)
    pictures = judge(expand(options.paths, sys.stdin), bundle.detector, finder, bundle.attribution)
    if options.json:
        written = write_json_lines(pictures, sys.stdout)
    elif options.csv:
        written = write_csv(pictures, sys.stdout)
    else:
        written = write_table(pictures, sys.stdout, bundle.detector)
    code = 0
    for number, picture in enumerate(written, start=1):
        if options.explain is not None:
            write_overlays(picture, number, bundle.detector, options.explain)
        if picture.failed:
            print(f"error: {picture.name}: {picture.message}", file=sys.stderr)
        code = max(code, int(picture.incomplete))
    return code
