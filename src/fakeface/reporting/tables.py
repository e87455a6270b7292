"""Markdown tables from the files in reports/, and their places in a README.

    python -m fakeface.reporting.tables results --reports reports
    python -m fakeface.reporting.tables compare results/initial results/expanded --names initial expanded
    python -m fakeface.reporting.tables folds --reports reports
    python -m fakeface.reporting.tables external --reports reports
    python -m fakeface.reporting.tables histories --reports reports
    python -m fakeface.reporting.tables cards models/gans
    python -m fakeface.reporting.tables memorisation zoo/metrics/memorisation
    python -m fakeface.reporting.tables study losses results
    python -m fakeface.reporting.tables speed training benchmarks/results.json
    python -m fakeface.reporting.tables readme README.md --check

A README holds a table between two lines; the first carries the command, with paths relative to the README:

    <!-- table: results --reports reports -->
    <!-- end table -->
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from fakeface.base.files import write_text
from fakeface.base.markdown import TableError, get, read_json
from fakeface.bundle.write import external_tables
from fakeface.params import PROTOCOLS
from fakeface.reporting.generator_tables import cards_table, memorisation_table, speed_tables
from fakeface.reporting.results_tables import (
    compare_table,
    folds_table,
    histories_table,
    results_tables,
    verdicts_table,
)
from fakeface.reporting.studies import STUDIES
from fakeface.reporting.studies import TABLES as STUDY_TABLES

BEGIN, END = "<!-- table:", "<!-- end table -->"


class _Parser(argparse.ArgumentParser):
    """Raises instead of leaving the program: a wrong marker in a README must be named."""

    def error(self, message: str) -> NoReturn:
        raise TableError(f"{message} ({self.prog} --help shows the commands)")


def update_readme(text: str, folder: Path) -> str:
    """``text`` with every table made anew.

    Args:
        text: of a Markdown file.
        folder: that paths in the markers are relative to.

    Raises:
        TableError: without any marker, for one that does not end, or one whose command fails, by line.
    """
    result: list[str] = []
    lines = iter(enumerate(text.split("\n"), start=1))
    n_tables = 0
    for at, line in lines:
        result.append(line)
        # Only at the start of a line: an indented or quoted marker is an example.
        if line.startswith(BEGIN):
            _skip_to_end(lines, at)
            result += ["", _run_marker(line, at, folder), "", END]
            n_tables += 1
        elif line.startswith(END):
            raise TableError(f"line {at}: {END} without a {BEGIN} ... --> above it")
    if not n_tables:
        raise TableError(f"no line starts with {BEGIN!r}")
    return "\n".join(result)


def _skip_to_end(lines: Iterator[tuple[int, str]], begin: int) -> None:
    for _, line in lines:
        if line.startswith(END):
            return
        if line.startswith(BEGIN):
            break
    raise TableError(f"line {begin}: the table is never closed with {END}")


def _run_marker(line: str, at: int, folder: Path) -> str:
    if not line.rstrip().endswith("-->"):
        raise TableError(f"line {at}: a marker must be one line that ends in -->, got {line!r}")
    command = line.rstrip()[len(BEGIN) : -len("-->")]
    try:
        arguments = _parser().parse_args(shlex.split(command))
        if arguments.command == "readme":
            raise TableError("a marker must make a table, got `readme`")
        return _make(arguments, folder)
    except (TableError, ValueError) as error:
        raise TableError(f"line {at}: {error}") from None
    except SystemExit:
        raise TableError(f"line {at}: a marker must make a table, got {command.strip()!r}") from None


def _make(arguments: argparse.Namespace, folder: Path) -> str:
    if arguments.command == "results":
        return results_tables(folder / arguments.reports, arguments.part)
    if arguments.command == "folds":
        return folds_table(folder / arguments.reports, tuple(arguments.protocols))
    if arguments.command == "cards":
        return cards_table(folder / arguments.folder)
    if arguments.command == "memorisation":
        return memorisation_table(folder / arguments.folder)
    if arguments.command == "speed":
        return speed_tables(folder / arguments.path, arguments.part)
    if arguments.command == "study":
        return STUDY_TABLES[arguments.name](folder / arguments.folder / STUDIES[arguments.name].results.name)
    if arguments.command == "histories":
        return histories_table(folder / arguments.reports)
    if arguments.command == "verdicts":
        return verdicts_table(folder / arguments.reports)
    if arguments.command == "external":
        path = folder / arguments.reports / "external.json"
        return external_tables(get(read_json(path), path, arguments.protocol))
    return compare_table(
        folder / arguments.first, folder / arguments.second, arguments.names, arguments.protocol
    )


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m fakeface.reporting.tables", description="Markdown tables from the files in reports/."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    results = commands.add_parser("results", help="detection and image quality per GAN")
    results.add_argument("--reports", type=Path, default=Path("reports"), metavar="DIR")
    results.add_argument("--part", choices=("both", "detection", "quality", "summary"), default="both")
    compare = commands.add_parser("compare", help="precision and recall per GAN of two runs")
    compare.add_argument("first", type=Path, metavar="DIR_A")
    compare.add_argument("second", type=Path, metavar="DIR_B")
    compare.add_argument("--names", nargs=2, default=["before", "after"], metavar=("A", "B"))
    compare.add_argument("--protocol", choices=PROTOCOLS, default="laundered")
    folds = commands.add_parser("folds", help="unseen GANs, detector by detector")
    folds.add_argument("--reports", type=Path, default=Path("reports"), metavar="DIR")
    folds.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=PROTOCOLS)
    external = commands.add_parser("external", help="image sets on which nothing trained")
    external.add_argument("--reports", type=Path, default=Path("reports"), metavar="DIR")
    external.add_argument("--protocol", choices=PROTOCOLS, default="laundered")
    for name, text in {
        "histories": "pictures by what they went through before they were prepared",
        "verdicts": "how often external sets are decided, and rightly",
    }.items():
        command = commands.add_parser(name, help=text)
        command.add_argument("--reports", type=Path, default=Path("reports"), metavar="DIR")
    cards = commands.add_parser("cards", help="the generators trained here")
    cards.add_argument("folder", type=Path, metavar="DIR")
    memorisation = commands.add_parser("memorisation", help="distances to the nearest training photograph")
    memorisation.add_argument("folder", type=Path, metavar="DIR")
    study = commands.add_parser("study", help="experiments of python -m fakeface.reporting.studies")
    study.add_argument("name", choices=list(STUDIES))
    study.add_argument("folder", type=Path, metavar="DIR")
    speed = commands.add_parser("speed", help="what benchmarks/suite.py measured")
    speed.add_argument("part")
    speed.add_argument("path", type=Path, metavar="FILE")
    readme = commands.add_parser("readme", help="rewrite the tables of a Markdown file")
    readme.add_argument("path", type=Path, metavar="README")
    readme.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if a table is out of date"
    )
    return parser


def _readme(path: Path, check: bool) -> int:
    try:
        text = path.read_bytes().decode("utf-8")
        updated = update_readme(text, path.parent)
    except FileNotFoundError:
        raise TableError(f"{path}: no such file") from None
    except TableError as error:
        raise TableError(f"{path}: {error}") from None
    if updated == text:
        return 0
    if check:
        print(
            f"{path}: tables are out of date; run python -m fakeface.reporting.tables readme {path}",
            file=sys.stderr,
        )
        return 1
    write_text(path, updated)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Print or rewrite tables; 0 done, 1 out of date (``readme --check``), 2 an error."""
    try:
        arguments = _parser().parse_args(argv)
        if arguments.command == "readme":
            return _readme(arguments.path, arguments.check)
        print(_make(arguments, Path()), flush=True)
    except TableError as error:
        print(f"tables: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read them has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
