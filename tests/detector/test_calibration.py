"""Calibration against scikit-learn and by what it must leave alone; fitted on validation images only."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, log_expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from detector.conftest import ROOT
from fakeface.base.runtime import make_fabric
from fakeface.data.augmentation import corrupt
from fakeface.detector.batches import load_split
from fakeface.detector.calibration import (
    UNCALIBRATED,
    Calibration,
    CalibrationError,
    fit_calibration,
    missing_detail,
)
from fakeface.detector.detector import Detector, load_cn
from fakeface.detector.train_cn import train_cn
from fakeface.detector.views import every_view, threshold_kinds
from fakeface.models.cffn import CFFN
from fakeface.models.cn import margins_of
from fakeface.models.weights import save_cffn
from fakeface.params import Params

FITTED = ("temperature", "platt")


def images(seed: int, shift: float, scale: float = 1.0, offset: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Margins and labels of 2 to 39 photographs and 2 to 199 fakes, the latter ``shift`` deviations above."""
    rng = np.random.default_rng(seed)
    n_real, n_fake = rng.integers(2, 40), rng.integers(2, 200)
    margins = np.r_[rng.normal(0, 1, n_real), rng.normal(shift, 1, n_fake)]
    return scale * margins + offset, np.repeat([0, 1], [n_real, n_fake])


