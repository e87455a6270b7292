"""The one preprocessing function: nothing outside the square may reach the result."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import random_picture
from PIL import Image

from fakeface.data.preprocess import ImageTooSmallError, preprocess


@pytest.mark.parametrize(("width", "height"), [(178, 218), (218, 178), (89, 109), (100, 400), (64, 80)])
def test_pixels_outside_of_the_centre_square_do_not_matter(width: int, height: int) -> None:
    """A photograph of any shape gives what its own centre square gives, as a generator would output it."""
    picture = random_picture(3, width, height)
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    square = np.asarray(picture)[top : top + side, left : left + side]
    np.testing.assert_array_equal(preprocess(picture, 64), preprocess(Image.fromarray(square), 64))


def test_an_image_of_the_right_size_passes_unchanged() -> None:
    picture = random_picture(4, 64, 64)
    np.testing.assert_array_equal(preprocess(picture, 64), np.asarray(picture))


def test_a_smaller_image_is_refused() -> None:
    with pytest.raises(ImageTooSmallError, match="image is 63x80 pixels, expected at least 64"):
        preprocess(random_picture(5, 63, 80), 64)
