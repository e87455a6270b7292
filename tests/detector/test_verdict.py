"""Three verdicts from two thresholds and from copies of a picture; ranks among photographs."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fakeface.detector.decision import VERDICTS, DecisionRule, copies, judge_with_copies

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


@given(st.lists(VALUE, min_size=1, max_size=30), st.lists(VALUE, min_size=1, max_size=20))
def test_a_rank_is_the_share_of_photographs_that_score_lower(
    photographs: list[float], scores: list[float]
) -> None:
    rule = DecisionRule(0.5, 0.5, photographs=tuple(sorted(photographs)))
    ranks = rule.ranks(np.array(scores))
    assert ranks is not None
    for score, rank in zip(scores, ranks, strict=True):
        assert rank == sum(other < score for other in photographs) / len(photographs)


def test_without_photographs_there_is_no_rank() -> None:
    assert DecisionRule.at(0.5).ranks(np.array([0.3])) is None


class Scripted:
    """Gives the scores of its script, call by call."""

    image_size = 8

    def __init__(self, *script: list[float]) -> None:
        self.rule = DecisionRule(0.8, 0.2)
        self.script = [np.array(scores) for scores in script]
        self.seen: list[np.ndarray] = []

    def score_and_embed(self, images: np.ndarray, batch_size: int) -> tuple[np.ndarray, np.ndarray]:  # noqa: ARG002
        self.seen.append(images)
        return self.script[len(self.seen) - 1], np.zeros((len(images), 1), dtype=np.float32)

    def attribution_features(self, images: np.ndarray) -> np.ndarray:
        return np.zeros((len(images), 1), dtype=np.float32)


def test_a_copy_with_the_opposite_verdict_makes_unsure_and_a_milder_one_does_not() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    scorer = Scripted([0.9, 0.9, 0.1, 0.1, 0.5], [0.1, 0.5, 0.1, 0.9, 0.1], [0.9, 0.9, 0.5, 0.1, 0.9])
    scores, verdicts = judge_with_copies(scorer, images, 8)
    assert scores.tolist() == [0.9, 0.9, 0.1, 0.1, 0.5]
    assert [VERDICTS[index] for index in verdicts] == ["unsure", "fake", "real", "unsure", "unsure"]
    # The picture itself, then its copies, each in one batch.
    assert np.array_equal(scorer.seen[0], images)
    for place, image in enumerate(images):
        for batch, copy in zip(scorer.seen[1:], copies(image), strict=True):
            assert np.array_equal(batch[place], copy)
