"""The block of metrics against scikit-learn and against slow, independent definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from fakeface.metrics.scores import METRICS, score_block

# Few distinct values, bin edges and the ends among them: ties and boundaries are the hard cases.
tied = st.sampled_from([0.0, 1 / 15, 0.2, 0.25, 0.4, 0.5, 0.6, 0.75, 0.8, 14 / 15, 1.0])
probability = st.one_of(tied, st.floats(0, 1, allow_nan=False))


@st.composite
def scored_images(draw, one_class_allowed=False):
    """Labels int (N,) and scores float64 (N,), 2 <= N <= 40."""
    rows = draw(st.lists(st.tuples(st.integers(0, 1), probability), min_size=2, max_size=40))
    labels = np.array([label for label, _ in rows])
    if not one_class_allowed:
        assume(0 < labels.sum() < len(labels))
    return labels, np.array([score for _, score in rows])


def overlapping(n_real=1500, n_fake=2000, seed=1):
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], [n_real, n_fake])
    scores = np.clip(np.r_[rng.normal(0.4, 0.15, n_real), rng.normal(0.6, 0.15, n_fake)], 0, 1)
    return labels, scores


def reference_auroc(labels, scores):
    """Share of (fake, photograph) pairs in the right order."""
    difference = scores[labels == 1][:, None] - scores[labels == 0][None]
    return np.mean((difference > 0) + 0.5 * (difference == 0))


def reference_eer(labels, scores):
    """Bisection along the ROC of scikit-learn, joined by straight lines."""
    fpr, tpr, _ = sk.roc_curve(labels, scores, drop_intermediate=False)
    length = np.r_[0, np.cumsum(np.diff(fpr) + np.diff(tpr))]
    low, high = 0.0, length[-1]
    for _ in range(80):
        middle = (low + high) / 2
        if np.interp(middle, length, fpr) < 1 - np.interp(middle, length, tpr):
            low = middle
        else:
            high = middle
    return np.interp(high, length, fpr)


def reference_ece(labels, scores):
    """Bin by bin, every image with its weight: each class has one half in all."""
    weights = np.where(labels == 1, 0.5 / (labels == 1).sum(), 0.5 / (labels == 0).sum())
    total = 0.0
    for index in range(15):
        low, high = np.linspace(0, 1, 16)[index : index + 2]
        inside = (scores > low) & (scores <= high)
        if index == 0:
            inside |= scores == 0
        if inside.any():
            here = weights[inside]
            gap = np.average(labels[inside], weights=here) - np.average(scores[inside], weights=here)
            total += here.sum() * abs(gap)
    return total


@given(scored_images(), probability)
@settings(max_examples=200, deadline=None)
def test_every_metric_equals_its_reference(images, threshold):
    labels, scores = images
    block = score_block(labels, scores, threshold)
    called = (scores > threshold).astype(int)
    expected = {
        "precision": sk.precision_score(labels, called, zero_division=np.nan),
        "recall": sk.recall_score(labels, called),
        "f1": sk.f1_score(labels, called),
        "accuracy": sk.accuracy_score(labels, called),
        "auroc": sk.roc_auc_score(labels, scores),
        "average_precision": sk.average_precision_score(labels, scores),
        "eer": reference_eer(labels, scores),
        "fpr": called[labels == 0].mean(),
        "ece": reference_ece(labels, scores),
        "real_precision": sk.precision_score(labels, called, pos_label=0, zero_division=np.nan),
        "real_recall": sk.recall_score(labels, called, pos_label=0),
    }
    assert set(expected) == set(METRICS)
    assert (block["n_real"], block["n_fake"]) == ((labels == 0).sum(), labels.sum())
    for name, value in expected.items():
        if np.isnan(value):
            assert block[name] is None
            assert name in block["undefined"]
        else:
            assert block[name] == pytest.approx(value, abs=1e-9), name
    assert block["auroc"] == pytest.approx(reference_auroc(labels, scores), abs=1e-12)


@given(scored_images(one_class_allowed=True), probability)
@settings(deadline=None)
def test_values_are_fractions_and_none_has_a_reason(images, threshold):
    block = score_block(*images, threshold, bootstrap=5)
    undefined = block.get("undefined", {})
    for name in METRICS:
        assert (block[name] is None) == (name in undefined)
        assert (block[f"{name}_ci95"] is None) == (name in undefined)
        if block[name] is not None:
            low, high = block[f"{name}_ci95"]
            assert 0 <= block[name] <= 1
            assert -1e-12 <= low <= high <= 1 + 1e-12


@given(scored_images(), st.floats(0.2, 5))
@settings(deadline=None)
def test_auroc_ap_and_eer_see_only_the_order(images, power):
    labels, scores = images
    ranks = np.unique(scores, return_inverse=True)[1]
    moved = (ranks / (ranks.max() + 1)) ** power
    before, after = score_block(labels, scores, 0.5), score_block(labels, moved, 0.5)
    for name in ("auroc", "average_precision", "eer"):
        assert after[name] == pytest.approx(before[name], abs=1e-9)


@given(scored_images())
@settings(deadline=None)
def test_swapping_the_classes_mirrors_the_block(images):
    labels, scores = images
    scores = np.round(scores * 1024) / 1024  # so that 1 - score is exact
    scores[scores == 0.5] = 0.25  # a score at the threshold is called real on both sides
    block = score_block(labels, scores, 0.5)
    swapped = score_block(1 - labels, 1 - scores, 0.5)
    assert swapped["auroc"] == pytest.approx(block["auroc"], abs=1e-9)
    assert swapped["eer"] == pytest.approx(block["eer"], abs=1e-9)
    assert swapped["precision"] == pytest.approx(block["real_precision"], abs=1e-12)
    assert swapped["recall"] == pytest.approx(block["real_recall"], abs=1e-12)
    assert swapped["accuracy"] == pytest.approx(block["accuracy"], abs=1e-12)


@given(scored_images())
@settings(deadline=None)
def test_reversing_the_scores_reverses_auroc(images):
    labels, scores = images
    ranks = np.unique(scores, return_inverse=True)[1] / len(scores)
    forwards, backwards = score_block(labels, ranks, 0.5), score_block(labels, 1 - ranks, 0.5)
    assert forwards["auroc"] + backwards["auroc"] == pytest.approx(1, abs=1e-12)


@given(scored_images(), probability)
@settings(deadline=None)
def test_false_positives_and_real_recall_are_complements(images, threshold):
    block = score_block(*images, threshold)
    assert block["fpr"] + block["real_recall"] == pytest.approx(1, abs=1e-12)


def test_precision_and_recall_are_those_of_fakes():
    # 4 photographs, 2 fakes; one photograph and one fake are called fake.
    block = score_block([0, 0, 0, 0, 1, 1], [0.1, 0.2, 0.3, 0.9, 0.4, 0.8], 0.5)
    assert (block["precision"], block["recall"]) == (1 / 2, 1 / 2)
    assert (block["real_precision"], block["real_recall"]) == (3 / 4, 3 / 4)
    assert block["fpr"] == 1 / 4


def test_a_score_at_the_threshold_is_called_real():
    block = score_block([0, 1], [0.5, 0.5], 0.5)
    assert (block["recall"], block["fpr"], block["precision"]) == (0, 0, None)
    assert block["undefined"] == {"precision": "no image was called fake"}


def test_perfect_and_constant_scores():
    perfect = score_block([0, 0, 1, 1], [0, 0, 1, 1], 0.5)
    assert (perfect["auroc"], perfect["average_precision"], perfect["eer"], perfect["ece"]) == (1, 1, 0, 0)
    constant = score_block([0, 0, 1, 1], [0.5] * 4, 0.4)
    assert (constant["auroc"], constant["average_precision"], constant["eer"], constant["ece"]) == (
        0.5,
        0.5,
        0.5,
        0,
    )


def test_one_class_alone_leaves_what_it_can_define():
    fakes = score_block([1, 1], [0.2, 0.9], 0.5, bootstrap=20)
    assert (fakes["recall"], fakes["accuracy"]) == (0.5, 0.5)
    assert fakes["auroc"] is fakes["auroc_ci95"] is fakes["precision"] is fakes["fpr"] is None
    assert set(fakes["undefined"].values()) == {"no real images"}

    reals = score_block([0, 0], [0.2, 0.9], 0.5)
    assert (reals["fpr"], reals["real_recall"], reals["recall"]) == (0.5, 0.5, None)
    assert set(reals["undefined"].values()) == {"no fake images"}
    assert fakes["ece"] is fakes["ece_ci95"] is reals["ece"] is None

    nothing = score_block([], [], 0.5, bootstrap=3)
    assert nothing["undefined"] == dict.fromkeys(METRICS, "no images")


def test_ece_is_of_even_odds_whatever_the_numbers_of_the_classes():
    """Scores that are P(fake) at even odds stay calibrated when one class has ten times the images."""
    rng = np.random.default_rng(0)
    logits = rng.normal(-1, np.sqrt(2), 40_000), rng.normal(1, np.sqrt(2), 40_000)
    reals, fakes = (1 / (1 + np.exp(-values)) for values in logits)
    for part in (reals, reals[::10]):
        scores, labels = np.r_[part, fakes], np.repeat([0, 1], [len(part), len(fakes)])
        assert score_block(labels, scores, 0.5)["ece"] < 0.02
    few = score_block(np.repeat([0, 1], [40, 400]), np.r_[reals[:40], fakes[:400]], 0.5)
    thrice = np.r_[reals[:40], np.tile(fakes[:400], 3)]
    many = score_block(np.repeat([0, 1], [40, 1200]), thrice, 0.5)
    assert many["ece"] == pytest.approx(few["ece"], abs=1e-12)


def test_ece_is_the_same_with_the_classes_swapped():
    labels, scores = overlapping(40, 90)
    swapped = score_block(1 - labels, 1 - scores, 0.5)
    assert swapped["ece"] == pytest.approx(score_block(labels, scores, 0.5)["ece"], abs=1e-12)


def test_resampled_ece_is_weighted_as_the_value_is():
    labels, scores = overlapping(300, 1500)
    block = score_block(labels, scores, 0.5, bootstrap=1000)
    rng = np.random.default_rng(99)
    reals, fakes = scores[labels == 0], scores[labels == 1]
    loop = [
        reference_ece(labels, np.r_[rng.choice(reals, reals.size), rng.choice(fakes, fakes.size)])
        for _ in range(300)
    ]
    low, high = block["ece_ci95"]
    assert np.percentile(loop, [2.5, 97.5]) == pytest.approx([low, high], abs=0.2 * (high - low))


def test_keys_with_and_without_bootstrap():
    labels, scores = overlapping(20, 20)
    assert list(score_block(labels, scores, 0.5)) == ["n_real", "n_fake", *METRICS]
    with_intervals = score_block(labels, scores, 0.5, bootstrap=10)
    assert set(with_intervals) == {"n_real", "n_fake", *METRICS, *(f"{name}_ci95" for name in METRICS)}


def test_bootstrap_is_seeded_and_leaves_the_values_alone():
    labels, scores = overlapping(200, 300)
    first = score_block(labels, scores, 0.5, bootstrap=50, seed=3)
    assert first == score_block(labels, scores, 0.5, bootstrap=50, seed=3)
    assert first != score_block(labels, scores, 0.5, bootstrap=50, seed=4)
    plain = score_block(labels, scores, 0.5)
    assert plain == {name: value for name, value in first.items() if not name.endswith("_ci95")}


def test_intervals_do_not_depend_on_how_resamples_are_chunked(monkeypatch):
    labels, scores = overlapping(100, 150)
    whole = score_block(labels, scores, 0.5, bootstrap=40, seed=5)
    monkeypatch.setattr("fakeface.metrics.scores._CELLS_PER_CHUNK", 7 * 250)
    assert score_block(labels, scores, 0.5, bootstrap=40, seed=5) == whole


def test_intervals_contain_the_value_and_narrow_with_more_images():
    small, large = overlapping(150, 200), overlapping(15_000, 20_000)
    narrow = score_block(*large, 0.5, bootstrap=200)
    wide = score_block(*small, 0.5, bootstrap=200)
    for name in METRICS:
        low, high = narrow[f"{name}_ci95"]
        assert low <= narrow[name] <= high, name
        assert high - low < wide[f"{name}_ci95"][1] - wide[f"{name}_ci95"][0], name


def test_intervals_agree_with_a_plain_loop_over_resamples():
    labels, scores = overlapping(300, 400)
    block = score_block(labels, scores, 0.5, bootstrap=2000)
    rng = np.random.default_rng(99)
    reals, fakes = scores[labels == 0], scores[labels == 1]
    loops: dict[str, list[float]] = {"auroc": [], "precision": [], "average_precision": []}
    for _ in range(400):
        drawn = np.r_[rng.choice(reals, reals.size), rng.choice(fakes, fakes.size)]
        loops["auroc"].append(sk.roc_auc_score(labels, drawn))
        loops["precision"].append(sk.precision_score(labels, drawn > 0.5))
        loops["average_precision"].append(sk.average_precision_score(labels, drawn))
    for name, values in loops.items():
        low, high = block[f"{name}_ci95"]
        width = high - low
        assert np.percentile(values, [2.5, 97.5]) == pytest.approx([low, high], abs=0.15 * width)


def test_auroc_interval_covers_the_truth_about_as_often_as_it_says():
    from scipy.stats import norm

    truth = norm.cdf(0.2 / (0.15 * np.sqrt(2)))
    covered = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        scores = np.r_[rng.normal(0.4, 0.15, 200), rng.normal(0.6, 0.15, 200)]
        squeezed = norm.cdf(scores)  # into [0, 1] without changing the order
        block = score_block(np.repeat([0, 1], 200), squeezed, 0.5, bootstrap=200, seed=seed)
        covered += block["auroc_ci95"][0] <= truth <= block["auroc_ci95"][1]
    assert 88 <= covered <= 100


@pytest.mark.parametrize(
    ("labels", "scores", "threshold", "message"),
    [
        ([0, 1, 1], [0.1, float("nan"), float("nan")], 0.5, "got 2 NaN among 3"),
        ([0, 1], [0.1, 1.5], 0.5, r"in \[0, 1\], got 1 outside, the first 1.5"),
        ([0, 2], [0.1, 0.5], 0.5, "labels must be 0 or 1, got 1 others"),
        ([0, 1], [0.1], 0.5, r"must both be \(N,\), got \(2,\) and \(1,\)"),
        ([0, 1], [0.1, 0.5], float("nan"), "threshold must be a number"),
    ],
)
def test_bad_input_is_named(labels, scores, threshold, message):
    with pytest.raises(ValueError, match=message):
        score_block(labels, scores, threshold)


def test_negative_bootstrap_is_refused():
    with pytest.raises(ValueError, match="bootstrap must be a number of resamples >= 0, got -1"):
        score_block([0, 1], [0.1, 0.5], 0.5, bootstrap=-1)
