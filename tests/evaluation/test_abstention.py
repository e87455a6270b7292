"""Shares of unsure images and accuracy on the others, against loops over the images."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from fakeface.evaluation.abstention import ABSTENTION_METRICS, abstention_block, coverage_curve
from fakeface.metrics.scores import score_block

VALUE = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.floats(0, 1))
IMAGES = st.lists(st.tuples(st.integers(0, 1), VALUE), min_size=1, max_size=40)


def overlapping(n_real: int = 300, n_fake: int = 900, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scores = np.r_[rng.beta(2, 4, n_real), rng.beta(4, 2, n_fake)]
    return np.repeat([0, 1], [n_real, n_fake]), scores


def reference(images: list[tuple[int, float]], upper: float, lower: float) -> dict[str, float | None]:
    def share(chosen: list[bool]) -> float | None:
        return sum(chosen) / len(chosen) if chosen else None

    unsure = [(label, lower <= score <= upper and lower < upper) for label, score in images]
    decided = [image for image, (_, refused) in zip(images, unsure, strict=True) if not refused]
    recalls = [
        share([(score > upper) == bool(label) for label, score in decided if label == wanted])
        for wanted in (0, 1)
    ]
    return {
        "unsure": share([refused for _, refused in unsure]),
        "unsure_real": share([refused for label, refused in unsure if label == 0]),
        "unsure_fake": share([refused for label, refused in unsure if label == 1]),
        "accuracy_decided": None if None in recalls else sum(recalls) / 2,  # type: ignore[arg-type]
    }


@given(IMAGES, VALUE, VALUE)
def test_every_share_equals_its_count(images: list[tuple[int, float]], upper: float, lower: float) -> None:
    labels, scores = (np.array(column) for column in zip(*images, strict=True))
    block = abstention_block(labels, scores, upper, lower, bootstrap=5)
    for name, value in reference(images, upper, lower).items():
        if value is None:
            assert block[name] is None
            assert block[f"{name}_ci95"] is None
            assert name in block["undefined"]
        else:
            assert block[name] == pytest.approx(value, abs=1e-12)
            assert name not in block.get("undefined", {})
            for end in block[f"{name}_ci95"] or ():
                assert 0 <= end <= 1


def test_reasons_of_what_is_undefined() -> None:
    everything = abstention_block([0, 1], [0.5, 0.9], 0.6, 0.4)
    assert everything["undefined"] == {"accuracy_decided": "every real image is unsure"}
    assert (everything["unsure"], everything["unsure_real"], everything["unsure_fake"]) == (0.5, 1, 0)
    fakes = abstention_block([1, 1], [0.5, 0.9], 0.6, 0.4)
    assert fakes["undefined"] == {"unsure_real": "no real images", "accuracy_decided": "no real images"}
    assert abstention_block([], [], 0.6, 0.4)["undefined"]["unsure"] == "no images"


def test_an_empty_band_leaves_balanced_accuracy() -> None:
    labels, scores = overlapping()
    for lower in (0.5, 0.7):
        block = abstention_block(labels, scores, 0.5, lower)
        assert block["unsure"] == block["unsure_real"] == block["unsure_fake"] == 0
        assert block["accuracy_decided"] == pytest.approx(balanced_accuracy_score(labels, scores > 0.5))


def test_intervals_are_those_of_a_loop_over_resamples() -> None:
    labels, scores = overlapping()
    block = abstention_block(labels, scores, 0.6, 0.4, bootstrap=2000, seed=1)
    assert block == abstention_block(labels, scores, 0.6, 0.4, bootstrap=2000, seed=1)
    assert block != abstention_block(labels, scores, 0.6, 0.4, bootstrap=2000, seed=2)
    rng = np.random.default_rng(9)
    drawn = []
    for _ in range(400):
        again = np.r_[rng.choice(scores[labels == 0], 300), rng.choice(scores[labels == 1], 900)]
        drawn.append(abstention_block(labels, again, 0.6, 0.4))
    for name in ABSTENTION_METRICS:
        low, high = block[f"{name}_ci95"]
        assert low < block[name] < high
        loop = np.percentile([one[name] for one in drawn], [2.5, 97.5])
        assert loop == pytest.approx([low, high], abs=0.2 * (high - low))


def test_negative_bootstrap_is_refused() -> None:
    with pytest.raises(ValueError, match="bootstrap must be a number of resamples >= 0, got -1"):
        abstention_block([0, 1], [0.1, 0.9], 0.5, 0.4, bootstrap=-1)


def log_odds(p: float) -> float:
    return math.inf if p == 1 else -math.inf if p == 0 else math.log(p) - math.log1p(-p)


@given(
    st.lists(
        # Spread widely enough for two ways to take a logarithm to agree on what is equal.
        st.tuples(st.integers(0, 1), st.integers(0, 1000).map(lambda i: i / 1000)),
        min_size=2,
        max_size=30,
    ).filter(lambda images: len({label for label, _ in images}) == 2),
    st.sampled_from([0.3105, 0.5005, 0.9005]),
)
@example([(0, 0.0), (0, 1.0), (1, 0.0)], 0.3105)
def test_the_curve_against_a_loop_over_cuts(images: list[tuple[int, float]], threshold: float) -> None:
    labels, scores = (np.array(column) for column in zip(*images, strict=True))
    sureness = np.array([round(abs(log_odds(s) - log_odds(threshold)), 9) for s in scores])
    expected = []
    for cut in sorted(set(sureness), reverse=True):
        kept = sureness >= cut
        by_class = [kept & (labels == label) for label in (0, 1)]
        if all(rows.any() for rows in by_class):
            coverage = np.mean([rows.sum() / (labels == label).sum() for label, rows in enumerate(by_class)])
            accuracy = np.mean([((scores > threshold) == labels)[rows].mean() for rows in by_class])
            expected.append((coverage, accuracy))
    found = np.column_stack(coverage_curve(labels, scores, threshold))
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert found[-1, 0] == 1
    block = score_block(labels, scores, threshold)
    assert found[-1, 1] == pytest.approx((block["recall"] + block["real_recall"]) / 2)


def test_refusing_the_least_sure_helps_where_scores_mean_something() -> None:
    labels, scores = overlapping(3000, 9000)
    coverage, accuracy = coverage_curve(labels, scores, 0.5)
    assert (np.diff(coverage) > 0).all()
    assert accuracy[np.searchsorted(coverage, 0.5)] > accuracy[-1] + 0.05


def test_the_curve_does_not_depend_on_how_many_fakes_there_are() -> None:
    labels, scores = overlapping(50, 80)
    thrice = np.r_[labels, labels[50:], labels[50:]], np.r_[scores, scores[50:], scores[50:]]
    np.testing.assert_allclose(coverage_curve(labels, scores, 0.5), coverage_curve(*thrice, 0.5))


def test_scores_that_rounded_to_the_ends_are_the_surest() -> None:
    coverage, accuracy = coverage_curve([0, 1, 0, 1], [0.0, 1.0, 0.6, 0.4], 0.5)
    np.testing.assert_allclose(coverage, [0.5, 1])
    np.testing.assert_allclose(accuracy, [1, 0.5])
    assert np.isfinite(coverage_curve([0, 1, 0, 1], [0.0, 1.0, 0.6, 0.4], 1.0)).all()


def test_a_curve_needs_both_classes() -> None:
    with pytest.raises(ValueError, match="coverage needs real and fake images, got 2 real, 0 fake"):
        coverage_curve([0, 0], [0.1, 0.2], 0.5)
