"""Gate: do the figures of the workspace hold up against those of another revision?

    python -m fakeface.regression --base main
    python -m fakeface.regression --base main --markdown   # for a pull request or a job summary

Every number in metrics/ and reports/ has a dotted name, for instance ``evaluation.laundered.unseen.fpr`` (the
path without ``metrics/`` and ``.json``, then the JSON keys) or ``reports.evaluation.laundered.seen.ece``. The
``regression`` section of params.yaml maps globs over these names to the direction that is better and the
tolerated change for the worse. The first glob that matches a name decides; others are not gated.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from fakeface.base.markdown import markdown_table
from fakeface.base.stage_output import aligned
from fakeface.params import ParamsError, RegressionRule, load_params

FINE, REGRESSED, CANNOT_COMPARE = 0, 1, 2
FOLDERS = ("metrics", "reports")
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


def read_folder(root: Path) -> dict[str, Metrics]:
    """The figures of every ``*.json`` in ``metrics/`` and ``reports/``, by path below ``root``.

    Raises:
        CannotCompareError: without such files, or for one that is no JSON or of an old format.
    """
    files = {
        path.relative_to(root).as_posix(): path for kind in FOLDERS for path in (root / kind).rglob("*.json")
    }
    if not files:
        raise CannotCompareError(f"{root}: no metrics files (metrics/*.json) there")
    return {name: _parse(path.read_bytes(), name, str(path)) for name, path in sorted(files.items())}


def read_revision(revision: str, root: Path) -> dict[str, Metrics]:
    """:func:`read_folder` of what is committed in a git revision.

    Raises:
        CannotCompareError: without git, such a revision or files, or for one that is no JSON or old.
    """
    if revision.startswith("-"):
        raise CannotCompareError(f"base revision must be a git revision, got {revision!r}")
    try:
        commit = _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").decode().strip()
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode(errors="replace").strip() or "no such commit in this clone"
        raise CannotCompareError(f"base revision {revision!r} cannot be read: {reason}") from None
    relative = Path(os.path.relpath(root))
    try:
        folders = [f"{(relative / kind).as_posix()}/" for kind in FOLDERS]
        listing = _git("ls-tree", "-r", "-z", "--name-only", commit, "--", *folders)
        paths = [name for name in listing.decode().split("\0") if name.endswith(".json")]
        if not paths:
            raise CannotCompareError(f"base revision {revision!r} holds no metrics files in {relative}")
        return {
            name: _parse(_git("show", f"{commit}:./{path}"), name, f"{revision}:{path}")
            for path, name in ((path, Path(os.path.relpath(path, relative)).as_posix()) for path in paths)
        }
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode(errors="replace").strip()
        raise CannotCompareError(f"base revision {revision!r} cannot be read: {reason}") from None


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
        raise CannotCompareError(f"{origin}: figures must be a JSON object, got {type(parsed).__name__}")
    if name.startswith("metrics/") and "fakeface_version" in parsed:
        raise CannotCompareError(
            f"{origin}: an old format (fakeface {parsed['fakeface_version']}); since 0.2.0 metrics/ holds "
            "headline numbers and reports/ whole blocks, so compare with a run of that version or later"
        )
    return flatten(parsed, name.removesuffix(".json").removeprefix("metrics/").replace("/", "."))


def _select(
    wanted: Sequence[Path], root: Path, base: Mapping[str, Metrics], now: Mapping[str, Metrics]
) -> list[str]:
    """Paths below the root that ``--metrics`` asks for; all files without it."""
    everything = list(dict.fromkeys([*base, *now]))
    selected = [] if wanted else everything
    for path in wanted:
        name = Path(os.path.relpath(path, root)).as_posix()
        found = [file for file in everything if name in (".", file) or file.startswith(f"{name}/")]
        for side, files in (("the base", base), ("the workspace", now)):
            if not any(file in files for file in found):
                raise CannotCompareError(f"{path}: no such metrics file or folder in {side}")
        selected += found
    return list(dict.fromkeys(selected))


def cells(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """The rows as text, below a header."""
    lines: list[tuple[str, ...]] = [("metric", "base", "now", "change", "allowed", "verdict")]
    for row in rows:
        known = row.base is not None and row.now is not None
        change = f"{row.now - row.base:+.4f}" if known else "-"  # type: ignore[operator]
        base, now = (
            f"{value:.4f}" if value is not None else "-" if row.verdict == absent else "null"
            for value, absent in ((row.base, "new"), (row.now, "GONE"))
        )
        allowed = f"{'+' if row.rule.direction == 'lower' else '-'}{row.rule.tolerance:.4f}"
        lines.append((row.name, base, now, change, allowed, row.verdict))
    return lines


def render_markdown(rows: Sequence[Row]) -> str:
    """What is not `ok` as a Markdown table, the rest behind a fold: for a pull request."""
    header, *lines = cells(rows)
    worth, fine = ([line for line in lines if (line[-1] == "ok") is wanted] for wanted in (False, True))
    parts = [markdown_table(header, worth)] if worth else ["No gated metric got worse than allowed."]
    if fine:
        table = markdown_table(header, fine)
        parts.append(f"<details><summary>{len(fine)} within tolerance</summary>\n\n{table}\n\n</details>")
    return "\n\n".join(parts)


def gate(arguments: argparse.Namespace) -> int:
    """Compare, print, and return the exit code.

    Raises:
        CannotCompareError, ParamsError: where there is nothing to print a table of.
    """
    rules = load_params(arguments.params).regression
    root: Path = arguments.workspace
    if not rules:
        raise CannotCompareError(f"{arguments.params}: regression must hold at least one rule, got none")
    now_files = read_folder(root)
    if arguments.base_dir is not None:
        base_files, label = read_folder(arguments.base_dir), str(arguments.base_dir)
    else:
        base_files, label = read_revision(arguments.base, root), arguments.base
    # Rules are held against all files, so that a look at one file does not call the others' rules wrong.
    names = [name for side in (base_files, now_files) for metrics in side.values() for name in metrics]
    unmatched = [glob for glob in rules if not any(fnmatchcase(name, glob) for name in names)]
    selected = _select(arguments.metrics, root, base_files, now_files)
    base, now = (
        {name: value for file in selected for name, value in files.get(file, {}).items()}
        for files in (base_files, now_files)
    )
    rows = compare(base, now, rules)

    print(f"{'### Regression gate' if arguments.markdown else ''}\n\nbase: {label}   now: {root}\n".lstrip())
    header, *lines = cells(rows)
    print(render_markdown(rows) if arguments.markdown else aligned(header, lines))
    counts = {verdict: sum(row.verdict == verdict for row in rows) for verdict in _ORDER}
    summary = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count) or "none"
    gated = {row.name for row in rows}
    gone = sorted(set(base) - set(now) - gated)
    print(f"\n{len(rows)} gated metrics: {summary}.")
    print(f"{len((set(base) | set(now)) - gated)} figures have no rule and are not gated", end="")
    print(f"; {len(gone)} of them are gone, for instance {gone[0]}." if gone else ".")

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
        description="Compare figures with those of a git revision, one by one.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    base = parser.add_mutually_exclusive_group()
    base.add_argument(
        "--base", metavar="REV", default="HEAD", help="git revision to compare with (default: HEAD)"
    )
    base.add_argument(
        "--base-dir", metavar="DIR", type=Path, help="compare with this folder's metrics/ and reports/"
    )
    root = "folder that holds the metrics/ and reports/ to judge (default: this one)"
    parser.add_argument("--workspace", metavar="DIR", type=Path, default=Path(), help=root)
    only = "only these files or folders of the workspace, for instance metrics/evaluation.json (default: all)"
    parser.add_argument("--metrics", metavar="PATH", type=Path, nargs="+", default=[], help=only)
    parser.add_argument(
        "--params", metavar="FILE", type=Path, default=Path("params.yaml"), help="has the rules"
    )
    parser.add_argument("--markdown", action="store_true", help="print Markdown, for a pull request")
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
