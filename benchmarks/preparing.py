"""From an archive of photographs to packed arrays: this project, torchvision's route, and decoding alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import yaml
from celeba_scale import stand_in_zip
from timing import Section, duration, in_turns
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from fakeface.data.preprocess import decode
from fakeface.params import Params

PHOTOGRAPHS = 20_000
STAGE = Path(__file__).parents[1] / "pipeline" / "prepare.py"
OURS = "this project, `python pipeline/prepare.py`"
TORCHVISION = "torchvision's ImageFolder, DataLoader with two workers, into one array"
DECODING = "decoding the files alone, one process"


def ours(project: Path) -> Callable[[], object]:
    """The stage, with its start, folders, checks and hashes."""
    command = [sys.executable, str(STAGE)]
    return lambda: subprocess.run(command, cwd=project, check=True, stderr=subprocess.DEVNULL)


def torchvision_route(folder: Path, side: int, target: Path) -> Callable[[], object]:
    """The usual transforms of CelebA; the files are unpacked already."""
    cut = [v2.CenterCrop(178), v2.Resize(side), v2.PILToTensor()]
    images = ImageFolder(str(folder), v2.Compose(cut))

    def work() -> None:
        loader = DataLoader(images, batch_size=100, num_workers=2)
        packed = np.lib.format.open_memmap(target, "w+", np.uint8, (len(images), 3, side, side))
        for number, (batch, _) in enumerate(loader):
            packed[100 * number : 100 * number + len(batch)] = torch.as_tensor(batch).numpy()

    return work


def measure(params: Params, archive: Path, repeats: int) -> dict[str, Section]:
    """Photographs a second."""
    with tempfile.TemporaryDirectory() as temporary:
        project, folder = Path(temporary) / "project", Path(temporary) / "folder" / "photographs"
        raw = project / "data" / "raw"
        raw.mkdir(parents=True)
        stand_in_zip(raw / "images.zip", archive, PHOTOGRAPHS)
        (raw / "source.json").write_text(json.dumps({"source": params.data.source}))
        (project / "params.yaml").write_text(yaml.safe_dump(params.model_dump(mode="json")))
        with zipfile.ZipFile(raw / "images.zip") as packed:
            packed.extractall(folder)

        def decode_all() -> None:
            for path in folder.iterdir():
                decode(path.read_bytes())

        works = {
            OURS: ours(project),
            TORCHVISION: torchvision_route(folder.parent, params.image_size, Path(temporary) / "packed.npy"),
            DECODING: decode_all,
        }
        for work in works.values():
            work()
        measures = {name: lambda work=work: PHOTOGRAPHS / duration(work) for name, work in works.items()}
        rows = in_turns(measures, repeats)
    ratio = rows[OURS]["median"] / rows[TORCHVISION]["median"]
    note = (
        f"{PHOTOGRAPHS} photographs of 178x218, {os.cpu_count()} cores. The stage also starts, hashes, "
        "looks for duplicates, refuses what is no photograph, and writes manifests."
    )
    return {
        "Preparing photographs": Section(
            "photographs/s", rows, {"this project, times torchvision's route": ratio}, note
        )
    }