def targets_and_weights(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Platt's targets, and one half for each class in all."""
    n_fake, n_real = (labels == 1).sum(), (labels == 0).sum()
    targets = np.where(labels == 1, (n_fake + 1) / (n_fake + 2), 1 / (n_real + 2))
    return targets, np.where(labels == 1, 0.5 / n_fake, 0.5 / n_real)


def loss(calibration: Calibration, margins: np.ndarray, labels: np.ndarray) -> float:
    logits = calibration.slope * margins + calibration.bias
    targets, weights = targets_and_weights(labels)
    return float(-(weights @ (targets * log_expit(logits) + (1 - targets) * log_expit(-logits))))


MARGINS = st.builds(
    images,
    seed=st.integers(0, 2**32 - 1),
    shift=st.floats(0.5, 8),
    scale=st.sampled_from([1e-3, 0.1, 1.0, 30.0]),
    offset=st.floats(-3, 3),
)


@pytest.mark.parametrize("method", FITTED)
@settings(max_examples=40)
@given(data=MARGINS)
def test_the_fit_is_that_of_a_logistic_regression(method: str, data: tuple[np.ndarray, np.ndarray]) -> None:
    """A soft target t is the same as an image that is fake with weight t and real with weight 1 - t."""
    margins, labels = data
    found = fit_calibration(method, margins, labels)
    targets, weights = targets_and_weights(labels)
    unit = np.abs(margins).max()
    reference = LogisticRegression(
        C=np.inf, fit_intercept=method == "platt", solver="newton-cholesky", tol=1e-12, max_iter=1000
    ).fit(
        np.tile(margins / unit, 2)[:, None],
        np.repeat([1, 0], len(labels)),
        sample_weight=len(labels) * np.r_[weights * targets, weights * (1 - targets)],
    )
    slope, bias = reference.coef_[0, 0] / unit, float(np.ravel(reference.intercept_)[0])
    if slope < 1e-3 / margins.std():
        assert found.slope == pytest.approx(slope, rel=0.01) or found.fallback
    else:
        assert found.method == method
        np.testing.assert_allclose(found.scores(margins), expit(slope * margins + bias), atol=1e-5)


@pytest.mark.parametrize("method", FITTED)
@given(data=MARGINS)
def test_the_fit_is_never_worse_than_none(method: str, data: tuple[np.ndarray, np.ndarray]) -> None:
    margins, labels = data
    found = fit_calibration(method, margins, labels)
    assert loss(found, margins, labels) <= loss(UNCALIBRATED, margins, labels) + 1e-9
    if method == "platt" and not found.fallback:
        slope_alone = fit_calibration("temperature", margins, labels)
        assert loss(found, margins, labels) <= loss(slope_alone, margins, labels) + 1e-9


@pytest.mark.parametrize("method", FITTED)
@given(data=MARGINS)
def test_the_order_of_the_images_stays(method: str, data: tuple[np.ndarray, np.ndarray]) -> None:
    margins, labels = data
    found = fit_calibration(method, margins, labels)
    assert found.slope > 0
    ascending = np.sort(margins)
    assert (np.diff(found.scores(ascending)) >= 0).all()
    if found.fallback:
        return
    # Log-odds beyond 36 round to 1; within, images that differ in margin differ in score.
    assert np.abs(found.logits(margins)).max() < 30
    assert len(np.unique(found.scores(margins))) == len(np.unique(margins))
    assert roc_auc_score(labels, found.scores(margins)) == roc_auc_score(labels, margins)


@pytest.mark.parametrize("method", FITTED)
def test_perfectly_separable_classes_give_finite_numbers(method: str) -> None:
    """By Platt's targets no image is surer than (n + 1) / (n + 2) on average of its class."""
    margins, labels = np.r_[np.full(20, -1.0), np.full(50, 1.0)], np.repeat([0, 1], [20, 50])
    found = fit_calibration(method, margins, labels)
    assert 0 < found.slope < 10
    if method == "platt":
        np.testing.assert_allclose(found.scores(np.array([-1.0, 1.0])), [1 / 22, 51 / 52], atol=1e-6)
    for scale in (1e-6, 1e6):
        scaled = fit_calibration(method, scale * margins, labels)
        np.testing.assert_allclose(scaled.scores(scale * margins), found.scores(margins), atol=1e-6)


def test_true_numbers_are_found_again_whatever_the_share_of_fakes() -> None:
    """Margins of a network that is three times too sure and biased, at even odds and at one to nine."""
    rng = np.random.default_rng(0)
    for share_fake in (0.5, 0.9):
        true_logits = np.r_[rng.normal(-1, np.sqrt(2), 20_000), rng.normal(1, np.sqrt(2), 20_000)]
        keep = np.r_[np.arange(20_000), 20_000 + np.arange(20_000)]
        if share_fake == 0.9:
            keep = np.r_[np.arange(2_222), 20_000 + np.arange(20_000)]
        labels = np.repeat([0, 1], 20_000)[keep]
        found = fit_calibration("platt", 3 * true_logits[keep] + 1.5, labels)
        assert found.slope == pytest.approx(1 / 3, rel=0.06)
        assert found.bias == pytest.approx(-0.5, abs=0.06)


def test_more_fakes_of_the_same_kind_change_nothing() -> None:
    margins, labels = images(3, 1.0)
    fakes = margins[labels == 1]
    more_margins = np.r_[margins, np.tile(fakes, 9)]
    more_labels = np.r_[labels, np.ones(9 * len(fakes), dtype=int)]
    rare, many = (
        fit_calibration("platt", *data) for data in ((margins, labels), (more_margins, more_labels))
    )
    # Only Platt's target moves, from (n + 1) / (n + 2) to (10 n + 1) / (10 n + 2).
    np.testing.assert_allclose(rare.scores(margins), many.scores(margins), atol=1 / len(fakes))


@pytest.mark.parametrize("method", FITTED)
def test_margins_that_rank_the_classes_the_wrong_way_are_left_alone(method: str) -> None:
    margins, labels = images(0, 2.0)
    found = fit_calibration(method, -margins, labels)
    assert (found.method, found.slope, found.bias) == ("none", 1.0, 0.0)
    assert found.fallback is not None
    assert found.fallback.startswith(f"{method}: the best slope, -")
    assert found.numbers()["fallback"] == found.fallback
    constant = fit_calibration(method, np.zeros(10), np.repeat([0, 1], 5))
    assert constant.fallback == f"{method}: all margins are equal"


def test_no_calibration_is_the_softmax() -> None:
    logits = torch.tensor([[0.3, -1.2], [2.0, 7.5], [-40.0, 30.0]], dtype=torch.float64)
    found = fit_calibration("none", margins_of(logits[:2]), np.array([0, 1]))
    assert found == UNCALIBRATED
    np.testing.assert_allclose(found.scores(margins_of(logits)), logits.softmax(dim=1)[:, 1], rtol=1e-12)


def test_bad_input_is_named() -> None:
    labels = np.array([0, 1])
    with pytest.raises(CalibrationError, match="method must be one of none, temperature, platt, got 'beta'"):
        fit_calibration("beta", np.zeros(2), labels)
    with pytest.raises(CalibrationError, match="got 0 photographs and 2 fakes"):
        fit_calibration("platt", np.zeros(2), np.ones(2))
    with pytest.raises(CalibrationError, match="margins must be finite, got 1 of 2 that are not"):
        fit_calibration("platt", np.array([0, np.inf]), labels)
    for slope in (0.0, -1.0, float("nan"), float("inf"), "1", True):
        with pytest.raises(CalibrationError, match="slope must be a number > 0, got"):
            Calibration("platt", slope, 0.0)  # type: ignore[arg-type]
    with pytest.raises(CalibrationError, match="bias must be a number, got nan"):
        Calibration("platt", 1.0, float("nan"))


def train_in(folder: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> tuple[bytes, bytes]:
    """The stage train_cn as `dvc repro` runs it: bytes of weights and of metrics."""
    monkeypatch.chdir(folder)
    Path("params.yaml").write_text(yaml.safe_dump(params.model_dump(mode="json")))
    runpy.run_path(str(ROOT / "pipeline/train_cn.py"), run_name="__main__")
    return Path("models/cn.safetensors").read_bytes(), Path("reports/cn.json").read_bytes()


def swap(real: Path, fakes: list[Path], split: str) -> None:
    """Permute the labels of a split: the pixels of photographs and of each GAN's fakes change places."""
    files = [folder / split / "images.npy" for folder in (real, *fakes)]
    pixels = [np.load(file) for file in files]
    for file, content in zip(files, pixels[1:] + pixels[:1], strict=True):
        np.save(file, content)


def test_labels_of_the_test_split_move_neither_calibration_nor_thresholds(
    image_sets: tuple[Path, Path], tiny_params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    cffn = CFFN(tiny_params.cffn.feature_levels)
    results = {}
    for name in ("whole", "swapped", "without", "validation"):
        folder = tmp_path / name
        shutil.copytree(image_sets[0].parent, folder / "data")
        real = folder / "data/real"
        fakes = [folder / "data/fake" / gan for gan in tiny_params.training_gans]
        if name == "swapped":
            swap(real, fakes, "test")
        elif name == "validation":
            swap(real, fakes, "val")
        elif name == "without":
            for part in (real, *fakes):
                shutil.rmtree(part / "test")
        save_cffn(folder / "models/cffn.safetensors", cffn, 64)
        results[name] = train_in(folder, tiny_params, monkeypatch)
    assert results["swapped"] == results["whole"]
    assert results["without"] == results["whole"]
    # The comparison would notice: the validation split does decide.
    assert results["validation"] != results["whole"]


@pytest.mark.parametrize("method", ["none", *FITTED])
def test_the_stored_thresholds_keep_their_promises_on_validation_scores(
    image_sets: tuple[Path, Path], tiny_params: Params, method: str
) -> None:
    fabric = make_fabric(tiny_params)
    # With neither, the loss after the decision is that of the training.
    score_offset = "none" if method == "none" else "detail"
    targets = {"target_fpr": 0.2, "unsure_fpr": 0.4}
    cn = tiny_params.cn.model_copy(update={"calibration": method, "score_offset": score_offset, **targets})
    params = tiny_params.model_copy(update={"cn": cn})
    torch.manual_seed(0)
    cffn = CFFN(params.cffn.feature_levels).eval()
    train, val = (load_split(*image_sets, params.training_gans, split) for split in ("train", "val"))
    result = train_cn(params, cffn, train, val, fabric)

    detector = Detector(
        cffn,
        result.cn,
        result.rule,
        64,
        fabric,
    )
    # Another number of threads rounds otherwise: an image that defines a threshold may move by as much.
    real, rounding = val.groups == 0, 1e-6
    photographs, touched = np.flatnonzero(real), False
    for kind in threshold_kinds(params):
        views = every_view(val, kind, params.seed, photographs)
        of_reals, _ = detector.score_and_embed(views.pixels, 500)
        assert np.mean(of_reals > result.rule.threshold + rounding) <= 0.2
        assert np.mean(of_reals > result.rule.lower_threshold + rounding) <= 0.4
        kept = result.rule.photographs
        assert kept[0] - rounding <= of_reals.min() <= of_reals.max() <= kept[-1] + rounding
        touched |= bool(np.isclose(of_reals, result.rule.threshold, rtol=0, atol=rounding).any())
    assert touched
    metrics = result.metrics
    assert metrics["calibration"] == result.rule.calibration.numbers()
    assert (metrics["threshold"], metrics["lower_threshold"]) == (
        result.rule.threshold,
        result.rule.lower_threshold,
    )
    assert (metrics["n_val_real"], metrics["n_val_fake"]) == (10, 50)
    for name in ("val_ece_uncalibrated", "val_ece"):
        assert 0 <= metrics[name] <= 1
    if method == "none":
        assert metrics["val_ece_uncalibrated"] == metrics["val_ece"]
        assert metrics["calibrated_val_loss"] == pytest.approx(metrics["best_val_loss"], rel=1e-5)


def test_a_stored_detector_scores_as_the_trained_one(
    image_sets: tuple[Path, Path], tiny_params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").symlink_to(image_sets[0].parent)
    torch.manual_seed(0)
    save_cffn(tmp_path / "models/cffn.safetensors", CFFN(tiny_params.cffn.feature_levels), 64)
    train_in(tmp_path, tiny_params, monkeypatch)
    _, stored = load_cn("models/cn.safetensors")
    metrics = yaml.safe_load(Path("reports/cn.json").read_text())
    assert stored.calibration.numbers() == metrics["calibration"]
    assert stored.threshold == metrics["threshold"]
    assert stored.lower_threshold == metrics["lower_threshold"]


def test_noisy_photographs_are_within_the_reference(
    image_sets: tuple[Path, Path], tiny_params: Params
) -> None:
    torch.manual_seed(0)
    cffn = CFFN(tiny_params.cffn.feature_levels).eval()
    train, val = (load_split(*image_sets, tiny_params.training_gans, split) for split in ("train", "val"))
    score_offset = train_cn(tiny_params, cffn, train, val, make_fabric(tiny_params)).rule.score_offset
    photographs = val.images(np.flatnonzero(val.groups == 0))
    noisy = corrupt(photographs, "noise", 4, np.arange(len(photographs))[:, None])
    assert score_offset.lowest < np.median(missing_detail(noisy)) < missing_detail(photographs).min()
