"""Which curves and pictures the evaluation writes, from random scores of small sets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fakeface.detector.batches import load_split
from fakeface.evaluation.evaluate import PROTOCOLS, Predictions, evaluation_metrics, selections
from fakeface.params import Params
from fakeface.reporting.plots import write_pictures


def names(path: Path) -> list[str]:
    return list(dict.fromkeys(row["curve"] for row in json.loads(path.read_text())))


@pytest.mark.parametrize("held_out", [["sngan"], []])
def test_curves_of_the_evaluation(
    image_sets: tuple[Path, Path], tiny_params: Params, tmp_path: Path, held_out: list[str]
) -> None:
    gans = ["dcgan", "wgan", "sngan"]
    params = tiny_params.model_copy(
        update={"gans": {gan: tiny_params.gans[gan] for gan in gans}, "held_out": held_out}
    )
    test = load_split(*image_sets, gans, "test")
    rng = np.random.default_rng(0)
    predictions = {
        name: Predictions(rng.random(len(test)), rng.normal(size=(len(test), 8))) for name in PROTOCOLS
    }
    write_pictures(tmp_path / "plots", params, 0.6, test, predictions, lower_threshold=0.4)
    groups = ["all seen", "all unseen"] if held_out else ["all seen"]
    everything = [*gans, *(f"all ({name})" for name in PROTOCOLS)]
    assert names(tmp_path / "plots/roc.json") == everything
    assert names(tmp_path / "plots/calibration.json") == everything + groups
    assert names(tmp_path / "plots/coverage.json") == groups
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {
        "calibration.json", "confusion.csv", "coverage.json", "embedding.png", "precision_recall.json",
        "roc.json", "scores.png",
    }  # fmt: skip

    metrics = evaluation_metrics(params, 0.6, test, predictions, lower_threshold=0.4)
    scores = predictions["laundered"].scores
    for key, rows in selections(params, test).items():
        between = (scores[rows] >= 0.4) & (scores[rows] <= 0.6)
        block = metrics["laundered"][key]
        assert block["unsure_real"] == pytest.approx(between[test.labels[rows] == 0].mean())
        if key == "unseen" and not held_out:
            assert block["undefined"]["accuracy_decided"] == "no fake images"
            assert block["undefined"]["auroc"] == "no fake images"
        else:
            assert block["unsure_fake"] == pytest.approx(between[test.labels[rows] == 1].mean())
            assert len(block["unsure_ci95"]) == 2
    without = evaluation_metrics(params, 0.6, test, predictions)
    assert without["lower_threshold"] == 0.6
    assert without["laundered"]["overall"]["unsure"] == 0
