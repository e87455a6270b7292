"""The rows behind the bar chart of quality."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fakeface.base.errors import MissingFileError
from fakeface.evaluation.figures import write_quality_chart


def test_the_best_comes_first_and_strangers_stay_out(tmp_path: Path) -> None:
    for gan, kid in (("a", 0.2), ("b", 0.1), ("old", 0.0)):
        (tmp_path / f"{gan}.json").write_text(json.dumps({"gan": gan, "kid": kid, "recall": 0}))
    rows = write_quality_chart(tmp_path / "chart.json", tmp_path, ["a", "b"])
    assert rows == [{"gan": "b", "kid": 0.1}, {"gan": "a", "kid": 0.2}]
    assert json.loads((tmp_path / "chart.json").read_text()) == rows


def test_a_gan_that_was_not_measured(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"c\.json: no such file, run the stage quality@c first"):
        write_quality_chart(tmp_path / "chart.json", tmp_path, ["c"])
