"""The results of benchmarks/suite.py as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fakeface.evaluation.markdown import get, markdown_table, read_json


def speed_tables(path: Path, part: str) -> str:
    """The tables of one part, each with the machine that it was measured on and ratios between its rows.

    Args:
        path: of benchmarks/results.json.
        part: name of a part in it.

    Raises:
        TableError: for a file or a key that is missing.
    """
    results = read_json(path)
    about = get(results, path, part, "about")
    tables = [_section(title, section) for title, section in get(results, path, part, "sections").items()]
    machine = (
        f"{about['name']}, {about['cores']} cores, {about['threads']} threads, torch {about['torch']}, "
        f"commit {about['commit']}."
    )
    return "\n\n".join([*tables, machine])


def _section(title: str, section: Mapping[str, Any]) -> str:
    unit, rows = section["unit"], section["rows"]
    columns = list(next(iter(rows.values())))
    if columns == ["median", "lowest", "highest"]:
        header = [title, f"{unit}, median", "lowest to highest"]
        lines = [
            [name, _figure(row["median"]), f"{_figure(row['lowest'])} to {_figure(row['highest'])}"]
            for name, row in rows.items()
        ]
    else:
        header = [f"{title}, {unit}", *columns]
        lines = [[name, *(_figure(row[column]) for column in columns)] for name, row in rows.items()]
    table = markdown_table(header, lines)
    ratios = [f"- {name}: **{_figure(value)}**" for name, value in section["ratios"].items()]
    return "\n\n".join(part for part in (table, "\n".join(ratios), section["note"]) if part)


def _figure(value: float) -> str:
    """Three digits, or all before the point."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
