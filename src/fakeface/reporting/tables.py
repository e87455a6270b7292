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
from typing import Any, NoReturn

from fakeface.base.files import write_text
from fakeface.base.markdown import MISSING, TableError, get, markdown_table, number, read_json
from fakeface.bundle.write import external_tables
from fakeface.params import PROTOCOLS
from fakeface.reporting.fold_tables import folds_table
from fakeface.reporting.generator_tables import cards_table, memorisation_table, speed_tables
from fakeface.reporting.studies.experiments import STUDIES
from fakeface.reporting.studies.tables import TABLES as STUDY_TABLES

BEGIN, END = "<!-- table:", "<!-- end table -->"


class _Parser(argparse.ArgumentParser):
    """Raises instead of leaving the program: a wrong marker in a README must be named."""

    def error(self, message: str) -> NoReturn:
        raise TableError(f"{message} ({self.prog} --help shows the commands)")


def results_tables(reports: Path, part: str = "both") -> str:
    """Detection and image quality per GAN.

    Args:
        reports: folder that holds ``evaluation.json`` and ``quality/<gan>.json``.
        part: ``detection``, ``quality`` or ``both``; ``summary`` for AUROC and recall, laundered.

    Raises:
        TableError: for a file or a key that is missing.
    """
    evaluation = _evaluation(reports)
    if part == "summary":
        return _summary_table(evaluation, reports)
    tables = []
    if part in ("both", "detection"):
        tables.append(_detection_table(evaluation, reports))
    if part in ("both", "quality"):
        tables.append(_quality_table(evaluation, reports))
    return "\n\n".join(tables)


def compare_table(first: Path, second: Path, names: Sequence[str], protocol: str = "laundered") -> str:
    """Precision, recall and AUROC per GAN of two runs, side by side.

    Args:
        first, second: folders that hold ``evaluation.json``, or hold it in ``reports/``.
        names: what to call the two.
        protocol: one of :data:`PROTOCOLS`.

    Raises:
        TableError: for a file or a key that is missing.
    """
    folders = [folder / "reports" if (folder / "reports").is_dir() else folder for folder in (first, second)]
    runs = [_evaluation(folder) for folder in folders]
    blocks = [
        get(run, folder, protocol, "per_gan") | {"**all**": get(run, folder, protocol, "overall")}
        for run, folder in zip(runs, folders, strict=True)
    ]
    header = ["GAN", *(f"trained on it: {name}" for name in names)]
    header += [f"{metric}, {name}" for metric in ("precision", "recall", "AUROC") for name in names]
    gans = [name for name in dict.fromkeys([*blocks[0], *blocks[1]]) if name != "**all**"]
    rows = []
    for gan in [*gans, "**all**"]:
        row = [gan]
        for run, block in zip(runs, blocks, strict=True):
            trained = "" if gan == "**all**" else "no" if gan in run["held_out"] else "yes"
            row.append(trained if gan in block else MISSING)
        for metric in ("precision", "recall", "auroc"):
            row += [number(block.get(gan, {}).get(metric)) for block in blocks]
        rows.append(row)
    first_block = blocks[0]["**all**"]
    counts = f"{first_block.get('n_real')} photographs and {first_block.get('n_fake')} fakes in the test set"
    return f"{markdown_table(header, rows)}\n\nProtocol `{protocol}`; {counts} of {names[0]}."


def histories_table(reports: Path) -> str:
    """Photographs and fakes by what they went through before they were prepared, laundered.

    Args:
        reports: folder that holds ``histories.json``.

    Raises:
        TableError: for a file or a key that is missing.
    """
    path = reports / "histories.json"
    report = read_json(path)
    fakes = get(report, path, "fakes")
    rows = []
    for name, block in get(report, path, "photographs").items():
        probe, of_fakes = block["probe"] or {}, fakes.get(name, {})
        rows.append(
            [
                name,
                number(probe.get("auroc")),
                number(block["fpr"], block.get("fpr_ci95")),
                number(block["auroc"]),
                number(of_fakes.get("recall")),
                number(of_fakes.get("auroc")),
            ]
        )
    header = ["history", "probe", "photographs called fake [95 %]", "AUROC, photographs with it"]
    return markdown_table([*header, "fakes with it found", "AUROC, fakes with it"], rows)


def verdicts_table(reports: Path) -> str:
    """How often the detector decides about external sets, and how often it is right then.

    Args:
        reports: folder that holds ``external.json``.

    Raises:
        TableError: for a file or a key that is missing.
    """
    path = reports / "external.json"
    report = read_json(path)
    found = get(report, path, "verdicts")
    rows = [
        [name, str(block["n"]), number(block["decided"]), number(block["right"])]
        for name, block in get(found, path, "by_set").items()
    ]
    rows.append(["mean over sets, then classes", "", number(found["decided"]), number(found["right"])])
    return markdown_table(["set, laundered", "number", "decided", "of these right"], rows)


