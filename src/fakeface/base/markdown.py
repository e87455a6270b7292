"""Pieces of Markdown tables: values from JSON files, numbers, rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

MISSING = "–"


class TableError(Exception):
    """A table cannot be made; the message says why in one line."""


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        TableError: if there is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TableError(f"{path}: no such file of figures") from None
    except ValueError as error:
        raise TableError(f"{path}: not readable as JSON: {error}") from None
    if not isinstance(content, dict):
        raise TableError(f"{path}: figures must be a JSON object, got {type(content).__name__}")
    return content


def get(content: dict[str, Any], origin: Path, *keys: str) -> Any:
    """``content[key][...]``.

    Raises:
        TableError: naming ``origin`` and the path of the key that is missing.
    """
    value: Any = content
    for index, key in enumerate(keys):
        if not isinstance(value, dict) or key not in value:
            raise TableError(f"{origin}: key {'.'.join(keys[: index + 1])} is missing")
        value = value[key]
    return value


def number(value: float | None, interval: Sequence[float] | None = None) -> str:
    """Three decimals, with the interval in brackets if there is one."""
    if value is None:
        return MISSING
    return f"{value:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table whose first column is aligned to the left and the others to the right."""
    alignment = [":--", *["--:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [header, alignment, *rows])
