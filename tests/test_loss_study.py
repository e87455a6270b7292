"""The study's experiments are possible params, and its table quotes what DVC shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from conftest import make_params

from fakeface.loss_study import PREFIX, SETTING, STAGE, STUDY, LossStudyError, queue, rows_of, study_table

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", list(STUDY))
def test_every_experiment_is_a_valid_change_of_the_params(name: str) -> None:
    changes = dict(change.split("=", 1) for change in (*SETTING, *STUDY[name]))
    make_params(**{key: yaml.safe_load(value) for key, value in changes.items()})


def test_the_stage_or_those_before_it_read_what_the_study_changes() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    read = [*stages[STAGE]["params"], *stages["generate"]["do"]["params"]]
    for changes in (SETTING, *STUDY.values()):
        for change in changes:
            key = change.split("=")[0].split(".")[0]
            assert key in read, key


def test_rows_come_from_finished_experiments_of_the_study() -> None:
    def row(name: str, mean: object, prefix: str = "") -> dict[str, object]:
        figures = {
            f"{prefix}{key}{protocol}.auroc.{kind}": value
            for key in ("", "upsamplers.")
            for protocol in ("laundered", "mild", "clean")
            for kind, value in (("mean", mean), ("worst", 0.5), ("worst_fold", "wgan"))
        }
        return {"Experiment": name, **figures}

    rows = rows_of(
        [
            row("", 0.1),
            row("main", 0.2),
            row(f"{PREFIX}margin-1.0", 0.8, f"metrics/{STAGE}.json:"),
            row(f"{PREFIX}paper-margin-0.5", 0.7),
            row(f"{PREFIX}triplet-0.5", ""),
            row(f"{PREFIX}triplet-0.2", "!"),
            row("somebody-elses", 0.9),
        ]
    )
    assert list(rows) == ["margin-1.0", "paper-margin-0.5"]
    assert rows["margin-1.0"]["upsampler"] == rows["margin-1.0"]["gan"]
    assert rows["margin-1.0"]["gan"]["laundered"] == {"mean": 0.8, "worst": 0.5, "worst_fold": "wgan"}
    assert rows["margin-1.0"]["changes"] == ["margin=1.0"]


def test_the_table_has_the_best_first(tmp_path: Path) -> None:
    def figures(mean: float) -> dict[str, object]:
        block = {"mean": mean, "worst": mean - 0.1, "worst_fold": "wgan"}
        protocols = {"laundered": block, "mild": block, "clean": block}
        return {"changes": ["margin=1.0"], "gan": protocols, "upsampler": protocols}

    path = tmp_path / "study.json"
    path.write_text(json.dumps({"weak": figures(0.7), "good": figures(0.9)}))
    lines = study_table(path).splitlines()
    assert lines[2].startswith("| good | `margin=1.0` | 0.9000 | 0.9000 |")
    assert lines[2].endswith("| 0.8000 |")
    assert lines[3].startswith("| weak |")


def test_an_unknown_experiment_is_named() -> None:
    with pytest.raises(LossStudyError, match="no experiment margin-9, expected some of as-configured"):
        queue(["margin-9"])
