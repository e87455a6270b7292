"""Margins, losses, networks and curated fakes compared as DVC experiments.

    python -m fakeface.reporting.studies queue losses      # takes -S KEY=VALUE; then dvc queue start
    python -m fakeface.reporting.studies collect losses    # writes results/study_losses.json
    python -m fakeface.reporting.studies table losses      # prints it as Markdown

and the same with `curation`. Every experiment runs the stage `nested_validation` with
some params changed: no held-out GAN and no test image plays a part, so the best setting
may be chosen by these tables.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from fakeface.base.errors import one_line_errors
from fakeface.base.markdown import TableError
from fakeface.reporting.studies.experiments import STUDIES, collect, queue
from fakeface.reporting.studies.tables import TABLES


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line, see the module's docstring."""
    parser = argparse.ArgumentParser(
        prog="python -m fakeface.reporting.studies",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, told in (
        ("queue", "queue the experiments"),
        ("collect", "write results/study_<name>.json"),
        ("table", "print the results as Markdown"),
    ):
        command = commands.add_parser(name, help=told)
        command.add_argument("study", choices=list(STUDIES))
        if name == "queue":
            command.add_argument("names", nargs="*", help="some of its experiments; default: all")
            command.add_argument("-S", "--set-param", action="append", default=[], help="change for all")
    options = parser.parse_args(arguments)
    study = STUDIES[options.study]
    if options.command == "queue":
        queue(study, options.names, options.set_param)
    elif options.command == "collect":
        print(f"{len(collect(study))} experiments in {study.results}")
    else:
        try:
            print(TABLES[study.name](study.results))
        except TableError as error:
            parser.exit(1, f"error: {error}\n")


if __name__ == "__main__":
    with one_line_errors():
        main()
