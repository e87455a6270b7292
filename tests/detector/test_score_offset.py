"""The score_offset is what the loss of fine detail alone does to the mean margin of photographs."""

from __future__ import annotations

import io

import numpy as np
import pytest
from conftest import random_picture
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.fft import dct

from fakeface.data.augmentation import corrupt
from fakeface.detector.calibration import (
    NO_SCORE_OFFSET,
    ScoreOffset,
    ScoreOffsetError,
    fit_score_offset,
    missing_detail,
)


def pictures(count: int) -> np.ndarray:
    return np.stack([np.asarray(random_picture(seed, 64, 64)) for seed in range(count)])


def jpeg(images: np.ndarray, quality: int) -> np.ndarray:
    result = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, format="JPEG", quality=quality)
        result.append(np.asarray(Image.open(buffer)))
    return np.stack(result)


def test_missing_detail_is_that_of_the_definition() -> None:
    images = pictures(2)
    for image, trace in zip(images, missing_detail(images), strict=True):
        luma = image @ np.array([0.299, 0.587, 0.114])
        shares = []
        for top in range(0, 64, 8):
            for left in range(0, 64, 8):
                block = luma[top : top + 8, left : left + 8]
                c = dct(dct(block, axis=0, norm="ortho"), axis=1, norm="ortho")
                shares += [np.exp(-((c[u, v] / 0.3) ** 2)) for u in range(4, 8) for v in range(4, 8)]
        assert trace == pytest.approx(np.log(np.mean(shares) + 0.01), abs=1e-9)


def test_more_compression_leaves_more_traces() -> None:
    images = pictures(8)
    means = [missing_detail(images).mean()]
    means += [missing_detail(jpeg(images, quality)).mean() for quality in (95, 85, 60)]
    assert means == sorted(means)
    assert means[-1] > means[0] + 1


def test_traces_do_not_depend_on_the_other_images_or_on_black_and_white() -> None:
    images = pictures(5)
    np.testing.assert_allclose(missing_detail(images)[3], missing_detail(images[3:4])[0])
    flat = np.full((1, 64, 64, 3), 77, dtype=np.uint8)
    assert missing_detail(flat)[0] == pytest.approx(np.log(1.01))
    assert missing_detail(images[:0]).shape == (0,)


def test_noise_is_detail_and_blur_takes_it() -> None:
    images = pictures(10)
    noisy = corrupt(images, "noise", 8, np.arange(10)[:, None])
    blurred = corrupt(images, "blur", 1.0, np.arange(10)[:, None])
    assert missing_detail(noisy).max() < missing_detail(images).mean() < missing_detail(blurred).min()


@given(st.tuples(*[st.floats(-5, 5)] * 3), st.integers(0, 2**32 - 1))
def test_a_parabola_is_recovered(coefficients: tuple[float, float, float], seed: int) -> None:
    traces = np.random.default_rng(seed).uniform(-4, 0, 400)
    margins = np.polynomial.polynomial.polyval(traces, coefficients)
    score_offset = fit_score_offset(margins, traces)
    np.testing.assert_allclose(score_offset.margins(traces), margins - margins.mean(), atol=0.01)


def test_beyond_the_photographs_the_nearer_end_counts() -> None:
    score_offset = ScoreOffset((1.0, 2.0, 3.0), -2.0, -1.0)
    assert score_offset.margins(np.array([-9.0, -2.0, -1.0, 0.0])).tolist() == [9.0, 9.0, 2.0, 2.0]
    assert NO_SCORE_OFFSET.margins(np.array([-3.0, 0.0])).tolist() == [0.0, 0.0]


def test_photographs_that_are_all_alike_stay_where_they_are() -> None:
    score_offset = fit_score_offset(np.array([-3.0, -5.0, -4.0] * 50), np.full(150, -1.2))
    assert score_offset.margins(np.array([-1.2, 0.0])) == pytest.approx([0.0, 0.0], abs=0.01)


@pytest.mark.parametrize(
    "arguments", [((1.0, 2.0), 0.0, 1.0), ((1.0, 2.0, float("nan")), 0.0, 1.0), ((1.0, 2.0, 3.0), 2.0, 1.0)]
)
def test_what_is_no_reference_is_refused(arguments: tuple) -> None:
    with pytest.raises(ScoreOffsetError, match="range of finite numbers expected"):
        ScoreOffset(*arguments)
