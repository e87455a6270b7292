"""Hits and misses that are shown, figures on the square, and the picture's colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fakeface.evaluation.explain import examples, kinds, saliency_metrics, write_saliency

from .conftest import MakeJudged


def test_examples_are_the_surest_and_of_different_gans(make_judged: MakeJudged) -> None:
    sources = ["real"] * 4 + ["a"] * 3 + ["b"] * 3 + ["c"]
    scores = [0.1, 0.9, 0.2, 0.8, 0.99, 0.98, 0.03, 0.7, 0.02, 0.01, 0.6]
    judged = make_judged(sources, scores)
    members = kinds(judged, ["c"])
    assert {kind: rows.sum() for kind, rows in members.items()} == {"photographs": 4, "seen": 6, "unseen": 1}
    assert examples(judged, members["photographs"], True).tolist() == [0, 2]
    assert examples(judged, members["photographs"], False).tolist() == [1, 3]
    assert examples(judged, members["seen"], True).tolist() == [4, 7]
    assert examples(judged, members["seen"], False).tolist() == [9, 6]
    assert examples(judged, members["unseen"], True).tolist() == [10]
    assert examples(judged, members["unseen"], False).tolist() == []


def test_a_single_gan_shows_two_of_its_own(make_judged: MakeJudged) -> None:
    judged = make_judged(["real", "a", "a", "a"], [0.1, 0.7, 0.9, 0.8])
    assert examples(judged, kinds(judged, [])["seen"], True).tolist() == [2, 3]


def test_shares_of_hits_and_misses(make_judged: MakeJudged) -> None:
    judged = make_judged(["real", "real", "a", "a", "a"], [0.1, 0.9, 0.9, 0.9, 0.8])
    heatmaps = np.zeros((5, 8, 8), dtype=np.float32)
    heatmaps[0, 4, 4] = 2
    heatmaps[1, 0, 0] = 1
    heatmaps[2, 4, 4] = heatmaps[3, 0, 0] = 5
    metrics = saliency_metrics(judged, heatmaps, ["b"])
    assert metrics["even"] == pytest.approx(0.36)
    assert metrics["photographs"] == {"hits": 1.0, "n_hits": 1, "misses": 0.0, "n_misses": 1}
    # The third fake's heatmap is empty: it has no share.
    assert metrics["seen"] == {
        "hits": 0.5, "n_hits": 3, "misses": None, "n_misses": 0, "undefined": {"misses": "no misses"},
    }  # fmt: skip
    assert metrics["unseen"]["undefined"] == {"hits": "no hits", "misses": "no misses"}
    dark = saliency_metrics(judged, np.zeros((5, 8, 8)), ["b"])
    assert dark["photographs"]["undefined"]["hits"] == "no evidence on any image"


def test_evidence_for_fake_is_red_and_for_photograph_blue(make_judged: MakeJudged, tmp_path: Path) -> None:
    judged = make_judged(["real", "a"], [0.1, 0.1])
    judged.images[:] = 128
    heatmaps = np.ones((2, 8, 8), dtype=np.float32)

    def coloured(name: str, scores: list[float]) -> tuple[int, int]:
        verdicts = make_judged(["real", "a"], scores)
        verdicts.images[:] = 128
        write_saliency(tmp_path / name, verdicts, heatmaps, [])
        pixels = np.asarray(Image.open(tmp_path / name).convert("RGB")).astype(int)
        return (
            int((pixels[..., 0] - pixels[..., 2] > 60).sum()),
            int((pixels[..., 2] - pixels[..., 0] > 60).sum()),
        )

    red, blue = coloured("real.png", [0.1, 0.2])
    assert red == 0 < blue
    red, blue = coloured("fake.png", [0.9, 0.8])
    assert blue == 0 < red
    write_saliency(tmp_path / "again.png", judged, np.zeros((2, 8, 8)), [])
    write_saliency(tmp_path / "twice.png", judged, np.zeros((2, 8, 8)), [])
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "twice.png").read_bytes()
