"""Find faces and their five landmarks in a picture, with CenterFace on ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fakeface.errors import FakefaceError
from fakeface.faces.model import INPUT, OUTPUTS

# Longer sides that a picture is reduced to: large faces are found in the smallest, small ones in the largest.
SIDES = (320, 640, 1280)
STRIDE = 4
_SIDES_DIVIDE_BY = 32
_MAX_OVERLAP = 0.3
# Longer side of a face's box in an aligned CelebA photograph, roughly.
FACE_SIDE = 128
_SAME_FACE = 0.4


class FaceModelError(FakefaceError, ValueError):
    """The file of the face detector is absent or no such network."""


@dataclass(frozen=True)
class Face:
    """A face in a picture; coordinates in pixels, x to the right, y down, from the upper left corner.

    Attributes:
        score: float in [0, 1].
        box: left, top, right, bottom; float64 (4,).
        landmarks: left eye (of the picture), right eye, nose, left and right corner of the mouth;
            float64 (5, 2) of (x, y).
    """

    score: float
    box: np.ndarray
    landmarks: np.ndarray


class FaceFinder:
    """CenterFace.

    Args:
        path: ONNX file by :func:`fakeface.faces.model.write_face_model`.
        min_score: faces below are not reported.
        threads: of the network; None: ONNX Runtime's choice.

    Raises:
        FaceModelError: if there is no such file, or it is another network.
    """

    def __init__(self, path: str | Path, min_score: float = 0.5, threads: int | None = None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            # ONNX Runtime's errors have no base class of their own.
            raise FaceModelError(f"{path}: ONNX Runtime cannot load it ({error})") from error
        inputs = [value.name for value in self._session.get_inputs()]
        outputs = {value.name for value in self._session.get_outputs()}
        if inputs != [INPUT] or not outputs >= set(OUTPUTS):
            raise FaceModelError(f"{path}: expected CenterFace, got inputs {', '.join(inputs)}")
        self.min_score = min_score

    def find(self, image: Image.Image) -> list[Face]:
        """The faces of an upright RGB picture, from left to right."""
        image = image.convert("RGB")
        longer = max(image.size)
        sides = sorted({min(side, longer) for side in SIDES})
        found = [face for side in sides for face in self._in_reduced(image, side)]
        refined = [self._refined(image, face) for face in _best(found)]
        return sorted(_best(refined), key=lambda face: (face.box[0], face.box[1]))

    def _in_reduced(self, image: Image.Image, longer: int) -> list[Face]:
        """The faces in the picture reduced so that its longer side has so many pixels."""
        scale = longer / max(image.size)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        faces = self._run(image.resize(size, Image.Resampling.BILINEAR))
        to_picture = np.array([image.width / size[0], image.height / size[1]])
        limit = np.array(image.size, dtype=np.float64)
        result = []
        for face in faces:
            corners = np.clip(face.box.reshape(2, 2) * to_picture, 0, limit)
            if (corners[1] > corners[0]).all():
                result.append(Face(face.score, corners.reshape(4), face.landmarks * to_picture))
        return result

    def _refined(self, image: Image.Image, face: Face) -> Face:
        """The same face, looked at once more at the size that faces have in aligned CelebA photographs.

        The network puts landmarks a little differently in small and in large faces.
        """
        extent = float(np.max(face.box[2:] - face.box[:2]))
        left, top = ((face.box[:2] + face.box[2:]) / 2 - extent).round().astype(int)
        width = max(1, round(2 * extent))
        part = image.crop((left, top, left + width, top + width))
        scale, side = width / (2 * FACE_SIDE), 2 * FACE_SIDE
        near = [
            Face(
                other.score, other.box * scale + (left, top, left, top), other.landmarks * scale + (left, top)
            )
            for other in self._run(part.resize((side, side), Image.Resampling.BILINEAR))
        ]
        best = max(near, key=lambda other: _overlap(other.box, face.box), default=face)
        if _overlap(best.box, face.box) < _SAME_FACE:
            return face
        return Face(face.score, face.box, best.landmarks)

    def _run(self, image: Image.Image) -> list[Face]:
        """The faces of an RGB picture in its own pixels, those that overlap once."""
        # Black below and to the right, so that the picture keeps its proportions.
        padded = np.zeros((1, 3, _round_up(image.height), _round_up(image.width)), dtype=np.float32)
        padded[0, :, : image.height, : image.width] = np.asarray(image).transpose(2, 0, 1)
        heat, size, offset, marks = self._session.run(list(OUTPUTS), {INPUT: padded})
        return _best(_decode(heat[0, 0], size[0], offset[0], marks[0], self.min_score))


def _round_up(side: int) -> int:
    return -(-side // _SIDES_DIVIDE_BY) * _SIDES_DIVIDE_BY


def _decode(
    heat: np.ndarray, size: np.ndarray, offset: np.ndarray, marks: np.ndarray, min_score: float
) -> list[Face]:
    """The network's maps to faces, one a place whose score is high enough.

    Args:
        heat: float (h, w), a place's score.
        size: float (2, h, w), logarithm of height and width in cells of :data:`STRIDE` pixels.
        offset: float (2, h, w) of (y, x), from a cell's middle to the face's.
        marks: float (10, h, w), five (y, x) from the box's upper left corner, in heights and widths.
        min_score: of a face.
    """
    rows, columns = np.nonzero(heat > min_score)
    scores = heat[rows, columns]
    extent = np.exp(size[:, rows, columns].astype(np.float64)) * STRIDE
    middle = (np.stack([rows, columns]) + offset[:, rows, columns] + 0.5) * STRIDE
    corner = middle - extent / 2
    points = marks[:, rows, columns].reshape(5, 2, -1) * extent + corner
    boxes = np.concatenate([corner, corner + extent])[[1, 0, 3, 2]].T
    return [
        Face(float(score), box, marks_of.T[:, ::-1].astype(np.float64))
        for score, box, marks_of in zip(scores, boxes, points.transpose(2, 1, 0), strict=True)
    ]


def _best(faces: list[Face]) -> list[Face]:
    """Of faces that overlap, the one with the highest score (non-maximum suppression)."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if all(_overlap(face.box, other.box) < _MAX_OVERLAP for other in kept):
            kept.append(face)
    return kept


def _overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    common = float(np.prod(np.clip(sides, 0, None)))
    areas = float(np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]))
    return common / (areas - common) if areas > common else 0.0
