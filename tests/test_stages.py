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
    assert users == ["train_cffn", "bundle", "nested_folds", "leave_one_out", "baselines"]


@pytest.mark.parametrize("name", ["train_cffn", "train_cn", "nested_folds", "leave_one_out", "baselines"])
def test_measuring_is_apart_from_training(name: str) -> None:
    """Neither what is measured nor the code that measures makes a training stale."""
    stage = stages()[name]
    assert {"evaluate", "evaluate.bootstrap", "evaluate.embedding_points"}.isdisjoint(stage["params"])
    assert {"leave_one_out", "leave_one_out.folds", "robustness", "leaks"}.isdisjoint(stage["params"])
    measuring = {f"src/fakeface/evaluation/{module}.py" for module in ("scores", "compare", "abstention")}
    assert measuring.isdisjoint(source_files(ROOT / "pipeline" / f"{name}.py"))


def test_every_script_of_the_pipeline_says_how_to_run_it() -> None:
    for script in sorted((ROOT / "pipeline").glob("*.py")):
        docstring = script.read_text(encoding="utf-8").split('"""')[1]
        assert f"pipeline/{script.name}" in docstring, script.name
