"""Photographs at 64 pixels, sets of them in memory, and params for training on few images."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from conftest import make_params
from lightning_fabric import Fabric
from PIL import Image

from fakeface.base.runtime import make_fabric
from fakeface.data.image_sets import ImageSet
from fakeface.data.preprocess import preprocess
from fakeface.detector.batches import DetectorData
from fakeface.params import Params


def joined(*sets: np.ndarray, gans: tuple[str, ...] = ("dcgan", "lsgan")) -> DetectorData:
    """Photographs, then the images of each GAN, as the training split."""
    parts = []
    for source, images in zip(("folder", *gans), sets, strict=True):
        rows = [(f"{source}/{row}", source, "0" * 64, "train") for row in range(len(images))]
        parts.append(ImageSet(images, pd.DataFrame(rows, columns=["name", "source", "sha256", "split"])))
    groups = np.concatenate([np.full(len(images), group) for group, images in enumerate(sets)])
    manifest = pd.concat([part.manifest for part in parts], ignore_index=True)
    return DetectorData(tuple(parts), groups, manifest, gans)


def upsampled(images: np.ndarray) -> np.ndarray:
    """The images enlarged bilinearly from half their size."""
    side = images.shape[1]
    small = [Image.fromarray(image).resize((side // 2, side // 2), Image.Resampling.BOX) for image in images]
    return np.stack(
        [np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR)) for picture in small]
    )


@pytest.fixture(scope="session")
def faces(photographs: list[bytes]) -> np.ndarray:
    """uint8 (60, 64, 64, 3)"""
    return np.stack([preprocess(Image.open(io.BytesIO(content)), 64) for content in photographs])


@pytest.fixture
def params() -> Params:
    return make_params(**{"device": "cpu", "cn.views": 2, "cffn.augmentation": "mild"})


@pytest.fixture
def fabric(params: Params) -> Fabric:
    return make_fabric(params)
