"""How OpenMP's threads wait is set before PyTorch is loaded, whatever is started."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

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
