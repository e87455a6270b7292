"""Scores of folds on disk, and what is concluded from them, against scikit-learn and plain loops."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fakeface.evaluation.compare import gains, summary
from fakeface.evaluation.folds import FoldScores, FoldScoresError, Run, joined
from fakeface.metrics.scores import METRICS, bootstrap_samples, mean_block, score_block

PROTOCOLS = ("laundered", "mild", "clean")


def fold(gan: str, strengths: dict[str, float], seed: int, reals: int = 60, fakes: int = 50) -> FoldScores:
    """Scores in which fakes are higher than photographs by ``strength``, three seeds a method."""
    rng = np.random.default_rng(seed)
    gans = np.array([""] * reals + [gan] * fakes)
    content = rng.normal(size=len(gans))
    runs = []
    for method, strength in strengths.items():
        for training in range(3):
            scores = {}
            for protocol in PROTOCOLS:
                z = content + 0.3 * rng.normal(size=len(gans)) + strength * (gans != "")
                scores[protocol] = 1 / (1 + np.exp(-z))
            runs.append(Run(method, training, 0.6 + 0.01 * training, scores, "a GPU"))
    return FoldScores(np.array([f"{i:06d}" for i in range(len(gans))]), gans, tuple(runs))


@pytest.fixture
def folds() -> dict[str, FoldScores]:
    strengths = {"good": 2.0, "weak": 1.0}
    return {"dcgan": fold("dcgan", strengths, 1), "wgan": fold("wgan", {"good": 1.5, "weak": 1.0}, 2)}


def _replaced(run: Run) -> Run:
    return replace(run, scores={})


def auroc(scores: FoldScores, run: Run, protocol: str) -> float:
    return float(roc_auc_score(scores.labels, run.scores[protocol]))


def test_scores_survive_the_disk(folds: dict[str, FoldScores], tmp_path: Path) -> None:
    folds["dcgan"].write(tmp_path / "dcgan")
    loaded = FoldScores.read(tmp_path / "dcgan")
    np.testing.assert_array_equal(loaded.names, folds["dcgan"].names)
    np.testing.assert_array_equal(loaded.labels, folds["dcgan"].labels)
    for before, after in zip(folds["dcgan"].runs, loaded.runs, strict=True):
        assert _replaced(before) == _replaced(after)
        for protocol in PROTOCOLS:
            np.testing.assert_array_equal(before.scores[protocol], after.scores[protocol])


def test_damaged_scores_are_refused(folds: dict[str, FoldScores], tmp_path: Path) -> None:
    with pytest.raises(FoldScoresError, match="dcgan: not the scores of a fold"):
        FoldScores.read(tmp_path / "dcgan")
    folds["dcgan"].write(tmp_path / "dcgan")
    table = (tmp_path / "dcgan" / "scores.csv").read_text().replace("good/1/", "other/1/")
    (tmp_path / "dcgan" / "scores.csv").write_text(table)
    with pytest.raises(FoldScoresError, match="no column good/1/<protocol>"):
        FoldScores.read(tmp_path / "dcgan")


def test_scores_of_other_images_are_not_joined(folds: dict[str, FoldScores]) -> None:
    assert len(joined([folds["dcgan"], folds["dcgan"]]).runs) == 12
    with pytest.raises(FoldScoresError, match="different images"):
        joined([folds["dcgan"], folds["wgan"]])
    with pytest.raises(FoldScoresError, match="no scores"):
        joined([])


def test_mean_block_averages_blocks(folds: dict[str, FoldScores]) -> None:
    scores = folds["dcgan"]
    runs = scores.of("good")
    block = mean_block(
        scores.labels,
        [run.scores["mild"] for run in runs],
        [run.threshold for run in runs],
        bootstrap=200,
        seed=3,
    )
    singles = [score_block(scores.labels, run.scores["mild"], run.threshold) for run in runs]
    for metric in METRICS:
        values = [single[metric] for single in singles]
        assert block[metric] == pytest.approx(np.mean(values))
        assert block[f"{metric}_std"] == pytest.approx(np.std(values, ddof=1))
    low, high = block["auroc_ci95"]
    assert low < block["auroc"] < high


def test_one_run_is_a_plain_block(folds: dict[str, FoldScores]) -> None:
    scores = folds["dcgan"]
    run = scores.runs[0]
    assert mean_block(scores.labels, [run.scores["mild"]], [0.5], bootstrap=50, seed=1) == score_block(
        scores.labels, run.scores["mild"], 0.5, bootstrap=50, seed=1
    )
    with pytest.raises(ValueError, match="one threshold each, got 1 runs, 2 thresholds"):
        mean_block(scores.labels, [run.scores["mild"]], [0.5, 0.6])


def test_a_metric_undefined_in_one_run_is_none() -> None:
    labels, high, low = np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.8, 0.9]), np.full(4, 0.1)
    block = mean_block(labels, [high, low], [0.5, 0.5], bootstrap=20)
    assert block["precision"] is None
    assert block["precision_ci95"] is None
    assert "precision" in block["undefined"]
    assert block["auroc"] == pytest.approx(0.75)


def test_resamples_are_paired() -> None:
    """The same images are drawn for two detectors: equal scores differ by nothing in every resample."""
    rng = np.random.default_rng(0)
    labels, scores = np.repeat([0, 1], 40), rng.random(80)
    first = bootstrap_samples(labels, scores, 0.5, 50, 7)["auroc"]
    # The same ranking by other numbers and another threshold.
    second = bootstrap_samples(labels, scores**3, 0.2, 50, 7)["auroc"]
    np.testing.assert_allclose(first, second)
    assert first.std() > 0.01


def test_summary_against_loops(folds: dict[str, FoldScores]) -> None:
    result = summary(folds, "good")
    for protocol in PROTOCOLS:
        table = np.array(
            [[auroc(scores, run, protocol) for run in scores.of("good")] for scores in folds.values()]
        )
        block = result[protocol]["auroc"]
        assert block["mean"] == pytest.approx(table.mean())
        assert block["worst"] == pytest.approx(table.mean(axis=1).min())
        assert block["worst_fold"] == ["dcgan", "wgan"][int(table.mean(axis=1).argmin())]
        assert block["std_folds"] == pytest.approx(table.mean(axis=1).std(ddof=1))
        assert block["std_seeds"] == pytest.approx(table.mean(axis=0).std(ddof=1))
        worst_fpr = max(
            np.mean([(run.scores[protocol][scores.labels == 0] > run.threshold).mean() for run in runs])
            for scores, runs in ((scores, scores.of("good")) for scores in folds.values())
        )
        assert result[protocol]["fpr"]["worst"] == pytest.approx(worst_fpr)


def test_gains(folds: dict[str, FoldScores]) -> None:
    result = gains(folds, "good", "weak", bootstrap=300, seed=0)
    for protocol in PROTOCOLS:
        block = result[protocol]
        expected = {
            name: np.mean([auroc(scores, run, protocol) for run in scores.of("good")])
            - np.mean([auroc(scores, run, protocol) for run in scores.of("weak")])
            for name, scores in folds.items()
        }
        assert block["per_fold"] == pytest.approx(expected)
        assert block["difference"] == pytest.approx(np.mean(list(expected.values())))
        low, high = block["difference_ci95"]
        assert 0 < low < block["difference"] < high
    nothing = gains(folds, "good", "good", bootstrap=50, seed=0)["mild"]
    assert nothing["difference_ci95"] == [0.0, 0.0]
    assert "difference_ci95" not in gains(folds, "good", "weak", bootstrap=0, seed=0)["mild"]


def test_a_fold_without_fakes_has_no_gain() -> None:
    empty = fold("dcgan", {"good": 1.0, "weak": 0.5}, 0, fakes=0)
    assert gains({"dcgan": empty}, "good", "weak", bootstrap=10, seed=0)["mild"]["difference"] is None
    assert summary({"dcgan": empty}, "good")["mild"]["auroc"] is None
