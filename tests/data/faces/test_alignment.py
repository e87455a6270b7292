"""The similarity is the best one, and aligned faces lie on the template without being enlarged."""

from __future__ import annotations

import math

import numpy as np
import pytest
from conftest import random_picture
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from scipy.ndimage import center_of_mass
from scipy.optimize import least_squares

from fakeface.data.faces import (
    FRAMINGS,
    HEIGHT,
    TEMPLATE,
    WIDTH,
    FaceFinder,
    FaceTooSmallError,
    align,
    share_outside,
    sheet_shape,
    similarity,
)
from fakeface.data.preprocess import preprocess


def turned(points: np.ndarray, degrees: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return scale * points @ turn.T + shift


@given(st.floats(-180, 180), st.floats(0.1, 20), st.tuples(st.floats(-500, 500), st.floats(-500, 500)))
def test_a_similarity_is_recovered(degrees: float, scale: float, shift: tuple[float, float]) -> None:
    target = turned(TEMPLATE, degrees, scale, shift)
    matrix = similarity(TEMPLATE, target)
    np.testing.assert_allclose(TEMPLATE @ matrix[:, :2].T + matrix[:, 2], target, atol=1e-8)
    assert np.linalg.det(matrix[:, :2]) == pytest.approx(scale**2)


@given(st.integers(0, 2**32 - 1))
def test_no_other_similarity_comes_nearer(seed: int) -> None:
    target = TEMPLATE + np.random.default_rng(seed).normal(0, 15, TEMPLATE.shape)

    def residuals(numbers: np.ndarray) -> np.ndarray:
        a, b, x, y = numbers
        return (TEMPLATE @ np.array([[a, b], [-b, a]]) + (x, y) - target).ravel()

    best = least_squares(residuals, [1.0, 0.0, 0.0, 0.0], xtol=1e-14, ftol=1e-14, gtol=1e-14)
    matrix = similarity(TEMPLATE, target)
    expected = [best.x[0], -best.x[1], best.x[2], best.x[1], best.x[0], best.x[3]]
    np.testing.assert_allclose(matrix.ravel(), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("degrees", "scale", "shift"),
    [(0, 1, (0, 0)), (0, 3, (50, 20)), (30, 2.2, (300, -40)), (-75, 7, (200, 900)), (180, 0.6, (160, 180))],
)
def test_landmarks_end_on_the_template(degrees: float, scale: float, shift: tuple[float, float]) -> None:
    points = turned(TEMPLATE, degrees, scale, shift)
    image = Image.new("RGB", (1600, 1700))
    draw = ImageDraw.Draw(image)
    radius = 3 * scale
    for x, y in points:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill="white")
    aligned = align(image, points, 64)
    factor = min(1.0, scale)
    assert aligned.width == math.floor(178 * factor + 1e-9)
    light = np.asarray(aligned.convert("L")).astype(np.float64)
    for x, y in TEMPLATE * factor:
        left, top = round(x) - 7, round(y) - 7
        row, column = center_of_mass(light[top : top + 15, left : left + 15])
        assert abs(left + column + 0.5 - x) < 0.8
        assert abs(top + row + 0.5 - y) < 0.8


def test_a_portrait_that_is_framed_already_stays_as_it_is() -> None:
    ffhq = FRAMINGS["ffhq"]
    image = random_picture(0).resize((256, 256))
    aligned = align(image, ffhq.landmarks, 160, ffhq)
    assert aligned.size == (256, 256)
    assert np.abs(np.asarray(aligned).astype(int) - np.asarray(image)).max() <= 1


def test_a_face_too_small_is_refused_with_its_size() -> None:
    image = Image.new("RGB", (200, 200))
    assert align(image, TEMPLATE * 0.4, 64).size == (71, 87)
    with pytest.raises(FaceTooSmallError, match="fills a square of 53 pixels, expected at least 64"):
        align(image, TEMPLATE * 0.3, 64)


def test_what_lies_outside_repeats_the_edge() -> None:
    aligned = align(Image.new("RGB", (40, 40), (200, 100, 50)), TEMPLATE, 64)
    assert np.unique(np.asarray(aligned).reshape(-1, 3), axis=0).tolist() == [[200, 100, 50]]


def test_a_photograph_comes_out_alike_however_it_is_turned_and_enlarged(
    finder: FaceFinder, celeba: list[Image.Image]
) -> None:
    inner = (slice(20, 50), slice(16, 48))  # the corners of a turned picture are black
    alike = []
    for photograph in celeba[:8]:
        views = [photograph, photograph.resize((890, 1090), Image.Resampling.BICUBIC)]
        views[1] = views[1].rotate(15, Image.Resampling.BICUBIC)
        found = [finder.find(view) for view in views]
        if [len(faces) for faces in found] == [1, 1]:
            aligned = [align(view, faces[0].landmarks, 64) for view, faces in zip(views, found, strict=True)]
            one, other = (preprocess(view, 64)[inner].ravel().astype(float) for view in aligned)
            alike.append(np.corrcoef(one, other)[0, 1])
    assert len(alike) >= 6
    assert np.median(alike) > 0.9


@given(st.floats(0, 1), st.booleans(), st.floats(0.5, 3))
def test_how_much_of_a_face_is_cut_off(share: float, across: bool, scale: float) -> None:
    moved = np.array([share * WIDTH, 0] if across else [0, share * HEIGHT])
    size = (round(WIDTH * scale), round(HEIGHT * scale))
    assert share_outside(size, scale * (TEMPLATE + moved)) == pytest.approx(share, abs=0.03)
    assert share_outside(size, scale * (TEMPLATE - moved)) == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("line", [0, 2])
@pytest.mark.parametrize(("columns", "rows"), [(2, 2), (3, 2), (6, 5)])
def test_sample_sheets_are_told_from_photographs(
    celeba: list[Image.Image], columns: int, rows: int, line: int
) -> None:
    width, height = 89, 109
    sheet = Image.new("RGB", (columns * (width + line) + line, rows * (height + line) + line))
    for place in range(columns * rows):
        x, y = place % columns, place // columns
        small = celeba[place].resize((width, height), Image.Resampling.BICUBIC)
        sheet.paste(small, (line + x * (width + line), line + y * (height + line)))
    assert sheet_shape(sheet) == (columns, rows)
    # Neither a photograph nor a strip of them is one.
    assert [sheet_shape(image) for image in celeba] == [None] * len(celeba)
    assert sheet_shape(sheet.crop((0, 0, sheet.width, height))) is None
