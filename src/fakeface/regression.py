"""Gate: do the metrics of the workspace hold up against those of another revision?

    python -m fakeface.regression --base main

Every number in the metrics files has a dotted name: the file's path below the metrics folder without
``.json``, then the JSON keys, for instance ``evaluation.laundered.per_gan.dcgan.auroc``. The ``regression``
section of params.yaml maps globs over these names to the direction that is better and the tolerated change
for the worse; the first glob that matches a name decides, and a name that none matches is not gated.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from fakeface.params import ParamsError, RegressionRule, load_params

FINE, REGRESSED, CANNOT_COMPARE = 0, 1, 2
EXIT_CODES = """exit codes:
  0  no gated metric got worse by more than its tolerance
  1  at least one did (whatever else could not be compared)
  2  cannot compare: no such revision, no metrics there or here, a metrics file or params that cannot be read,
     a gated metric that is gone or has become null, or a rule that matches no metric"""

# 0.80 - 0.77 is 0.030000000000000027 in floating point; a change of just the tolerance is tolerated.
_ROUNDING = 1e-9
_ORDER = ("REGRESSION", "GONE", "NULL", "undefined", "new", "ok")

Metrics = dict[str, float | None]


class CannotCompareError(Exception):
    """The two sides cannot be compared; the message says why in one line."""


class Row(NamedTuple):
    """One gated metric on both sides; ``verdict`` is one of REGRESSION, GONE, NULL, undefined, new, ok."""

    name: str
    base: float | None
    now: float | None
    rule: RegressionRule
    verdict: str

    @property
    def worse_by(self) -> float:
        """How far the metric moved in the wrong direction; negative for an improvement, 0 if unknown."""
        if self.base is None or self.now is None:
            return 0.0
        change = self.now - self.base
        return change if self.rule.direction == "lower" else -change


def flatten(content: Any, prefix: str) -> Metrics:
    """The numbers and nulls of a metrics file by dotted name; text, booleans and lists are none."""
    if isinstance(content, dict):
        result: Metrics = {}
        for key, value in content.items():
            result |= flatten(value, f"{prefix}.{key}")
        return result
    if content is None or (isinstance(content, (int, float)) and not isinstance(content, bool)):
        return {prefix: content}
    return {}


def rule_for(name: str, rules: Mapping[str, RegressionRule]) -> RegressionRule | None:
    """The first rule whose glob matches the name; ``*`` crosses dots."""
    return next((rule for glob, rule in rules.items() if fnmatchcase(name, glob)), None)


def compare(base: Metrics, now: Metrics, rules: Mapping[str, RegressionRule]) -> list[Row]:
    """Every gated metric of either side, the worst verdicts first."""
    rows = []
    for name in dict.fromkeys([*base, *now]):
        rule = rule_for(name, rules)
        if rule is not None:
            row = Row(name, base.get(name), now.get(name), rule, "")
            rows.append(row._replace(verdict=_verdict(row, name in base, name in now)))
    return sorted(rows, key=lambda row: (_ORDER.index(row.verdict), -row.worse_by + row.rule.tolerance))


def unmatched_rules(names: Iterable[str], rules: Mapping[str, RegressionRule]) -> list[str]:
    """Globs that match none of the names."""
    names = list(names)
    return [glob for glob in rules if not any(fnmatchcase(name, glob) for name in names)]


def _verdict(row: Row, in_base: bool, in_now: bool) -> str:
    if not in_now:
        return "GONE"
    if not in_base:
        return "new"
    if row.now is None:
        return "undefined" if row.base is None else "NULL"
    if row.base is None:
        return "new"
    return "REGRESSION" if row.worse_by > row.rule.tolerance + _ROUNDING else "ok"


def read_folder(folder: Path) -> dict[str, Metrics]:
    """The metrics of every ``*.json`` below a folder, by file path relative to it.

    Raises:
        CannotCompareError: without such a folder or files, or for one that is no JSON.
    """
    files = sorted(folder.rglob("*.json")) if folder.is_dir() else []
    if not files:
        raise CannotCompareError(f"{folder}: no metrics files (*.json) there")
    return {
        name: _parse(path.read_bytes(), name, str(path))
        for path, name in ((path, path.relative_to(folder).as_posix()) for path in files)
    }


def read_revision(revision: str, folder: Path) -> dict[str, Metrics]:
    """The metrics of every ``*.json`` below a folder as committed in a git revision.

    Raises:
        CannotCompareError: without git, such a revision or files, or for one that is no JSON.
    """
    if revision.startswith("-"):
        raise CannotCompareError(f"base revision must be a git revision, got {revision!r}")
    try:
        commit = _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").decode().strip()
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode(errors="replace").strip() or "no such commit in this clone"
        raise CannotCompareError(f"base revision {revision!r} cannot be read: {reason}") from None
    relative = Path(os.path.relpath(folder)).as_posix()
    try:
        listing = _git("ls-tree", "-r", "-z", "--name-only", commit, "--", f"{relative}/")
        paths = [name for name in listing.decode().split("\0") if name.endswith(".json")]
        if not paths:
            raise CannotCompareError(f"base revision {revision!r} holds no metrics files in {relative}")
        return {
            name: _parse(_git("show", f"{commit}:./{path}"), name, f"{revision}:{path}")
            for path, name in ((path, os.path.relpath(path, relative)) for path in paths)
        }
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode(errors="replace").strip()
        raise CannotCompareError(
            f"{relative} of base revision {revision!r} cannot be read: {reason}"
        ) from None


def _git(*arguments: str) -> bytes:
    try:
        return subprocess.run(["git", *arguments], check=True, capture_output=True).stdout
    except FileNotFoundError:
        raise CannotCompareError("git is not installed, and --base needs it") from None


def _parse(content: bytes, name: str, origin: str) -> Metrics:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON number")

    try:
        parsed = json.loads(content.decode("utf-8"), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise CannotCompareError(f"{origin}: not readable as JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise CannotCompareError(
            f"{origin}: a metrics file must be a JSON object, got {type(parsed).__name__}"
        )
    return flatten(parsed, name.removesuffix(".json").replace("/", "."))


def _select(
    wanted: Sequence[Path], folder: Path, base: Mapping[str, Metrics], now: Mapping[str, Metrics]
) -> list[str]:
    """File names below the metrics folder that ``--metrics`` asks for; all files without it."""
    if not wanted:
        return list(dict.fromkeys([*base, *now]))
    selected = []
    for path in wanted:
        name = Path(os.path.relpath(path, folder)).as_posix()
        found = [file for file in dict.fromkeys([*base, *now]) if file == name or file.startswith(f"{name}/")]
        if name == ".":
            found = list(dict.fromkeys([*base, *now]))
        for side, files in (("the base", base), ("the workspace", now)):
            if not any(file in files for file in found):
                raise CannotCompareError(f"{path}: no such metrics file or folder in {side}")
        selected += found
    return list(dict.fromkeys(selected))


def _merged(files: Mapping[str, Metrics], selected: Iterable[str]) -> Metrics:
    result: Metrics = {}
    for name in selected:
        result |= files.get(name, {})
    return result


def render(rows: Sequence[Row]) -> str:
    """The rows as an aligned table."""
    lines = [("metric", "base", "now", "change", "allowed", "verdict")]
    for row in rows:
        known = row.base is not None and row.now is not None
        change = f"{row.now - row.base:+.4f}" if known else "-"  # type: ignore[operator]
        sign = "+" if row.rule.direction == "lower" else "-"
        lines.append(
            (
                row.name,
                _number(row.base, row.verdict != "new"),
                _number(row.now, row.verdict != "GONE"),
                change,
                f"{sign}{row.rule.tolerance:.4f}",
                row.verdict,
            )
        )
    widths = [max(len(line[column]) for line in lines) for column in range(6)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if 0 < column < 5 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _number(value: float | None, present: bool) -> str:
    if value is not None:
        return f"{value:.4f}"
    return "null" if present else "-"


def gate(arguments: argparse.Namespace) -> int:
    """Compare, print, and return the exit code.

    Raises:
        CannotCompareError, ParamsError: where there is nothing to print a table of.
    """
    rules = load_params(arguments.params).regression
    folder: Path = arguments.workspace
    if not rules:
        raise CannotCompareError(f"{arguments.params}: regression must hold at least one rule, got none")
    now_files = read_folder(folder)
    if arguments.base_dir is not None:
        base_files, label = read_folder(arguments.base_dir), str(arguments.base_dir)
    else:
        base_files, label = read_revision(arguments.base, folder), arguments.base
    every_name = [name for side in (base_files, now_files) for metrics in side.values() for name in metrics]
    # Rules are held against all files, so that a look at one file does not call the others' rules wrong.
    unmatched = unmatched_rules(every_name, rules)
    selected = _select(arguments.metrics, folder, base_files, now_files)
    base, now = _merged(base_files, selected), _merged(now_files, selected)
    rows = compare(base, now, rules)

    print(f"base: {label}   now: {folder}\n")
    print(render(rows))
    counts = {verdict: sum(row.verdict == verdict for row in rows) for verdict in _ORDER}
    summary = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count) or "none"
    gated = {row.name for row in rows}
    ungated_gone = sorted(set(base) - set(now) - gated)
    print(f"\n{len(rows)} gated metrics: {summary}.")
    print(f"{len((set(base) | set(now)) - gated)} metrics have no rule and are not gated", end="")
    print(f"; {len(ungated_gone)} of them are gone, for instance {ungated_gone[0]}." if ungated_gone else ".")

    problems = [f"regression rule {glob!r} matches no metric" for glob in unmatched]
    problems += [f"{row.name} is gone from the workspace" for row in rows if row.verdict == "GONE"]
    problems += [f"{row.name} was {row.base} and is null now" for row in rows if row.verdict == "NULL"]
    if not rows and not unmatched:
        problems.append("no metric of the chosen files has a rule")
    for problem in problems:
        print(f"cannot compare: {problem}", file=sys.stderr)
    if counts["REGRESSION"]:
        return REGRESSED
    return CANNOT_COMPARE if problems else FINE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fakeface.regression",
        description="Compare metrics with those of a git revision, metric by metric.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    base = parser.add_mutually_exclusive_group()
    base.add_argument(
        "--base", metavar="REV", default="HEAD", help="git revision to compare with (default: HEAD)"
    )
    base.add_argument(
        "--base-dir", metavar="DIR", type=Path, help="compare with the metrics in this folder instead"
    )
    parser.add_argument(
        "--workspace",
        metavar="DIR",
        type=Path,
        default=Path("metrics"),
        help="folder with the metrics to judge (default: metrics)",
    )
    parser.add_argument(
        "--metrics",
        metavar="PATH",
        type=Path,
        nargs="+",
        default=[],
        help="only these files or folders inside the workspace's metrics folder (default: all *.json)",
    )
    parser.add_argument(
        "--params", metavar="FILE", type=Path, default=Path("params.yaml"), help="where the rules are"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the gate; see ``--help`` for the exit codes."""
    arguments = _parser().parse_args(argv)
    try:
        return gate(arguments)
    except (CannotCompareError, ParamsError, OSError) as error:
        print(f"cannot compare: {error}", file=sys.stderr)
        return CANNOT_COMPARE


if __name__ == "__main__":
    sys.exit(main())
