"""Batches are balanced, complete, and a function of the step alone."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakeface.detector.batches import BalancedBatches

GROUPS = np.array([0] * 13 + [1] * 30 + [2] * 7 + [3] * 30)


@settings(max_examples=25, deadline=None)
@given(step=st.integers(0, 1000), half=st.integers(1, 20), seed=st.integers(0, 99))
def test_half_real_and_fakes_spread_over_gans(step: int, half: int, seed: int) -> None:
    rows = BalancedBatches(GROUPS, 2 * half, seed).batch(step).rows
    counts = Counter(GROUPS[rows].tolist())
    assert counts[0] == half
    fakes = [counts[group] for group in (1, 2, 3)]
    assert sum(fakes) == half
    assert max(fakes) - min(fakes) <= 1


def test_every_image_is_used_equally_often() -> None:
    batches = BalancedBatches(GROUPS, 26, seed=0)
    drawn = [batches.batch(step) for step in range(10)]
    reals = np.concatenate([batch.rows[:13] for batch in drawn])
    assert set(Counter(reals.tolist()).values()) == {10}
    assert [set(batch.laps[:13].tolist()) for batch in drawn] == [{lap} for lap in range(10)]


def test_laps_count_how_often_an_image_came_before() -> None:
    batches, before = BalancedBatches(GROUPS, 20, seed=1), Counter[int]()
    for step in range(40):
        for row, lap in zip(*batches.batch(step), strict=True):
            assert lap == before[int(row)]
            before[int(row)] += 1


def test_a_step_does_not_depend_on_the_steps_before() -> None:
    walked = BalancedBatches(GROUPS, 20, seed=3)
    for step in range(40):
        walked.batch(step)
    np.testing.assert_array_equal(walked.batch(17), BalancedBatches(GROUPS, 20, seed=3).batch(17))
    for walked_to, drawn in zip(walked.pairs(17), BalancedBatches(GROUPS, 20, seed=3).pairs(17), strict=True):
        np.testing.assert_array_equal(walked_to, drawn)


@pytest.mark.parametrize("step", [0, 5])
def test_sampled_pairs_are_half_same_and_half_different(step: int) -> None:
    left, right = BalancedBatches(GROUPS, 88, seed=0).pairs(step)
    left_fake, right_fake = GROUPS[left.rows] > 0, GROUPS[right.rows] > 0
    kinds = Counter(zip(left_fake.tolist(), right_fake.tolist(), strict=True))
    assert kinds == {(a, b): 22 for a in (False, True) for b in (False, True)}


@pytest.mark.parametrize("groups", [np.zeros(5, int), np.array([1, 1]), np.array([0, 2]), np.array([], int)])
def test_missing_classes_are_refused(groups: np.ndarray) -> None:
    with pytest.raises(ValueError, match="batches need real and fake images"):
        BalancedBatches(groups, 4, 0)


def test_odd_batch_size_is_refused() -> None:
    with pytest.raises(ValueError, match="got 7"):
        BalancedBatches(GROUPS, 7, 0)
