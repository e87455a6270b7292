"""Lay a face over CelebA's template: turned, scaled and moved until its landmarks lie where theirs do.

The photographs that the detector learns from were aligned in this way by those who made CelebA (Liu and
others, "Deep Learning Face Attributes in the Wild", ICCV 2015), 178 pixels wide and 218 high.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from fakeface.errors import FakefaceError

WIDTH, HEIGHT = 178, 218
# Where FaceFinder sees eyes, nose and corners of the mouth in aligned CelebA photographs: medians over the
# 999 of celeba-mini, by benchmarks/face_template.py. Not CelebA's own file of landmarks, whose annotators
# meant slightly other points.
TEMPLATE = np.array([[69.7, 112.9], [109.0, 112.1], [88.7, 136.0], [72.5, 153.3], [105.3, 152.6]])


class FaceTooSmallError(FakefaceError, ValueError):
    """The face has too few pixels to be judged without enlarging it."""


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


def align(image: Image.Image, landmarks: np.ndarray, image_size: int) -> Image.Image:
    """The face as CelebA would have it.

    Nothing is enlarged: a face smaller than the template's gives a smaller picture. What lies outside of the
    picture repeats its edge.

    Args:
        image: upright RGB picture.
        landmarks: float (5, 2) of (x, y) in its pixels, see :class:`fakeface.faces.finder.Face`.
        image_size: side of the square that the detector wants.

    Returns:
        RGB picture of at most 178x218 pixels in this proportion, ready for
        :func:`fakeface.data.preprocess.preprocess`.

    Raises:
        FaceTooSmallError: if it would have to be enlarged to ``image_size``.
    """
    matrix = similarity(TEMPLATE, np.asarray(landmarks, dtype=np.float64))
    scale = math.hypot(matrix[0, 0], matrix[1, 0])
    # The square that preprocess cuts out is as wide as the template.
    side = math.floor(WIDTH * min(scale, 1.0))
    if side < image_size:
        raise FaceTooSmallError(
            f"the face fills a square of {WIDTH * scale:.0f} pixels, expected at least {image_size}"
        )
    width, height = side, max(side, round(side * HEIGHT / WIDTH))
    # From pixels of the result to pixels of the picture.
    matrix = matrix @ np.diag([WIDTH / width, HEIGHT / height, 1.0])
    corners = matrix @ np.array(
        [[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]], dtype=np.float64
    )
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


def _crop_repeating_edge(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """``image.crop``, but what lies outside repeats the picture's edge in place of black."""
    pixels = np.asarray(image.convert("RGB"))
    rows = np.arange(box[1], box[3]).clip(0, image.height - 1)
    columns = np.arange(box[0], box[2]).clip(0, image.width - 1)
    return Image.fromarray(pixels[rows[:, None], columns])
