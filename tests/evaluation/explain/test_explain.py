"""The whole stage on small sets: every file, the same bytes twice, figures that agree with each other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fakeface.base.files import write_json
from fakeface.data.image_sets import Folders
from fakeface.detector.detector import Detector
from fakeface.evaluation.explain import explain, write_embedding_splits
from fakeface.params import Params

from .conftest import MakeJudged

FILES = {
    "saliency.png",
    "worst_errors.png",
    "worst_errors.csv",
    "residual_spectra.png",
    "spectra.json",
    "embedding_splits.png",
}


def test_the_stage_twice(
    tiny_params: Params, image_sets: tuple[Path, Path], untrained: Detector, tmp_path: Path
) -> None:
    gans = {name: tiny_params.gans[name] for name in ("dcgan", "sngan", "wgan")}
    tiny_params = tiny_params.model_copy(update={"gans": gans, "held_out": ["sngan"]})
    runs = []
    for name in ("first", "second"):
        metrics = explain(tiny_params, untrained, Folders(image_sets[0].parent), tmp_path / name)
        write_json(tmp_path / name / "metrics.json", metrics)
        runs.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert set(runs[0]) == FILES | {"metrics.json"}
    assert runs[0] == runs[1]
    assert metrics["n_real"] == 10
    assert metrics["n_fake"] == 10 * len(tiny_params.gans)
    assert list(metrics["errors"]) == ["real", *tiny_params.gans]
    misses = sum(metrics["central_share"][kind]["n_misses"] for kind in ("photographs", "seen", "unseen"))
    assert misses == sum(block["errors"] for block in metrics["errors"].values())
    assert all(block["share"] == block["errors"] / block["n"] for block in metrics["errors"].values())
    table = pd.read_csv(tmp_path / "first" / "worst_errors.csv")
    assert len(table[table["error"] == "false positive"]) == min(6, metrics["errors"]["real"]["errors"])
    rows = json.loads((tmp_path / "first" / "spectra.json").read_text())
    assert len(rows) == 32 * (2 + len(tiny_params.gans))
    # 24 photographs train: two sets of twelve.
    assert metrics["spectra"]["n_images"] == 12


def test_the_embedding_is_seen_from_the_first_split(make_judged: MakeJudged, tmp_path: Path) -> None:
    train = make_judged(["real", "a", "a", "real"], [0.1, 0.9, 0.8, 0.2])
    test = make_judged(["real", "a", "b"], [0.1, 0.9, 0.8], seed=1)
    for name in ("a.png", "b.png"):
        write_embedding_splits(tmp_path / name, {"train": train, "test": test}, ["a", "b"], ["b"])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    np.add(test.embeddings, 1.0, out=test.embeddings)
    write_embedding_splits(tmp_path / "moved.png", {"train": train, "test": test}, ["a", "b"], ["b"])
    assert (tmp_path / "moved.png").read_bytes() != (tmp_path / "a.png").read_bytes()
    with pytest.raises(ValueError, match="split train must have 3 or more images, got 2"):
        write_embedding_splits(tmp_path / "no.png", {"train": make_judged(["real", "a"], [0, 1])}, ["a"], [])
