"""Markdown tables about the generators: their cards, and whether they memorise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fakeface.base.markdown import TableError, get, markdown_table, number, read_json


def cards_table(folder: Path) -> str:
    """The generators that were trained here, from their cards ``<gan>.json``, KID rising.

    Args:
        folder: of weights and cards; cards of other people's generators are left out.

    Raises:
        TableError: if there is no card, or one lacks a key.
    """
    cards = {path: read_json(path) for path in sorted(folder.glob("*.json"))}
    own = [(path, card) for path, card in cards.items() if "recipe" in card]
    if not own:
        raise TableError(f"{folder}: no cards of trained generators")
    lines = []
    for path, card in sorted(own, key=lambda item: get(item[1], item[0], "quality", "kid")):
        recipe, quality = get(card, path, "recipe"), get(card, path, "quality")
        curve = ", ".join(f"{kid:.3f} at {shown // 1000}k" for shown, kid in get(card, path, "curve"))
        lines.append(
            [
                str(get(card, path, "gan")),
                str(get(recipe, path, "generator", "architecture")),
                str(get(recipe, path, "upsampler")),
                str(get(recipe, path, "loss")).replace("_", " "),
                f"{get(card, path, 'parameters') / 1e6:.2f} M",
                f"{get(card, path, 'images_shown') // 1000:,}k",
                f"{get(card, path, 'seconds') / 60:.0f} min",
                *(number(get(quality, path, key)) for key in ("kid", "precision", "recall")),
                curve,
            ]
        )
    header = ["GAN", "architecture", "upsampler", "loss", "parameters", "images shown", "time"]
    header += ["KID ↓", "precision ↑", "recall ↑", "KID by images shown"]
    return markdown_table(header, lines)


def memorisation_table(folder: Path) -> str:
    """Distances to the nearest training photograph, from the files of ``fakeface.zoo.memorisation``.

    Raises:
        TableError: if there is no file, or one lacks a key.
    """
    lines = []
    for path in sorted(folder.glob("*.json")):
        content = read_json(path)
        samples, held_out = (get(content, path, key) for key in ("samples", "held_out"))
        lines.append(
            [str(get(content, path, "gan"))]
            + [number(get(samples, path, key)) for key in ("min", "median")]
            + [number(get(held_out, path, key)) for key in ("min", "median")]
            + [number(get(content, path, "share_of_pairs_sample_closer"))]
        )
    if not lines:
        raise TableError(f"{folder}: no files")
    header = ["GAN", "samples: min", "samples: median", "held-out photographs: min"]
    header += ["held-out photographs: median", "P(sample closer)"]
    return markdown_table(header, lines)


# The results of benchmarks/suite.py as Markdown.


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
