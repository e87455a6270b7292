"""What stages declare in dvc.yaml, held against what their scripts read; tests/recorder notes the latter.

One run follows one branch of the code. So a declared section counts as read if one of its keys is, and a key
that only another branch reads must be in a section that is declared.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

RECORDER = Path(__file__).parent / "recorder"

# Tables that hold the digest of every image that counts stand for the images, see
# src/fakeface/data/collect.py; data/training.csv also says which GANs train.
DIGESTS = {"data/training.csv", "data/test.csv", "data/sets.csv"}
IMAGES = {"data/real", "data/fake", "data/curated"}
WHO_TRAINS = {"gans", "held_out"}

# Read only in branches that a run with small params does not take.
OTHER_BRANCHES = {
    ("curate", "quality"),
    ("leak_probes", "data.framing"),
    ("histories", "data.framing"),
}

# How much is kept of what could be computed again; results do not depend on it.
WITHOUT_EFFECT = {"activations.max_gigabytes"}
# A fold holds out what it names, whatever the experiment holds out.
OF_FOLDS = {"leave_one_out": {"held_out"}, "baselines": {"held_out"}}
# A folder that leak_probes makes and removes.
TEMPORARY = "fakes"

# Read by the code that chooses the machine's part, whether the stage has a use for it or not.
MACHINE = {"deterministic", "device", "devices", "precision", "compile", "seed"}


def recording(environment: dict[str, str], folder: Path) -> dict[str, str]:
    """The environment in which scripts of pipeline/ note in ``folder`` what they read."""
    folder.mkdir()
    path = os.pathsep.join([str(RECORDER), environment["PYTHONPATH"]])
    return environment | {"PYTHONPATH": path, "FAKEFACE_RECORD": str(folder)}


def _reads(folder: Path) -> dict[str, tuple[set[str], set[str]]]:
    """Params and files that were read, by the command of the stage; all processes of a command together."""
    reads: dict[str, tuple[set[str], set[str]]] = {}
    for path in folder.glob("*.json"):
        content = json.loads(path.read_text())
        params, files = reads.setdefault(content["command"], (set(), set()))
        params.update(content["params"])
        files.update(content["files"])
    return reads


def _covered(path: str, by: Iterable[str], separator: str) -> bool:
    return any(path == whole or path.startswith(whole + separator) for whole in by)


def problems(project: Path, records: Path) -> list[str]:
    """One line for each param or file that a stage reads but does not declare, or the other way round."""
    lock = yaml.safe_load((project / "dvc.lock").read_text())["stages"]
    templates = _templates(project)
    found = []
    for command, (params, files) in sorted(_reads(records).items()):
        ((name, stage),) = ((name, stage) for name, stage in lock.items() if stage["cmd"] == command)
        declared = set(stage.get("params", {}).get("params.yaml", {}))
        deps = {os.path.relpath(project / dep["path"], project) for dep in stage["deps"]}
        known = declared | templates[name.split("@")[0]]
        known |= WHO_TRAINS if "data/training.csv" in deps else set()
        known |= {"gans"} if "data/sets.csv" in deps else set()
        known |= WITHOUT_EFFECT | OF_FOLDS.get(name.split("@")[0], set())
        unknown = sorted(key for key in params if not _covered(key, known, "."))
        found += [f"{name}: reads {key}, not among its params" for key in unknown]
        found += [
            f"{name}: declares {key}, which it does not read"
            for key in declared - MACHINE
            if not any(_covered(read, [key], ".") for read in params) and (name, key) not in OTHER_BRANCHES
        ]
        outs = {out["path"] for out in stage.get("outs", [])}
        allowed = deps | outs | {"params.yaml", TEMPORARY} | (IMAGES if deps & DIGESTS else set())
        unknown = sorted(file for file in files if not _covered(file, allowed, "/"))
        found += [f"{name}: reads {file}, not among its deps" for file in unknown]
    return found


def _templates(project: Path) -> dict[str, set[str]]:
    """Params whose values are paths among the deps of a stage: the files are tracked in place of the text."""
    stages: dict[str, Any] = yaml.safe_load((project / "dvc.yaml").read_text())["stages"]
    return {
        name: {dep.strip("${}") for dep in stage.get("do", stage)["deps"] if dep.startswith("${")}
        for name, stage in stages.items()
    }
