"""Folds on small sets: the left-out GAN trains nothing; runs see the same pixels, thresholds one rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fakeface.base.runtime import make_fabric
from fakeface.data.image_sets import Folders
from fakeface.detector.batches import DetectorData, load_split
from fakeface.detector.views import Views, every_view, threshold_kinds
from fakeface.evaluation.baselines import BASELINES, COMPARED, score_compared, with_frozen_threshold
from fakeface.evaluation.compare import fold_metrics, nested_headline, nested_report
from fakeface.evaluation.folds import make_fold
from fakeface.evaluation.leave_one_out import Trained, score_fold, score_nested, train_detector
from fakeface.params import Params, load_params

ROOT = Path(__file__).parents[2]


@pytest.fixture
def quick(tiny_params: Params) -> Params:
    settings = tiny_params.leave_one_out.model_copy(update={"cffn_steps": 2, "seeds": 2, "baseline_seeds": 1})
    names = ("dcgan", "wgan", "digiface_dcgan")
    gans = {name: tiny_params.gans[name] for name in names}
    return tiny_params.model_copy(update={"leave_one_out": settings, "gans": gans, "held_out": []})


def test_detector_and_baseline_on_one_fold(quick: Params, image_sets: tuple[Path, Path]) -> None:
    fold = make_fold(quick, "dcgan")
    assert fold.train_gans == ("wgan",)
    methods = {"detector": train_detector, "dct": with_frozen_threshold(BASELINES["dct"])}
    fabric = make_fabric(quick)
    scores = score_fold(quick, fold, methods, [0, 1], Folders(image_sets[0].parent), fabric)
    assert [(run.method, run.seed) for run in scores.runs] == [
        ("detector", 0), ("detector", 1), ("dct", 0), ("dct", 1),
    ]  # fmt: skip
    assert set(scores.gans) == {"", "dcgan"}
    metrics = fold_metrics(quick, fold, scores, "detector")
    assert metrics["training_gans"] == ["wgan"]
    assert metrics["seeds"] == [0, 1]
    for protocol in ("laundered", "mild", "clean"):
        block = metrics[protocol]
        assert (block["n_real"], block["n_fake"]) == (10, 10)
        assert 0 <= block["auroc"] <= 1
        assert block["auroc_std"] is not None
        assert len(block["auroc_ci95"]) == 2
    again = score_fold(quick, fold, {"detector": train_detector}, [1], Folders(image_sets[0].parent), fabric)
    np.testing.assert_array_equal(again.runs[0].scores["mild"], scores.runs[1].scores["mild"])


def test_thinned_folds_keep_every_validation_photograph(quick: Params, image_sets: tuple[Path, Path]) -> None:
    settings = quick.leave_one_out.model_copy(update={"train_images": 8, "test_images": 5})
    thin = quick.model_copy(update={"leave_one_out": settings})
    sizes: list[list[int]] = []

    def count(params: Params, train: DetectorData, val: DetectorData, *_: object) -> Trained:
        sizes.extend([np.bincount(train.groups).tolist(), np.bincount(val.groups).tolist()])
        return Trained(lambda views: views.pixels.mean(axis=(1, 2, 3)) / 255, 0.5)

    scores = score_fold(
        thin,
        make_fold(thin, "dcgan"),
        {"count": count},
        [0],
        Folders(image_sets[0].parent),
        make_fabric(thin),
    )
    assert sizes == [[8, 8], [10, 2]]
    assert np.bincount(scores.labels).tolist() == [5, 5]


def test_methods_that_ours_is_compared_with(quick: Params, image_sets: tuple[Path, Path]) -> None:
    """A fold of two tested GANs: every method trains, scores in [0, 1], and each GAN gets its own block."""
    names = ("lsgan", "wgan", "wgan_gp")
    settings = quick.leave_one_out.model_copy(update={"never_train": [], "compared": list(COMPARED)})
    gans = {name: load_params(ROOT / "params.yaml").gans[name] for name in names}
    params = quick.model_copy(update={"leave_one_out": settings, "gans": gans})
    fold = make_fold(params, "transposed")
    scores = score_compared(params, fold, Folders(image_sets[0].parent), make_fabric(params))
    assert [run.method for run in scores.runs] == list(COMPARED)
    for run in scores.runs:
        for values in run.scores.values():
            assert values.min() >= 0
            assert values.max() <= 1
    metrics = fold_metrics(params, fold, scores, "paper")
    assert metrics["test_gans"] == ["lsgan", "wgan"]
    assert metrics["mild"]["n_fake"] == 20
    assert {gan: blocks["mild"]["n_fake"] for gan, blocks in metrics["per_gan"].items()} == {
        "lsgan": 10,
        "wgan": 10,
    }


def test_nested_scores_are_those_of_validation_images(quick: Params, image_sets: tuple[Path, Path]) -> None:
    nested = score_nested(quick, Folders(image_sets[0].parent), make_fabric(quick))
    folds = nested["gans"]
    assert list(folds) == ["dcgan", "wgan"]
    for gan, scores in folds.items():
        assert all("/val/" in name for name in scores.names)
        assert set(scores.gans) == {"", gan}
        assert list(scores.runs[0].scores) == ["laundered", "mild", "clean", "corrupted"]
    report = nested_report(nested)
    metrics = report["gans"]
    corrupted = np.mean([values["corrupted"] for values in metrics["auroc_per_fold"].values()])
    assert metrics["corrupted"]["auroc"]["mean"] == pytest.approx(corrupted)
    assert set(metrics["auroc_per_fold"]) == {"dcgan", "wgan"}
    mean = np.mean([values["mild"] for values in metrics["auroc_per_fold"].values()])
    assert metrics["mild"]["auroc"]["mean"] == pytest.approx(mean)
    assert "needs two upsamplers" in report["upsamplers"]["undefined"]["mild"]
    headline = nested_headline(report)
    assert headline["gans"]["corrupted"] == metrics["corrupted"]["auroc"]["mean"]
    assert headline["upsamplers"] == {"laundered": None, "corrupted": None}
    alone = nested_report({"gans": {}, "upsamplers": {}})["gans"]
    assert alone["mild"] is None
    assert "needs two GANs" in alone["undefined"]["mild"]


def test_no_method_is_shown_the_left_out_gan(quick: Params, image_sets: tuple[Path, Path]) -> None:
    """And every run scores the very same pixels, whatever its seed."""
    seen: list[DetectorData] = []
    scored: list[list[np.ndarray]] = []

    def spy(params: Params, train: DetectorData, val: DetectorData, *_: object) -> Trained:
        seen.extend([train, val])
        assert params.training_gans == ["wgan"]
        images: list[np.ndarray] = []
        scored.append(images)

        def score(views: Views) -> np.ndarray:
            images.append(views.pixels)
            return np.zeros(len(views))

        return Trained(score, 0.5)

    score_fold(
        quick,
        make_fold(quick, "dcgan"),
        {"spy": spy},
        [3, 4],
        Folders(image_sets[0].parent),
        make_fabric(quick),
    )
    for data in seen:
        assert data.gans == ("wgan",)
        assert set(data.manifest["source"]) == {"folder", "wgan"}
    np.testing.assert_array_equal(np.concatenate(scored[0]), np.concatenate(scored[1]))


def test_a_baselines_threshold_follows_the_rule(quick: Params, image_sets: tuple[Path, Path]) -> None:
    train, val = (load_split(*image_sets, ["wgan"], split) for split in ("train", "val"))

    def brightness(*_: object) -> object:
        return lambda images: images.mean(axis=(1, 2, 3)) / 255

    trained = with_frozen_threshold(brightness)(quick, train, val, make_fabric(quick), 0)
    photographs = np.flatnonzero(val.groups == 0)
    scores = [
        trained.score(every_view(val, kind, quick.seed, photographs)) for kind in threshold_kinds(quick)
    ]
    assert all((of_chain > trained.threshold).mean() <= quick.cn.target_fpr for of_chain in scores)
    assert trained.threshold in np.concatenate(scores)
