"""The one face of a photograph that a data set is made of."""

from __future__ import annotations

import numpy as np
from PIL import Image

from fakeface.errors import FakefaceError
from fakeface.faces.alignment import align
from fakeface.faces.finder import FaceFinder


class NoFaceError(FakefaceError, ValueError):
    """There is no face in a photograph of which one was to be aligned."""


def largest_face(image: Image.Image, image_size: int, finder: FaceFinder) -> Image.Image:
    """The face with the largest box, as :func:`fakeface.faces.alignment.align` makes it.

    Raises:
        NoFaceError: if there is none.
        FaceTooSmallError: if it would have to be enlarged to ``image_size``.
    """
    faces = finder.find(image)
    if not faces:
        raise NoFaceError("no face found")
    largest = max(faces, key=lambda face: float(np.prod(face.box[2:] - face.box[:2])))
    return align(image, largest.landmarks, image_size)
