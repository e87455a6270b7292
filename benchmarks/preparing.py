"""From an archive of photographs to packed arrays: this project, torchvision's route, and decoding alone."""

from __future__ import annotations

import itertools
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from timing import Section, duration, in_turns
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from fakeface.data import prepare as stage
from fakeface.data.archives import open_archive, write_zip
from fakeface.data.decode import decode
from fakeface.params import Params

COPIES = 10
OURS = "this project, two processes"
TORCHVISION = "torchvision's ImageFolder, DataLoader with two workers, into one array"
DECODING = "decoding the files alone, one process"


class KeepsCopies(stage._Duplicates):
    """Does the real work of remembering, then keeps the copy."""

    def is_new(self, photograph: stage.Prepared) -> bool:
        super().is_new(photograph)
        return True


def copies(archive: Path) -> Iterator[tuple[str, bytes]]:
    """The photographs several times, with two bytes after each JPEG's end that no decoder reads."""
    with open_archive(archive) as opened:
        photographs = list(opened)
    for copy, (number, (_, content)) in itertools.product(range(COPIES), enumerate(photographs)):
        yield f"{copy * len(photographs) + number:07d}.jpg", content + copy.to_bytes(2, "big")


def ours(raw: Path, scratch: Path, params: Params) -> Callable[[], object]:
    """The stage, with its folders, checks and hashes."""
    numbers = itertools.count()
    return lambda: stage.prepare(raw, scratch / f"real{next(numbers)}", params, workers=2)


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
    stage._Duplicates = KeepsCopies  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        raw, folder = scratch / "raw", scratch / "folder" / "photographs"
        raw.mkdir()
        folder.mkdir(parents=True)
        write_zip(raw / "images.zip", copies(archive))
        (raw / "source.json").write_text(json.dumps({"source": params.data.source}))
        contents = []
        for name, content in copies(archive):
            (folder / name).write_bytes(content)
            contents.append(content)

        def decode_all() -> None:
            for content in contents:
                decode(content)

        works = {
            OURS: ours(raw, scratch, params),
            TORCHVISION: torchvision_route(folder.parent, params.image_size, scratch / "packed.npy"),
            DECODING: decode_all,
        }
        for work in works.values():
            work()
        measures = {name: lambda work=work: len(contents) / duration(work) for name, work in works.items()}
        rows = in_turns(measures, repeats)
    ratio = rows[OURS]["median"] / rows[TORCHVISION]["median"]
    note = f"{len(contents)} photographs of 178x218, {os.cpu_count()} cores."
    return {
        "Preparing photographs": Section(
            "photographs/s", rows, {"this project, times torchvision's route": ratio}, note
        )
    }