def _rows(evaluation: dict[str, Any], path: Path) -> list[tuple[str, str, tuple[str, ...]]]:
    """Label, role in training and keys of each block: seen GANs, unseen ones, groups."""
    held_out = evaluation["held_out"]
    gans = list(get(evaluation, path, PROTOCOLS[0], "per_gan"))
    rows: list[tuple[str, str, tuple[str, ...]]]
    rows = [(gan, "seen", ("per_gan", gan)) for gan in gans if gan not in held_out]
    rows += [(gan, "**unseen**", ("per_gan", gan)) for gan in gans if gan in held_out]
    rows += [(f"all {group}", group, (group,)) for group in ("seen", "unseen")] if held_out else []
    return [*rows, ("all", "", ("overall",))]


def _summary_table(evaluation: dict[str, Any], reports: Path) -> str:
    path, protocol = reports / "evaluation.json", PROTOCOLS[0]
    lines = []
    for label, role, keys in _rows(evaluation, path):
        block = get(evaluation, path, protocol, *keys)
        auroc, recall = (get(evaluation, path, protocol, *keys, name) for name in ("auroc", "recall"))
        lines.append([label, role, number(auroc, block.get("auroc_ci95")), number(recall)])
    overall = get(evaluation, path, protocol, "overall")
    threshold, above = evaluation["threshold"], overall["fpr"]
    caption = (
        f"{overall['n_real']} test photographs against {overall['n_fake']} fakes, `{protocol}`. Recall is "
        f"the share of fakes above the frozen threshold {threshold:.3f}. Of the photographs, {above:.1%} are "
        "above it."
    )
    header = ["GAN", "in training", "AUROC [95 %]", "recall"]
    return f"{markdown_table(header, lines)}\n\n{caption}"


def _detection_table(evaluation: dict[str, Any], metrics: Path) -> str:
    path = metrics / "evaluation.json"
    header = ["GAN", "in training"]
    header += [
        f"{name}: {column}" for name in PROTOCOLS for column in ("AUROC [95 %]", "precision", "recall")
    ]
    lines = []
    for label, role, keys in _rows(evaluation, path):
        line = [label, role]
        for protocol in PROTOCOLS:
            auroc, precision, recall = (
                get(evaluation, path, protocol, *keys, name) for name in ("auroc", "precision", "recall")
            )
            interval = get(evaluation, path, protocol, *keys).get("auroc_ci95")
            line += [number(auroc, interval), number(precision), number(recall)]
        lines.append(line)
    overall = get(evaluation, path, PROTOCOLS[0], "overall")
    caption = (
        f"Every row: the same {overall['n_real']} test photographs against that row's fakes "
        f"({overall['n_fake']} in all). Precision and recall are those of fakes at the frozen threshold "
        f"{evaluation['threshold']:.3f}; precision depends on how many photographs there are for each fake."
    )
    return f"{markdown_table(header, lines)}\n\n{caption}"


def _quality_table(evaluation: dict[str, Any], reports: Path) -> str:
    lines, captions = [], {}
    for gan in get(evaluation, reports, PROTOCOLS[0], "per_gan"):
        path = reports / "quality" / f"{gan}.json"
        quality = read_json(path)
        extractor = get(quality, path, "extractor")
        short = extractor.replace("-", "_")
        standard = "fid" in quality
        distance = get(quality, path, "fid" if standard else f"fd_{short}")
        score = get(quality, path, "inception_score" if standard else f"is_{short}")
        captions[extractor] = (
            f"{get(quality, path, 'n_fake')} fakes against {get(quality, path, 'n_real')} training "
            f"photographs, features of {extractor}."
        )
        line = [gan, f"{get(quality, path, 'kid'):.4f}", f"{distance:.2f}", f"{score:.2f}"]
        lines.append(line + [number(get(quality, path, name)) for name in ("precision", "recall")])
    names = ("FID", "Inception Score") if set(captions) == {"inception-v3-compat"} else ("FD", "IS")
    header = ["GAN", "KID ↓", f"{names[0]} ↓", f"{names[1]} ↑", "precision ↑", "recall ↑"]
    return f"{markdown_table(header, lines)}\n\n{' '.join(captions.values())}"


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


def _evaluation(reports: Path) -> dict[str, Any]:
    path = reports / "evaluation.json"
    evaluation = read_json(path)
    for key in ("threshold", "held_out", *PROTOCOLS):
        get(evaluation, path, key)
    return evaluation


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
