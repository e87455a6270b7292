"""The one preprocessing function that every image passes through, real or fake.

A real and a fake may differ in nothing but their origin, so photographs, generated images and the
pictures that a user wants judged are all cropped, scaled and quantised here and nowhere else.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from fakeface.errors import FakefaceError

# Antialiased bicubic in Pillow: the filter support grows with the scale factor, unlike the
# resizers of several training libraries (Parmar et al., "On Aliased Resizing", CVPR 2022).
RESAMPLE = Image.Resampling.BICUBIC


class ImageTooSmallError(FakefaceError, ValueError):
    """The image has fewer pixels along its shorter side than the requested output."""


def preprocess(image: Image.Image, image_size: int) -> np.ndarray:
    """Centre square crop, antialiased downscale, 8-bit RGB.

    Args:
        image: any Pillow image whose pixels are already upright; it is converted to RGB.
        image_size: side of the square output in pixels.

    Returns:
        uint8 array of shape (image_size, image_size, 3), RGB, range [0, 255].

    Raises:
        ImageTooSmallError: if the shorter side is below ``image_size``; enlarging would add an
            interpolation trace that one class might carry and the other not.
    """
    width, height = image.size
    side = min(width, height)
    if side < image_size:
        raise ImageTooSmallError(
            f"image is {width}x{height} pixels, expected at least {image_size} on the shorter side"
        )
    if image.mode != "RGB":
        image = image.convert("RGB")
    left, top = (width - side) // 2, (height - side) // 2
    # Cropped before it is scaled: `resize(box=...)` would blend in pixels from outside the square, which
    # photographs have and square fakes do not.
    square = image.crop((left, top, left + side, top + side))
    if side != image_size:
        square = square.resize((image_size, image_size), RESAMPLE)
    return np.asarray(square, dtype=np.uint8)
