"""metrics/ is one screen of headline numbers; whole blocks, and what made them, are in reports/."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import make_params

from fakeface.base.runtime import headline_number, write_figures

ROOT = Path(__file__).parents[1]
MOST_LEAVES = 170
FORBIDDEN = ("version", "seed", "device", "host", "seconds", "second", "time", "date", "sha256")
RESULTS = [ROOT, ROOT / "results" / "celeba-10k"]


def leaves(content: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(content, dict):
        for key, value in content.items():
            yield from leaves(value, f"{name}.{key}")
    else:
        yield name, content


def figures(root: Path) -> list[tuple[str, Any]]:
    return [
        (f"{path.relative_to(root)}{name}", value)
        for path in sorted((root / "metrics").rglob("*.json"))
        for name, value in leaves(json.loads(path.read_text(encoding="utf-8")))
    ]


@pytest.mark.parametrize("root", RESULTS, ids=lambda root: root.name)
def test_headline_numbers_fit_on_a_screen(root: Path) -> None:
    found = figures(root)
    assert 60 < len(found) <= MOST_LEAVES
    for name, value in found:
        assert value is None or isinstance(value, (bool, int, float)), name
        words = set(name.replace(".", "_").replace("/", "_").split("_"))
        assert words.isdisjoint(FORBIDDEN), name


@pytest.mark.parametrize("root", RESULTS, ids=lambda root: root.name)
def test_headlines_are_those_of_the_reports(root: Path) -> None:
    """The same run made both: what stands in metrics/ is a figure of the report, rounded."""
    names = [path.relative_to(root / "metrics") for path in (root / "metrics").rglob("*.json")]
    for name in names:
        report = json.loads((root / "reports" / name).read_text(encoding="utf-8"))
        assert {"fakeface_version", "torch_version", "seed", "device"} <= set(report), name
        known = {headline_number(value) for _, value in leaves(report) if isinstance(value, (int, float))}
        for key, value in leaves(json.loads((root / "metrics" / name).read_text(encoding="utf-8"))):
            assert value is None or value in known or key == ".passed", f"{name}{key}"


def test_every_stage_writes_what_git_keeps_of_it() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for name, stage in stages.items():
        stage = stage.get("do", stage)
        metrics = {path for out in stage.get("metrics", []) for path in out}
        reports = {
            path
            for out in stage.get("outs", [])
            if isinstance(out, dict)
            for path in out
            if "reports/" in path
        }
        assert {path.replace("metrics/", "reports/") for path in metrics} <= reports, name
        for out in [*stage.get("metrics", []), *stage.get("outs", [])]:
            if isinstance(out, dict):
                assert all(options == {"cache": False} for options in out.values()), name


def test_figures_are_written_apart(tmp_path: Path) -> None:
    params = make_params()
    write_figures("some/name", params, {"auroc": 0.123456789}, {"auroc": 0.123456789}, root=tmp_path)
    assert json.loads((tmp_path / "metrics/some/name.json").read_text()) == {"auroc": 0.1235}
    report = json.loads((tmp_path / "reports/some/name.json").read_text())
    assert report["auroc"] == 0.123456789
    assert report["seed"] == params.seed
    write_figures("alone", params, {"auroc": 0.5}, root=tmp_path)
    assert not (tmp_path / "metrics/alone.json").exists()


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.98765, 0.9877), (4.304307e-06, 4.3e-06), (62.294264, 62.2943), (3, 3), (None, None), (True, True)],
)
def test_headline_numbers_have_few_digits(value: Any, expected: Any) -> None:
    assert headline_number({"a": value}) == {"a": expected}
