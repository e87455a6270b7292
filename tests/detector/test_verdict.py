"""Three verdicts from two thresholds."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fakeface.detector.decision import VERDICTS, DecisionRule

# Few values, so that scores and thresholds coincide.
VALUE = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.floats(0, 1))


def named(scores: list[float], threshold: float, lower_threshold: float) -> list[str]:
    return [VERDICTS[index] for index in DecisionRule(threshold, lower_threshold).verdicts(np.array(scores))]


def test_scores_at_the_thresholds_are_unsure() -> None:
    assert named([0.1, 0.2, 0.5, 0.8, 0.9], 0.8, 0.2) == ["real", "unsure", "unsure", "unsure", "fake"]


def test_nothing_is_unsure_where_the_lower_threshold_is_not_lower() -> None:
    for lower in (0.6, 0.7, 1.0):
        assert named([0.1, 0.6, 0.65, 0.9], 0.6, lower) == ["real", "real", "fake", "fake"]


@given(st.lists(VALUE, min_size=1, max_size=20), VALUE, VALUE)
def test_the_rule_in_words(scores: list[float], threshold: float, lower: float) -> None:
    for score, verdict in zip(scores, named(scores, threshold, lower), strict=True):
        if score > threshold:
            assert verdict == "fake"
        elif lower >= threshold or score < lower:
            assert verdict == "real"
        else:
            assert verdict == "unsure"
