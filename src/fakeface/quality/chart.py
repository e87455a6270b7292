"""The quality of all fake sets as rows for a bar chart of DVC's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fakeface.atomic import write_json
from fakeface.errors import MissingFileError


def write_chart(path: str | Path, metrics: Path, gans: Sequence[str]) -> list[dict[str, Any]]:
    """Write ``[{gan, kid}, ...]``, the best first.

    Args:
        path: of the JSON file.
        metrics: folder with ``<gan>.json`` of the quality stages.
        gans: names in params.yaml; files of other GANs are left aside.

    Returns:
        The rows.

    Raises:
        MissingFileError: if a GAN was not measured.
    """
    rows = []
    for gan in gans:
        file = metrics / f"{gan}.json"
        if not file.is_file():
            raise MissingFileError(f"{file}: no such file, run the stage quality@{gan} first")
        rows.append({"gan": gan, "kid": json.loads(file.read_text(encoding="utf-8"))["kid"]})
    rows.sort(key=lambda row: row["kid"])
    write_json(path, rows)
    return rows
