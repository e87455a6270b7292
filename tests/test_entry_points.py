"""How OpenMP's threads wait is set before PyTorch is loaded, whatever is started."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bundles import celeba_photographs
from PIL import Image

from fakeface.bundle.bundle import RELEASED, prepare
from fakeface.data.faces import cached_face_model
from fakeface.data.preprocess import decode

ROOT = Path(__file__).parents[1]
STARTED = [*ROOT.glob("pipeline/*.py"), ROOT / "benchmarks" / "suite.py", ROOT / "benchmarks" / "sampling.py"]
# Whatever loads PyTorch.
LOADERS = {"torch", "torchvision", "lightning_fabric", "torch_fidelity", "timm"}


@pytest.mark.parametrize("script", STARTED, ids=lambda path: path.name)
def test_a_script_imports_the_package_before_pytorch(script: Path) -> None:
    imported: list[str] = []
    for node in ast.parse(script.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            imported += [alias.name.split(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module != "__future__":
            imported.append(str(node.module).split(".")[0])
    ours = imported.index("fakeface") if "fakeface" in imported else len(imported)
    # Modules beside a benchmark may load PyTorch, too.
    beside = {path.stem for path in script.parent.glob("*.py")}
    assert not (LOADERS | beside) & set(imported[:ours])


@pytest.mark.parametrize(("before", "after"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_wait_unless_the_user_says_otherwise(before: str | None, after: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if before is not None:
        environment["OMP_WAIT_POLICY"] = before
    script = "import sys, fakeface, os; print('torch' in sys.modules, os.environ['OMP_WAIT_POLICY'])"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", after]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty photographs whose faces are large enough for every released detector."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, content in enumerate(celeba_photographs(range(1, 21))):
        picture = decode(content).resize((534, 654), Image.Resampling.BICUBIC)
        picture.save(folder / f"{number}.jpg", quality=95)
    cached_face_model()
    return folder


def imported_by(*arguments: object) -> set[str]:
    """Packages in memory when a command of fakeface is done."""
    script = (
        "import sys\nfrom fakeface.apps.cli import main\ncode = main(sys.argv[1:])\n"
        "print(*sys.modules, file=sys.stderr)\nsys.exit(code)"
    )
    command = [sys.executable, "-c", script, *map(str, arguments), "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # Code 1: a picture was left out.
    assert done.returncode in (0, 1), done.stderr
    assert (
        " judged" in done.stdout or "Second column" in done.stdout or "photographs called fake" in done.stdout
    )
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("name", RELEASED)
def test_pictures_are_judged_without_pytorch(name: str, pictures: Path, tmp_path: Path) -> None:
    prepare(name, "cpu")
    heavy = {"torch", "torchvision", "lightning_fabric"}
    predict = imported_by("predict", "--detector", name, pictures / "0.jpg")
    assert "onnxruntime" in predict
    assert not (heavy | {"pandas", "sklearn", "scipy.optimize", "matplotlib", "dvclive", "onnx"}) & predict
    score = imported_by(
        "score", "--detector", name, pictures, "--out", tmp_path / "out.parquet", "--workers", 1
    )
    assert not heavy & score
    assert not heavy & imported_by("benchmark", "--detector", name, "--no-align", "--real", pictures)
