"""Tables of the generators' cards and of the memorisation check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY

from fakeface.base.markdown import TableError
from fakeface.reporting.generator_tables import cards_table, memorisation_table
from fakeface.reporting.tables import main


def card(gan: str, kid: float) -> dict[str, Any]:
    return {
        "gan": gan,
        "recipe": {
            "generator": {"architecture": "dcgan"},
            "upsampler": "transposed",
            "loss": "least_squares",
        },
        "parameters": 1_234_567,
        "images_shown": 250_048,
        "seconds": 601,
        "quality": {"kid": kid, "precision": 0.4, "recall": 0.0},
        "curve": [[100_000, 0.5], [250_048, kid]],
    }


def test_cards_by_kid_without_those_of_others(tmp_path: Path) -> None:
    for gan, kid in (("a", 0.3), ("b", 0.1)):
        (tmp_path / f"{gan}.json").write_text(json.dumps(card(gan, kid)))
    (tmp_path / "public.json").write_text('{"file": "x", "url": "y", "sha256_prefix": null}')
    lines = cards_table(tmp_path).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["b", "a"]
    assert (
        "| dcgan | transposed | least squares | 1.23 M | 250k | 10 min | 0.100 | 0.400 | 0.000 |" in lines[2]
    )
    assert "0.500 at 100k, 0.100 at 250k" in lines[2]


def test_bad_cards_are_named(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="no cards of trained generators"):
        cards_table(tmp_path)
    with pytest.raises(TableError, match="no files"):
        memorisation_table(tmp_path)
    broken = card("a", 0.1)
    del broken["curve"]
    (tmp_path / "a.json").write_text(json.dumps(broken))
    with pytest.raises(TableError, match=r"a\.json: key curve is missing"):
        cards_table(tmp_path)


def test_memorisation_rows(tmp_path: Path) -> None:
    content = {
        "gan": "a",
        "samples": {"min": 1.0, "median": 2.0},
        "held_out": {"min": 1.5, "median": 2.5},
        "share_of_pairs_sample_closer": 0.25,
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert memorisation_table(tmp_path).splitlines()[2] == "| a | 1.000 | 2.000 | 1.500 | 2.500 | 0.250 |"


def test_the_docs_are_those_of_the_committed_cards() -> None:
    assert main(["readme", str(REPOSITORY / "docs" / "generators.md"), "--check"]) == 0
