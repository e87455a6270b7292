"""Frozen layers' images a second, alone and beside a busy process, with threads that wait and that spin:

python benchmarks/frozen_layers.py
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from timing import Section, in_turns

# One measurement in a process of its own: how OpenMP's threads wait is decided when PyTorch is loaded.
WORK = """
import sys
import numpy as np
from timing import rate
from fakeface.detector.activations import FrozenLevels
from fakeface.models.cffn import to_input
from fakeface.models.cffn import PretrainedCFFN
from fakeface.params import load_params
from fakeface.base.runtime import make_fabric
import torch

fabric = make_fabric(load_params("params.yaml").model_copy(update={"device": "cpu", "precision": "fp32"}))
network = PretrainedCFFN().eval()
frozen = FrozenLevels(network, fabric)
pixels = np.random.default_rng(0).integers(0, 256, (96, 64, 64, 3), dtype=np.uint8)
works = {
    "runtime": lambda: len(frozen(pixels)),
    "torch": lambda: len(network.blocks_and_maps(to_input(pixels, fabric.device))[0][0]),
}
with torch.no_grad():
    print(rate(works[sys.argv[1]], float(sys.argv[2])))
"""
BUSY = "import hashlib\nwhile True: hashlib.sha256(bytes(2**20)).digest()"


def one(work: str, policy: str, seconds: float, busy: bool) -> float:
    """Images a second in a new process."""
    other = subprocess.Popen([sys.executable, "-c", BUSY]) if busy else None
    try:
        done = subprocess.run(
            [sys.executable, "-c", WORK, work, str(seconds)],
            env=os.environ | {"OMP_WAIT_POLICY": policy, "PYTHONPATH": _path()},
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        if other is not None:
            other.kill()
            other.wait()
    return float(done.stdout)


def _path() -> str:
    here = str(Path(__file__).resolve().parent)
    return os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])


def measure(seconds: float, repeats: int) -> dict[str, Section]:
    """Images of 64 pixels a second through the layers that never change."""
    measures: dict[str, Callable[[], float]] = {}
    for busy in (False, True):
        for name, work in (("ONNX Runtime", "runtime"), ("PyTorch", "torch")):
            for policy in ("PASSIVE", "ACTIVE"):
                row = f"{name}, threads {'wait' if policy == 'PASSIVE' else 'spin'}"
                row += ", beside a busy process" if busy else ""
                measures[row] = lambda work=work, policy=policy, busy=busy: one(work, policy, seconds, busy)
    rows = in_turns(measures, repeats)
    beside = {name: row["median"] for name, row in rows.items() if "beside" in name}
    ratios = {
        f"{name}, waiting, times spinning, beside a busy process": beside[
            f"{name}, threads wait, beside a busy process"
        ]
        / beside[f"{name}, threads spin, beside a busy process"]
        for name in ("ONNX Runtime", "PyTorch")
    }
    note = (
        "Images of 64 pixels. The package sets `OMP_WAIT_POLICY=PASSIVE` where it is not set: threads wait."
    )
    return {"Frozen layers": Section("images/s", rows, ratios, note)}


if __name__ == "__main__":
    for title, section in measure(3, 3).items():
        print(title)
        for name, row in section.rows.items():
            print(f"{name:55} {row['median']:6.0f} {row['lowest']:6.0f} to {row['highest']:.0f}")
