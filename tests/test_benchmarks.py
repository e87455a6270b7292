"""The benchmarks run, and what they compute from times is right; what they measure is no test's business."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from bundles import celeba_photographs
from detector.conftest import write_set
from PIL import Image

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def timing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import timing

    return timing


def test_measurements_take_turns(timing) -> None:
    calls: list[str] = []
    speeds = iter([1.0, 10.0, 3.0, 20.0, 2.0, 60.0])

    def measure(name: str) -> float:
        calls.append(name)
        return next(speeds)

    figures = timing.in_turns({"a": lambda: measure("a"), "b": lambda: measure("b")}, repeats=3)
    assert calls == ["a", "b"] * 3
    assert figures["a"] == {"median": 2.0, "lowest": 1.0, "highest": 3.0}
    assert figures["b"] == {"median": 20.0, "lowest": 10.0, "highest": 60.0}


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_slope_of_a_power(timing, power: float) -> None:
    sizes = [1000, 2000, 5000, 10_000]
    assert timing.slope(sizes, [3 * size**power for size in sizes]) == pytest.approx(power)


@pytest.mark.slow
def test_the_suite_writes_one_part_and_keeps_the_others(tmp_path: Path) -> None:
    params = yaml.safe_load((BENCHMARKS.parent / "params.yaml").read_text())
    params["cffn"] |= {"variant": "paper", "crop": None, "batch_size": 16}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    out = tmp_path / "results.json"
    out.write_text(json.dumps({"start": "as before"}))
    command = [sys.executable, str(BENCHMARKS / "suite.py"), "--only", "training", "--seconds", "0.01"]
    command += ["--repeats", "1", "--params", str(tmp_path / "params.yaml"), "--out", str(out)]
    done = subprocess.run(command, cwd=BENCHMARKS.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = json.loads(out.read_text())
    assert results["start"] == "as before"
    section = results["training"]["sections"]["Training, paper"]
    assert len(section["rows"]) == 4
    assert all(figures["median"] > 0 for figures in section["rows"].values())


def test_large_pictures_are_judged_in_every_way(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for kind in ("real", "fake"):
        (tmp_path / kind).mkdir()
        for number in range(2):
            pixels = rng.integers(0, 256, (200, 200, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / kind / f"{number}.png")
    command = [sys.executable, str(BENCHMARKS / "large_pictures.py"), "--detector", "celeba"]
    command += ["--real", str(tmp_path / "real"), "--fake", str(tmp_path / "fake")]
    done = subprocess.run(command, cwd=BENCHMARKS.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "2 photographs, 2 fakes" in done.stdout
    assert done.stdout.count("AUROC") == 5


def test_swapped_faces_are_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from swaps import inner_face, swapped

    rng = np.random.default_rng(0)
    grey, dark = (rng.integers(low, low + 40, (64, 64, 3), dtype=np.uint8) for low in (100, 20))
    result = swapped(grey, dark)
    share = inner_face(64)[..., 0]
    assert 0.1 < share.mean() < 0.3
    np.testing.assert_array_equal(result[share < 1e-3], grey[share < 1e-3])
    # Colours are matched, so only the pattern is the other's.
    inside = share > 1 - 1e-3
    shift = result[inside].astype(float) - dark[inside]
    assert inside.sum() > 100
    np.testing.assert_allclose(shift, np.broadcast_to(shift.mean(axis=0), shift.shape), atol=1.5)
    np.testing.assert_array_equal(swapped(grey, grey), grey)

    write_set(tmp_path / "test", np.stack([grey, dark]), "folder", "test")
    command = [sys.executable, str(BENCHMARKS / "swaps.py"), "--detector", "celeba"]
    command += ["--images", str(tmp_path / "test")]
    done = subprocess.run(command, cwd=BENCHMARKS.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "2 photographs, and as many with the next one's inner face" in done.stdout
    assert done.stdout.count("AUROC") == 3


def test_cut_off_faces_are_counted(tmp_path: Path) -> None:
    for number, content in enumerate(celeba_photographs((1, 2))):
        (tmp_path / f"{number}.jpg").write_bytes(content)
    command = [
        sys.executable,
        str(BENCHMARKS / "cut_off.py"),
        "--detector",
        "celeba",
        "--fake",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=BENCHMARKS.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    whole, *cut = done.stdout.splitlines()
    assert whole.startswith("0% cut off: 2 faces, ")
    assert [line.split("%")[0] for line in cut] == ["10", "20", "33"]
    # What is cut off is never called real.
    assert cut[1].endswith("real 0.000")
