"""The worst errors against a sort by pandas; the picture shows what there is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fakeface.evaluation.explain import worst_error_table, write_worst_errors

from .conftest import MakeJudged

SOURCES = ["real"] * 40 + ["a"] * 40 + ["b"] * 40 + ["c"] * 40


@pytest.mark.parametrize("seed", range(5))
def test_the_worst_are_the_worst(make_judged: MakeJudged, seed: int) -> None:
    scores = np.random.default_rng(seed).random(len(SOURCES))
    judged = make_judged(SOURCES, scores.tolist(), threshold=0.6)
    table = worst_error_table(judged, ["b"])
    everything = pd.DataFrame({"name": judged.names, "source": SOURCES, "score": scores})
    photographs = everything[(everything.source == "real") & (everything.score > 0.6)]
    fakes = everything[(everything.source != "real") & (everything.score <= 0.6)]
    high = photographs.sort_values("score", ascending=False).head(6)
    low = fakes.sort_values("score").groupby("source", sort=False).head(2).head(6)
    assert table["name"].tolist() == [*high["name"], *low["name"]]
    np.testing.assert_allclose(table["score"], [*high["score"], *low["score"]], atol=1e-6)
    assert table["error"].tolist() == ["false positive"] * 6 + ["false negative"] * 6
    assert table["rank"].tolist() == [1, 2, 3, 4, 5, 6] * 2
    assert (table["seen"] == table["source"].map({"real": "", "a": "yes", "b": "no", "c": "yes"})).all()
    assert table[6:]["source"].value_counts().max() == 2


def test_only_errors_are_listed(make_judged: MakeJudged, tmp_path: Path) -> None:
    judged = make_judged(["real", "real", "a"], [0.1, 0.7, 0.9])
    table = worst_error_table(judged, [])
    assert table[["name", "error"]].values.tolist() == [["real/000001", "false positive"]]
    assert list(worst_error_table(make_judged(["real"], [0.1]), []).columns) == list(table.columns)
    write_worst_errors(tmp_path / "a.png", judged, [])
    write_worst_errors(tmp_path / "b.png", judged, [])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_photographs_are_above_fakes_and_the_worst_on_the_left(
    make_judged: MakeJudged, tmp_path: Path
) -> None:
    judged = make_judged(["real", "real", "a", "b"], [0.8, 0.9, 0.1, 0.2])
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 0, 255]], dtype=np.uint8)
    judged.images[:] = colours[:, None, None]
    write_worst_errors(tmp_path / "a.png", judged, [])
    pixels = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"))
    red, green, blue, pink = (np.argwhere((pixels == colour).all(axis=2)).mean(axis=0) for colour in colours)
    assert max(red[0], green[0]) < min(blue[0], pink[0])
    assert green[1] < red[1]
    assert blue[1] < pink[1]
