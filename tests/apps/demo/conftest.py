"""A small detector with random weights, and pictures to show it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bundles import celeba_photographs, make_bundle
from PIL import Image

from fakeface.bundle.bundle import Bundle, load_networks
from fakeface.data.faces import FaceFinder
from fakeface.data.image_sets import MANIFEST_COLUMNS, ImageSet


@pytest.fixture(scope="session")
def detector_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="session")
def bundle(detector_folder: Path) -> Bundle:
    return load_networks(detector_folder, "cpu")


@pytest.fixture(scope="session")
def finder(bundle: Bundle) -> FaceFinder:
    return FaceFinder(bundle.faces, threads=1)


@pytest.fixture(scope="session")
def group() -> Image.Image:
    """Three photographs side by side."""
    picture = Image.new("RGB", (700, 300), "grey")
    for index, content in enumerate(celeba_photographs((1, 2, 4))):
        picture.paste(Image.open(io.BytesIO(content)), (20 + 220 * index, 40))
    return picture


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """real/test, and fake/dcgan/test and fake/sngan/test, five images of noise each."""
    root = tmp_path_factory.mktemp("samples")
    for seed, name in enumerate(("real/test", "fake/dcgan/test", "fake/sngan/test")):
        images = np.random.default_rng(seed).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
        table = {column: [f"{column}{row}" for row in range(5)] for column in MANIFEST_COLUMNS}
        ImageSet(images, pd.DataFrame(table)).write(root / name)
    return root
