"""Faces are found where they are, whatever the picture's size, and nothing else is taken for the detector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import random_picture
from onnx import TensorProto, helper
from PIL import Image

from fakeface.data.faces import TEMPLATE, FaceFinder, FaceModelError


def test_a_celeba_photograph_has_one_face_near_the_template(
    finder: FaceFinder, celeba: list[Image.Image]
) -> None:
    found = [finder.find(photograph) for photograph in celeba]
    single = [faces[0] for faces in found if len(faces) == 1]
    assert len(single) >= 0.9 * len(celeba)
    middle = np.median([face.landmarks for face in single], axis=0)
    assert np.abs(middle - TEMPLATE).max() < 2.5
    for face in single:
        left, top, right, bottom = face.box
        assert 0 <= left < right <= 178
        assert 0 <= top < bottom <= 218
        assert 0.5 < face.score <= 1


@pytest.mark.parametrize("factor", [0.5, 4.0, 12.0])
def test_landmarks_grow_with_the_picture(
    finder: FaceFinder, celeba: list[Image.Image], factor: float
) -> None:
    size = (round(178 * factor), round(218 * factor))
    errors = []
    for photograph in celeba[:12]:
        plain, scaled = (
            finder.find(image) for image in (photograph, photograph.resize(size, Image.Resampling.BICUBIC))
        )
        if len(plain) == len(scaled) == 1:
            errors.append(np.abs(scaled[0].landmarks / factor - plain[0].landmarks).max())
    # Faces in profile have eyes that the network may put here or there.
    assert len(errors) >= 10
    assert np.median(errors) < 3


def test_faces_come_from_left_to_right_each_once(finder: FaceFinder, celeba: list[Image.Image]) -> None:
    group = Image.new("RGB", (900, 500), "grey")
    corners = [(640, 40), (20, 200), (330, 120)]
    frontal = (celeba[0], celeba[1], celeba[3])
    for photograph, corner in zip(frontal, corners, strict=True):
        group.paste(photograph, corner)
    found = finder.find(group)
    assert len(found) == 3
    for face, corner in zip(found, sorted(corners), strict=True):
        assert np.abs(face.landmarks - (TEMPLATE + corner)).max() < 15


def test_a_landscape_has_no_face(finder: FaceFinder) -> None:
    assert finder.find(random_picture(0, 640, 480)) == []
    assert finder.find(Image.new("RGB", (1, 1))) == []


def test_another_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "faces.onnx"
    with pytest.raises(FaceModelError, match="faces.onnx: ONNX Runtime cannot load it"):
        FaceFinder(path)
    path.write_bytes(b"<html>")
    with pytest.raises(FaceModelError, match="faces.onnx: ONNX Runtime cannot load it"):
        FaceFinder(path)
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "other", value[:1], value[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    with pytest.raises(FaceModelError, match="expected CenterFace, got inputs x"):
        FaceFinder(path)
