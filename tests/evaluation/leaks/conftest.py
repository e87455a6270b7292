"""Synthetic photographs, ways to spoil them, and the data of a small pipeline."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import REPOSITORY, encode, make_params, random_picture
from PIL import Image

from fakeface.data.image_sets import SPLITS
from fakeface.data.prepare import prepare
from fakeface.data.sources import download
from fakeface.gans.generate import sample_split
from fakeface.params import Params, ProtocolParams, read_yaml

PROTOCOLS = {
    "laundered": ProtocolParams(rescale_probability=0.5, rescale_min=0.75, jpeg_quality=(50, 95)),
    "clean": ProtocolParams(),
}
GANS = ("dcgan", "wgan")


def as_json(result: dict[str, Any]) -> dict[str, Any]:
    """The result as a metrics file would hold it; NaN and NumPy's types are errors."""
    read: dict[str, Any] = json.loads(json.dumps(result, allow_nan=False))
    assert read == result
    return read


def saved_as_jpeg(photographs: np.ndarray) -> np.ndarray:
    files = [encode(Image.fromarray(photograph), quality=90) for photograph in photographs]
    return np.stack([np.asarray(Image.open(io.BytesIO(content))) for content in files])


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    """600 distinct synthetic photographs at 64 pixels."""
    return np.stack([np.asarray(random_picture(seed, 64, 64)) for seed in range(600)])


class Painter:
    """A source of fakes that needs no network; each split of each name has pictures of its own."""

    def __init__(self, name: str) -> None:
        self.name = name

    def batches(self, split: str, count: int, seed: int, batch_size: int) -> Iterator[np.ndarray]:  # noqa: ARG002
        first = 1000 * (1 + len(SPLITS) * len(self.name) + SPLITS.index(split))
        yield np.stack([np.asarray(random_picture(first + row, 64, 64)) for row in range(count)])


def painted(name: str, folder: Path) -> None:
    """Fakes of one GAN in ``folder``."""
    for split in SPLITS:
        sample_split(Painter(name), split, 24, 64, 0, 24).write(folder / split)


@pytest.fixture(scope="session")
def probed_params(tmp_path_factory: pytest.TempPathFactory, photographs: list[bytes]) -> Params:
    """Params of a pipeline with 60 photographs, half of them for validation and test, and two GANs."""
    folder = tmp_path_factory.mktemp("photographs")
    for number, content in enumerate(photographs, start=1):
        (folder / f"{number:06d}.jpg").write_bytes(content)
    gans = read_yaml(REPOSITORY / "params.yaml")["gans"]
    return make_params(
        **{
            "data.source": "folder",
            "data.root": str(folder),
            "data.splits": {"val": 0.25, "test": 0.25},
            "gans": {gan: gans[gan] for gan in GANS},
            "held_out": [],
            "leave_one_out.never_train": [],
            "leave_one_out.folds": list(GANS),
            "leaks.halvings": 3,
        }
    )


@pytest.fixture(scope="session")
def clean_data(tmp_path_factory: pytest.TempPathFactory, probed_params: Params) -> Path:
    """The folder ``data`` of that pipeline; not to be written into."""
    data = tmp_path_factory.mktemp("clean") / "data"
    download(probed_params, data / "raw")
    prepare(data / "raw", data / "real", probed_params)
    for gan in GANS:
        painted(gan, data / "fake" / gan)
    return data


@pytest.fixture
def data_copy(tmp_path: Path, clean_data: Path) -> Path:
    """A copy of ``clean_data`` to plant leaks in."""
    return Path(shutil.copytree(clean_data, tmp_path / "data"))
