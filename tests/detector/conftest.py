"""Small image sets on disk: smooth random pictures as photographs, blocky ones as fakes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fakeface.data.image_sets import ImageSet
from fakeface.params import Params, load_params

ROOT = Path(__file__).parents[2]
COUNTS = {"train": 24, "val": 10, "test": 10}


def pictures(count: int, grain: int, seed: int) -> np.ndarray:
    """uint8 (count, 64, 64, 3): noise of ``grain`` x ``grain`` cells, enlarged."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 256, (count, grain, grain, 3), dtype=np.uint8)
    filters = Image.Resampling.NEAREST if grain == 8 else Image.Resampling.BICUBIC
    return np.stack([np.asarray(Image.fromarray(cell).resize((64, 64), filters)) for cell in cells])


def write_set(folder: Path, images: np.ndarray, source: str, split: str) -> None:
    manifest = pd.DataFrame(
        {
            "name": [f"{source}/{split}/{i:06d}" for i in range(len(images))],
            "source": source,
            "sha256": [hashlib.sha256(image.tobytes()).hexdigest() for image in images],
            "split": split,
        }
    )
    ImageSet(images, manifest).write(folder)


def keep_all(root: Path) -> None:
    """Lists of kept training fakes in ``root``/curated, every one of every GAN in it."""
    (root / "curated").mkdir()
    for folder in (root / "fake").iterdir():
        manifest = ImageSet.read(folder / "train").manifest
        manifest[["name", "sha256"]].to_csv(root / "curated" / f"{folder.name}.csv", index=False)


@pytest.fixture(scope="session")
def image_sets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of photographs and of the fakes of every GAN in params.yaml."""
    root = tmp_path_factory.mktemp("sets")
    for number, (split, count) in enumerate(COUNTS.items()):
        write_set(root / "real" / split, pictures(count, 6, number), "folder", split)
        for index, gan in enumerate(load_params(ROOT / "params.yaml").gans):
            images = pictures(count, 8, 100 * (index + 1) + number)
            write_set(root / "fake" / gan / split, images, gan, split)
    keep_all(root)
    return root / "real", root / "fake"


@pytest.fixture
def tiny_params(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Params:
    """The real params with few steps; the working folder is a temporary one for the checkpoints."""
    monkeypatch.chdir(tmp_path)
    params = load_params(ROOT / "params.yaml")
    return params.model_copy(
        update={
            "device": "cpu",
            "quality": params.quality.model_copy(update={"weights": str(ROOT / "models" / "extractors")}),
            "cffn": params.cffn.model_copy(update={"epochs": 3, "steps_per_epoch": 2, "batch_size": 12}),
            "cn": params.cn.model_copy(update={"epochs": 2, "views": 2, "batch_size": 16}),
            "evaluate": params.evaluate.model_copy(update={"bootstrap": 20, "batch_size": 7}),
        }
    )
