"""The learning rate: what each schedule promises, at any length of training."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakeface.detector.train_cffn import learning_rate


@given(total=st.integers(1, 5000), peak=st.floats(1e-6, 1))
def test_cosine_rises_to_its_peak_then_falls(total: int, peak: float) -> None:
    rates = [learning_rate("cosine", peak, step, total) for step in range(total)]
    top = rates.index(max(rates))
    assert rates[top] == pytest.approx(peak)
    assert all(0 < rate <= peak * (1 + 1e-12) for rate in rates)
    assert all(a < b for a, b in pairwise(rates[: top + 1]))
    assert all(a >= b for a, b in pairwise(rates[top:]))
    assert top <= max(1, round(0.1 * total))


def test_cosine_is_half_way_down_in_the_middle_of_the_fall() -> None:
    assert learning_rate("cosine", 1.0, 55, 100) == pytest.approx(0.5)
    assert learning_rate("cosine", 1.0, 99, 100) == pytest.approx(0.5 * (1 + math.cos(math.pi * 89 / 90)))


def test_constant_stays() -> None:
    assert {learning_rate("constant", 0.3, step, 10) for step in range(10)} == {0.3}
