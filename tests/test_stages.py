"""dvc.yaml lists what the scripts import, and every stage declares the params that its code reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from imports import source_files

ROOT = Path(__file__).parents[1]


def stages() -> dict[str, Any]:
    content = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    return {name: stage.get("do", stage) for name, stage in content["stages"].items()}


@pytest.mark.parametrize("name", list(stages()))
def test_a_stage_depends_on_exactly_the_source_files_that_it_imports(name: str) -> None:
    stage = stages()[name]
    (script,) = [word for word in stage["cmd"].split() if word.endswith(".py")]
    assert script in stage["deps"]
    listed = {dep for dep in stage["deps"] if dep.startswith("src/")}
    assert listed == source_files(ROOT / script)


def test_margin_reaches_only_stages_that_train_a_cffn_or_record_it() -> None:
    users = [name for name, stage in stages().items() if "margin" in stage.get("params", [])]
    folds = ["leave_one_out", "leave_one_upsampler_out", "baselines", "baselines_upsampler"]
    assert users == ["train_cffn", "bundle", "nested_validation", *folds]


def test_every_script_of_the_pipeline_says_how_to_run_it() -> None:
    for script in sorted((ROOT / "pipeline").glob("*.py")):
        docstring = script.read_text(encoding="utf-8").split('"""')[1]
        assert f"pipeline/{script.name}" in docstring, script.name
