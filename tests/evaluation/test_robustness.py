"""The robustness grid: both classes corrupted alike, the same images everywhere, nothing left out."""

from __future__ import annotations

import json
import runpy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from conftest import REPOSITORY, make_params
from PIL import Image, features
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from fakeface.base.runtime import make_fabric
from fakeface.data.augmentation import CORRUPTIONS, corrupt, launder, unavailable
from fakeface.data.image_sets import ImageSet
from fakeface.detector.batches import DetectorData, load_split
from fakeface.detector.decision import DecisionRule
from fakeface.detector.detector import Detector, save_cn
from fakeface.evaluation.evaluate import evaluation_metrics, predict_protocols
from fakeface.evaluation.robustness import ROBUSTNESS_KEY, corrupted_scores, robustness_metrics
from fakeface.metrics.scores import METRICS, score_block
from fakeface.models.cffn import CFFN
from fakeface.models.cn import ClassificationNetwork
from fakeface.models.weights import save_cffn
from fakeface.params import Params
from fakeface.reporting.charts import write_picture, write_rows

IMAGES, BATCH, BOOTSTRAP = 4, 7, 20
GRID = [
    (family, strength)
    for family, strengths in CORRUPTIONS.items()
    for strength in strengths
    if family not in unavailable()
]


class WatchedDetector(Detector):
    """A detector that remembers the images that it was given, call by call."""

    seen: list[np.ndarray]

    def score_and_embed(self, images: np.ndarray, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        self.seen.append(images.copy())
        return super().score_and_embed(images, batch_size)


@dataclass(frozen=True)
class Case:
    """Untrained networks, the test split and what was measured."""

    params: Params
    detector: WatchedDetector
    test: DetectorData
    metrics: dict[str, Any]
    batches: list[np.ndarray]

    def scores(self, images: np.ndarray) -> np.ndarray:
        """Of images (N, S, S, 3) in batches as large as those of the evaluation."""
        return self.detector.score_and_embed(images, BATCH)[0]


def small_params(**changes: object) -> Params:
    settings: dict[str, object] = {"evaluate.bootstrap": BOOTSTRAP, "evaluate.batch_size": BATCH}
    return make_params(**(settings | {"device": "cpu", "robustness.images": IMAGES} | changes))


@pytest.fixture(scope="module")
def case(image_sets: tuple[Path, Path]) -> Case:
    params = small_params()
    torch.manual_seed(3)
    detector = WatchedDetector(CFFN(), ClassificationNetwork(), DecisionRule.at(0.5), 64, make_fabric(params))
    detector.seen = []
    test = load_split(*image_sets, list(params.gans), "test")
    # Among the scores, so that precision, recall and false positives all have something to say.
    clean = detector.score_and_embed(test.images(np.arange(len(test))), BATCH)[0]
    detector.rule = DecisionRule.at(float(np.median(clean)))
    detector.seen.clear()
    metrics = robustness_metrics(params, detector, test)
    return Case(params, detector, test, metrics, list(detector.seen))


@pytest.fixture(scope="module")
def chosen(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (N, 64, 64, 3) and group int (N,) of the subset, picked by another route."""
    rows = [np.flatnonzero(case.test.groups == group) for group in range(len(case.test.gans) + 1)]
    rows = [members[[i * len(members) // IMAGES for i in range(IMAGES)]] for members in rows]
    return case.test.images(np.concatenate(rows)), np.repeat(np.arange(len(rows)), IMAGES)


def corrupted(case: Case, images: np.ndarray, family: str, strength: float) -> np.ndarray:
    seeds = np.array([[case.params.seed, ROBUSTNESS_KEY, row] for row in range(len(images))])
    return corrupt(images, family, strength, seeds)


def test_every_condition_is_the_same_images_with_both_classes_corrupted(
    case: Case, chosen: tuple[np.ndarray, np.ndarray]
) -> None:
    images, groups = chosen
    fake = groups > 0
    given = np.concatenate(case.batches).reshape(len(GRID) + 1, *images.shape)
    np.testing.assert_array_equal(given[0], images)
    for (family, strength), condition in zip(GRID, given[1:], strict=True):
        np.testing.assert_array_equal(condition, corrupted(case, images, family, strength))
        changed = (condition != images).any(axis=(1, 2, 3))
        assert changed[fake].all(), (family, strength)
        assert changed[~fake].all(), (family, strength)


def test_figures_are_those_of_both_classes_corrupted_and_of_no_single_one(
    case: Case, chosen: tuple[np.ndarray, np.ndarray]
) -> None:
    images, groups = chosen
    fake = groups > 0
    clean = case.scores(images)

    def block(scores: np.ndarray) -> dict[str, Any]:
        return score_block(
            fake, scores, case.detector.rule.threshold, bootstrap=BOOTSTRAP, seed=case.params.seed
        )

    for family, strength in GRID:
        scores = case.scores(corrupted(case, images, family, strength))
        measured, expected = case.metrics[family][f"{strength:g}"], block(scores)
        assert {key: measured[key] for key in expected} == expected
        for half_way in (np.where(fake, scores, clean), np.where(fake, clean, scores)):
            assert block(half_way)["ece"] != measured["ece"], (family, strength)


def test_seen_unseen_and_drop(case: Case, chosen: tuple[np.ndarray, np.ndarray]) -> None:
    images, groups = chosen
    unseen = [case.test.gans.index(gan) + 1 for gan in case.params.held_out]
    clean = roc_auc_score(groups > 0, case.scores(images))
    for family, strength in GRID[::4]:
        scores = case.scores(corrupted(case, images, family, strength))
        measured = case.metrics[family][f"{strength:g}"]
        assert measured["auroc_drop"] == pytest.approx(clean - roc_auc_score(groups > 0, scores))
        for name, rows in (
            ("auroc_seen", ~np.isin(groups, unseen)),
            ("auroc_unseen", np.isin(groups, [0, *unseen])),
        ):
            assert measured[name] == pytest.approx(roc_auc_score(groups[rows] > 0, scores[rows]))


def test_images_may_be_laundered_after_their_corruption(case: Case) -> None:
    params = small_params(**{"robustness.protocol": "laundered"})
    test = case.test.thinned(2, 2)
    rows = np.arange(len(test))
    images = test.images(rows)
    with tqdm(disable=True) as bar:
        for family in ("none", "blur"):
            scores = corrupted_scores(params, case.detector, test, family, 1.0, bar)
            if family == "blur":
                images = corrupt(images, family, 1.0, np.zeros((len(rows), 1), dtype=np.int64))
            seeds = np.array([[params.seed, ROBUSTNESS_KEY, row, 1] for row in rows])
            np.testing.assert_array_equal(
                scores, case.scores(launder(images, [params.protocols.laundered], seeds))
            )


def test_the_file_keeps_the_contract(case: Case) -> None:
    metrics = case.metrics
    assert metrics["skipped"] == unavailable()
    assert metrics["held_out"] == case.params.held_out
    assert metrics["threshold"] == case.detector.rule.threshold
    expected = {family: [f"{strength:g}" for f, strength in GRID if f == family] for family, _ in GRID}
    expected = {"none": ["0"]} | expected
    assert {family: list(metrics[family]) for family in expected} == expected
    assert metrics["protocol"] == "clean"
    assert set(metrics) == {*expected, "skipped", "held_out", "threshold", "protocol"}
    names = [*METRICS, "auroc_seen", "auroc_unseen", "auroc_drop"]
    for family, strengths in expected.items():
        for strength in strengths:
            block = metrics[family][strength]
            assert (block["n_real"], block["n_fake"]) == (IMAGES, IMAGES * len(case.params.gans))
            assert {*names, *(f"{name}_ci95" for name in names)} <= set(block)
            low, high = block["auroc_drop_ci95"]
            assert low <= high
    assert metrics["none"]["0"]["auroc_drop"] == 0
    # The interval is paired: without a difference there is no doubt.
    assert metrics["none"]["0"]["auroc_drop_ci95"] == [0, 0]


def test_none_is_the_clean_protocol(case: Case, image_sets: tuple[Path, Path]) -> None:
    """With room for every image of the test split."""
    params = small_params(**{"robustness.images": 100})
    test = load_split(*image_sets, ["dcgan", "sngan"], "test")
    predictions = predict_protocols(params, case.detector, test)
    clean = evaluation_metrics(params, case.detector.rule.threshold, test, predictions)["clean"]
    none = robustness_metrics(params, case.detector, test)["none"]["0"]
    names = ["n_real", "n_fake", *METRICS, *(f"{name}_ci95" for name in METRICS)]
    assert {name: none[name] for name in names} == {name: clean["overall"][name] for name in names}
    for part in ("seen", "unseen"):
        assert none[f"auroc_{part}"] == clean[part]["auroc"]
        assert none[f"auroc_{part}_ci95"] == clean[part]["auroc_ci95"]


def test_images_come_a_batch_at_a_time(case: Case) -> None:
    per_condition = -(-IMAGES * (1 + len(case.test.gans)) // BATCH)
    assert len(case.batches) == per_condition * (len(GRID) + 1)
    assert max(len(batch) for batch in case.batches) == BATCH


def test_noise_does_not_depend_on_the_batch(case: Case) -> None:
    with tqdm(disable=True) as bar:
        small = corrupted_scores(case.params, case.detector, case.test, "noise", 5, bar)
        params = small_params(**{"evaluate.batch_size": 50})
        large = corrupted_scores(params, case.detector, case.test, "noise", 5, bar)
        other = corrupted_scores(small_params(seed=1), case.detector, case.test, "noise", 5, bar)
    np.testing.assert_allclose(small, large, atol=1e-6)
    assert np.abs(small - other).max() > 1e-5


def test_a_codec_that_pillow_lacks_is_skipped_and_named(
    case: Case, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(features, "check", lambda name: name != "webp")
    metrics = robustness_metrics(small_params(**{"robustness.images": 1}), case.detector, case.test)
    assert metrics["skipped"] == {"webp": "this build of Pillow has no WebP codec"}
    assert "webp" not in metrics
    assert {"none", *CORRUPTIONS} - set(metrics) == {"webp"}
    message = "robustness: webp is skipped: this build of Pillow has no WebP codec"
    assert message in capsys.readouterr().err.splitlines()
    write_rows(tmp_path / "rows.json", metrics)
    write_picture(tmp_path / "picture.png", metrics)
    assert "webp" not in (tmp_path / "rows.json").read_text()


def test_without_unseen_gans_or_a_bootstrap(case: Case, tmp_path: Path) -> None:
    params = small_params(**{"held_out": [], "evaluate.bootstrap": 0, "robustness.images": 1})
    metrics = robustness_metrics(params, case.detector, case.test)
    block = metrics["blur"]["1"]
    assert block["auroc_unseen"] is None
    assert block["undefined"]["auroc_unseen"] == "no fake images"
    assert block["auroc_seen"] == block["auroc"]
    assert not [key for key in block if key.endswith("_ci95")]
    json.dumps(metrics, allow_nan=False)
    write_rows(tmp_path / "rows.json", metrics)
    write_picture(tmp_path / "picture.png", metrics)
    assert {row["curve"] for row in json.loads((tmp_path / "rows.json").read_text())} == {"seen"}


def test_without_photographs_no_auroc_and_no_drop(case: Case) -> None:
    photographs, fakes, *_ = case.test.sets
    empty = ImageSet(photographs.images[:0], photographs.manifest[:0])
    test = DetectorData((empty, fakes), np.ones(len(fakes), dtype=int), fakes.manifest, case.test.gans[:1])
    block = robustness_metrics(small_params(), case.detector, test)["blur"]["1"]
    for name in ("auroc", "auroc_seen", "auroc_drop"):
        assert block[name] is None
        assert block[f"{name}_ci95"] is None
        assert block["undefined"][name] == "no real images"


def test_rows_say_what_the_metrics_say(case: Case, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.json", case.metrics)
    rows = json.loads((tmp_path / "rows.json").read_text())
    families = list(dict.fromkeys(family for family, _ in GRID))
    assert list(dict.fromkeys(row["family"] for row in rows)) == families
    assert len(rows) == 2 * (len(GRID) + len(families))
    for row in rows:
        steps = ["none", *case.metrics[row["family"]]]
        assert steps.index(row["strength"]) == row["step"]
        block = case.metrics["none"]["0"] if not row["step"] else case.metrics[row["family"]][row["strength"]]
        assert row["auroc"] == pytest.approx(block[f"auroc_{row['curve']}"], abs=1e-5)


def test_a_rerun_of_the_script_gives_the_same_bytes(
    case: Case, image_sets: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    params = small_params(**{"robustness.images": 2})
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params.model_dump(mode="json")))
    (tmp_path / "data").mkdir()
    for name, folder in zip(("real", "fake"), image_sets, strict=True):
        (tmp_path / "data" / name).symlink_to(folder)
    (tmp_path / "models").mkdir()
    save_cffn("models/cffn.safetensors", case.detector.cffn, 64)
    save_cn("models/cn.safetensors", case.detector.cn, case.detector.rule)
    names = ("reports/robustness.json", "plots/robustness.json", "plots/robustness.png")
    runs = []
    for _ in range(2):
        runpy.run_path(str(REPOSITORY / "pipeline" / "robustness.py"), run_name="__main__")
        runs.append([(tmp_path / name).read_bytes() for name in names])
        for name in names:
            (tmp_path / name).unlink()
    assert runs[0] == runs[1]
    metrics = json.loads(runs[0][0])
    assert {"fakeface_version", "torch_version", "seed", "device"} <= set(metrics)
    assert metrics["none"]["0"]["n_real"] == 2
    (tmp_path / "picture.png").write_bytes(runs[0][2])
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.format == "PNG"
        assert "Software" not in picture.info
        assert np.asarray(picture.convert("L")).std() > 5
