"""Learning curves: one row an epoch, numbered from one, and no change to dvc.yaml."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from lightning_fabric import Fabric

from fakeface.base.runtime import live_curves


def test_one_row_an_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    for _ in range(2):  # a rerun starts the curve anew
        with live_curves("plots/cffn", Fabric(accelerator="cpu", devices=1)) as log:
            assert log
            for epoch in (1, 2, 3):
                log(epoch, {"train_loss": 1 / epoch, "val_loss": 2 / epoch})
    with (tmp_path / "plots/cffn/plots/metrics/val_loss.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [(row["step"], float(row["val_loss"])) for row in rows] == [("1", 2.0), ("2", 1.0), ("3", 2 / 3)]
    assert (tmp_path / "dvc.yaml").read_text() == "stages: {}\n"
