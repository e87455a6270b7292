"""Thresholds keep their promises on any scores; the calibration error is that of the blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakeface.metrics.scores import score_block
from fakeface.metrics.thresholds import calibration_error, choose_threshold

# Few distinct values, bin edges and the ends among them: ties and boundaries are the hard cases.
tied = st.sampled_from([0.0, 1 / 15, 0.2, 0.25, 0.4, 0.5, 0.6, 0.75, 0.8, 14 / 15, 1.0])
probability = st.one_of(tied, st.floats(0, 1, allow_nan=False))


@given(st.lists(probability, min_size=1, max_size=60), st.floats(0, 1, exclude_max=True))
@settings(max_examples=300, deadline=None)
def test_threshold_is_the_smallest_within_the_target(scores, target):
    reals = np.array(scores)
    threshold = choose_threshold(reals, target)
    assert np.mean(reals > threshold) <= target
    assert threshold in reals
    lower = np.nextafter(threshold, -1)
    assert np.mean(reals > lower) > target


@given(st.lists(probability, min_size=1, max_size=60), st.floats(0, 1, exclude_max=True))
@settings(deadline=None)
def test_threshold_keeps_its_promise_in_the_block(scores, target):
    reals = np.array(scores)
    labels = np.r_[np.zeros(len(reals)), 1]
    block = score_block(labels, np.r_[reals, 0.5], choose_threshold(reals, target))
    assert block["fpr"] <= target


def test_threshold_at_five_percent_of_a_hundred():
    assert choose_threshold(np.arange(100) / 100, 0.05) == 0.94
    assert choose_threshold(np.full(100, 0.7), 0.05) == 0.7
    # 0.29 * 100 is 28.999999999999996 in floating point; 29 of 100 are within the target all the same.
    assert choose_threshold(np.arange(100) / 100, 0.29) == 0.70


def test_threshold_of_single_precision_scores_survives_json():
    import json

    scores = np.array([0.1, 0.2, 0.3], dtype=np.float32)
    threshold = json.loads(json.dumps(choose_threshold(scores, 0.4)))
    assert score_block([0, 0, 0], scores, threshold)["fpr"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("scores", "target", "message"),
    [
        ([], 0.05, "N >= 1"),
        ([0.5, float("nan")], 0.05, "got 1 NaN among 2"),
        ([0.5], 1.0, r"target_fpr must be in \[0, 1\), got 1.0"),
        ([0.5], -0.1, "target_fpr"),
    ],
)
def test_bad_threshold_input_is_named(scores, target, message):
    with pytest.raises(ValueError, match=message):
        choose_threshold(scores, target)


@given(st.lists(st.tuples(probability, st.booleans()), min_size=2, max_size=60))
@settings(deadline=None)
def test_calibration_error_is_that_of_the_block(images):
    scores, is_fake = np.array([one[0] for one in images]), np.array([one[1] for one in images])
    is_fake[:2] = [True, False]
    block = score_block(is_fake.astype(int), scores, 0.5)
    assert calibration_error(is_fake, scores) == pytest.approx(block["ece"], abs=1e-12)
