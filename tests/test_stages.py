"""dvc.yaml: code deps are current, and every script says how it is run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import stage_deps  # noqa: E402
import stage_map  # noqa: E402

SOURCE = {
    "base/files.py": "def write(): pass\n",
    "data/make.py": "from fakeface.base.files import write\ndef make(): write()\n",
    "data/other.py": "def other(): pass\n",
    "detector/__init__.py": '"""Doc."""\n',
    "detector/train.py": (
        "from fakeface.data.make import make\nfrom fakeface.data.other import other\n"
        "def train(): make()\ndef measure(): other()\n"
    ),
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A source tree with one stage, in which the tool works instead of in this repository."""
    for name, text in SOURCE.items():
        (tmp_path / "src" / "fakeface" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "src" / "fakeface" / name).write_text(text)
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "train.py").write_text("from fakeface.detector.train import train\ntrain()\n")
    monkeypatch.setattr(stage_deps, "ROOT", tmp_path)
    monkeypatch.setattr(stage_deps, "SRC", tmp_path / "src")
    stage_deps._module.cache_clear()
    yield tmp_path
    stage_deps._module.cache_clear()


@pytest.mark.parametrize("name", stage_deps.PIPELINES)
def test_code_deps_are_what_the_scripts_reach(name: str) -> None:
    path = ROOT / name
    text = path.read_text(encoding="utf-8")
    assert stage_deps.updated(text, path.parent) == text, "run: python tools/stage_deps.py"


def test_only_what_is_used_counts_and_infrastructure_never(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = project / "pipeline" / "train.py"
    assert stage_deps.code_deps(script) == ["src/fakeface/data/make.py", "src/fakeface/detector"]
    (project / "src/fakeface/detector/more.py").write_text("def more(): pass\n")
    assert stage_deps.code_deps(script) == ["src/fakeface/data/make.py", "src/fakeface/detector"]
    monkeypatch.setattr(stage_deps, "AS_ONE", ())
    assert stage_deps.code_deps(script) == ["src/fakeface/data/make.py", "src/fakeface/detector/train.py"]


def test_lists_in_either_style_are_rewritten_and_comments_stay(project: Path) -> None:
    text = """\
stages:
  train:   # the one stage
    cmd: python pipeline/train.py
    deps:
      # made elsewhere
      - data/${key}
      - src/fakeface/gone.py
      - pipeline/train.py
    params:
      - seed
      - gans
    outs:
      - models/a
"""
    expected = """\
stages:
  train:   # the one stage
    cmd: python pipeline/train.py
    # made elsewhere
    deps: ["data/${key}", pipeline/train.py, src/fakeface/data/make.py, src/fakeface/detector]
    params: [seed, gans]
    outs:
      - models/a
"""
    assert stage_deps.updated(text, project) == expected
    assert stage_deps.updated(expected, project) == expected
    assert yaml.safe_load(expected)["stages"]["train"]["params"] == ["seed", "gans"]


def test_every_script_of_the_pipeline_says_how_to_run_it() -> None:
    for script in sorted((ROOT / "pipeline").glob("*.py")):
        docstring = script.read_text(encoding="utf-8").split('"""')[1]
        assert f"pipeline/{script.name}" in docstring, script.name


def test_the_maps_of_stages_in_the_documentation_are_current() -> None:
    dvc_yaml = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        text = path.read_text(encoding="utf-8")
        assert stage_map.updated(text, dvc_yaml) == text, f"{path}: run: python tools/stage_map.py"


def test_the_map_says_what_a_stage_follows() -> None:
    stages = {
        "make": {"foreach": "${gans}", "do": {"desc": "Fakes", "deps": ["a"], "outs": ["data/fake/${key}"]}},
        "use": {
            "desc": "Uses",
            "deps": ["data/fake", "b.py"],
            "metrics": [{"metrics/use.json": {"cache": False}}],
        },
    }
    text = stage_map.updated(
        f"Above\n{stage_map.BEGIN}\nold\n{stage_map.END}\nbelow", yaml.safe_dump({"stages": stages})
    )
    assert text.splitlines()[0] == "Above"
    assert "| `make@…` | Fakes |  |" in text
    assert "| `use` | Uses | `make` |" in text
    assert "old" not in text


@pytest.mark.parametrize("name", stage_deps.PIPELINES)
def test_the_lock_file_holds_stages_that_exist(name: str) -> None:
    """DVC keeps what a removed stage left there, and parses it at every call."""
    lock = (ROOT / name).with_name("dvc.lock")
    stages = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))["stages"]
    locked = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"]
    assert {entry.split("@")[0] for entry in locked} <= set(stages)
