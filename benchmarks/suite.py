"""All speeds of this project, beside what people would use instead:

python benchmarks/suite.py                                # two hours on two cores; nothing else may run
python benchmarks/suite.py --only training scoring        # some parts; the file keeps the others

Needs the extras `benchmarks` and `export`, and a detector (dvc repro bundle). It writes
benchmarks/results.json, from which docs/speed.md has its tables:
python -m fakeface.reporting.tables readme docs/speed.md
"""

from __future__ import annotations

import fakeface  # isort: skip - before PyTorch, whose threads it tells to wait

import argparse
import json
import os
import platform
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import frozen_layers
import inference
import preparing
import repro
import scoring_quality
import startup
import torch
import training
from timing import Section

from fakeface.base.files import write_json
from fakeface.base.runtime import make_fabric
from fakeface.params import load_params
from fakeface.zoo.card import describe_hardware

RESULTS = Path(__file__).parent / "results.json"


def parts(options: argparse.Namespace) -> dict[str, Callable[[], dict[str, Section]]]:
    """What can be measured, by name."""
    params = load_params(options.params)
    device = make_fabric(params).device
    return {
        "start": lambda: startup.measure(options.repeats),
        "preparing": lambda: preparing.measure(params, options.archive, options.repeats),
        "training": lambda: training.measure(params, 3 * options.seconds, options.repeats),
        "frozen layers": lambda: frozen_layers.measure(options.seconds, options.repeats),
        "scoring": lambda: inference.measure(
            options.detector, options.archive, device.type, options.seconds, options.repeats
        ),
        "quality": lambda: scoring_quality.measure(params, device, options.repeats),
        "growth": lambda: repro.growth(options.archive.resolve()),
        "stages": lambda: repro.stages(options.keep),
    }


def facts(device: torch.device) -> dict[str, Any]:
    """The machine and the versions that figures belong to."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return describe_hardware(device) | {
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "fakeface": fakeface.__version__,
        "commit": described.stdout.strip(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def main() -> None:
    """Measure, and write after every part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="PART")
    parser.add_argument(
        "--seconds", type=float, default=5, help="of one measurement; of a training three times as many"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--params", default="params.yaml")
    parser.add_argument("--detector", default="models/detector")
    parser.add_argument("--archive", type=Path, default=Path("data/raw/images.zip"))
    parser.add_argument("--keep", type=Path, help="new folder for the project that `stages` reproduces")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    known = parts(options)
    wanted = options.only or list(known)
    if unknown := set(wanted) - set(known):
        parser.error(f"unknown {', '.join(sorted(unknown))}, expected some of {', '.join(known)}")
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    device = make_fabric(load_params(options.params)).device
    for name in wanted:
        about = facts(device)
        sections = {title: asdict(section) for title, section in known[name]().items()}
        results[name] = {"about": about, "sections": sections}
        write_json(options.out, {part: results[part] for part in known if part in results})
        print(json.dumps(sections, indent=2), flush=True)


if __name__ == "__main__":
    main()
