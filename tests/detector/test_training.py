"""Training of both networks on small sets: resumable, blind to held-out GANs, selected on validation."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from fakeface.base.hashes import code_hash
from fakeface.base.runtime import make_fabric
from fakeface.data import augmentation
from fakeface.detector.batches import DetectorData, LeakError, load_split
from fakeface.detector.detector import Detector
from fakeface.detector.train_cffn import CffnTrainer, NonFiniteLossError
from fakeface.detector.train_cn import train_cn
from fakeface.evaluation.evaluate import evaluation_metrics, predict_protocols, prediction_table
from fakeface.params import Params


@pytest.fixture
def splits(image_sets: tuple[Path, Path], tiny_params: Params) -> tuple[DetectorData, DetectorData]:
    real, fake = image_sets
    gans = tiny_params.training_gans
    return load_split(real, fake, gans, "train"), load_split(real, fake, gans, "val")


class Killed(Exception):
    """Stands for a kill in the middle of a training."""


@pytest.mark.parametrize("pairing", ["batch", "sampled"])
def test_a_resumed_run_ends_with_the_same_weights(
    tiny_params: Params,
    splits: tuple[DetectorData, DetectorData],
    pairing: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cffn = tiny_params.cffn.model_copy(update={"pairing": pairing})
    params = tiny_params.model_copy(update={"cffn": cffn})
    fabric = make_fabric(params)
    whole = CffnTrainer(params, *splits, fabric).fit()

    def kill(epoch: int, _: dict[str, float]) -> None:
        if epoch == 2:
            raise Killed

    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(Killed):
        CffnTrainer(params, *splits, fabric, kill).fit()
    resumed = CffnTrainer(params, *splits, fabric)
    result = resumed.fit()
    assert len(resumed.history) == 3
    for name, tensor in whole.cffn.state_dict().items():
        assert torch.equal(tensor, result.cffn.state_dict()[name]), name
    assert result.metrics["best_val_loss"] == whole.metrics["best_val_loss"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler on this machine for torch.compile")
def test_a_compiled_network_learns_the_same(
    tiny_params: Params, splits: tuple[DetectorData, DetectorData]
) -> None:
    fabric = make_fabric(tiny_params)
    plain = CffnTrainer(tiny_params, *splits, fabric)
    compiled = CffnTrainer(tiny_params.model_copy(update={"compile": True}), *splits, fabric)
    results = [trainer.fit() for trainer in (plain, compiled)]
    for one, other in zip(plain.history, compiled.history, strict=True):
        assert other == pytest.approx(one, rel=1e-3)
    names = [list(result.cffn.state_dict()) for result in results]
    assert names[0] == names[1]


def test_a_checkpoint_of_another_margin_is_not_used(
    tiny_params: Params, splits: tuple[DetectorData, DetectorData]
) -> None:
    fabric = make_fabric(tiny_params)
    CffnTrainer(tiny_params, *splits, fabric).fit()
    other = CffnTrainer(tiny_params.model_copy(update={"margin": 0.9}), *splits, fabric)
    assert other.checkpoint.load(fabric.device) is None


def test_the_fingerprint_covers_the_code_that_makes_the_batches(
    tiny_params: Params,
    splits: tuple[DetectorData, DetectorData],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A checkpoint made with another laundering chain must not be resumed."""
    fabric = make_fabric(tiny_params)
    before = CffnTrainer(tiny_params, *splits, fabric).checkpoint.path
    assert CffnTrainer(tiny_params, *splits, fabric).checkpoint.path == before
    edited = tmp_path / "augmentation.py"
    edited.write_text(Path(str(augmentation.__file__)).read_text(encoding="utf-8") + "# edited\n")
    monkeypatch.setattr(augmentation, "__file__", str(edited))
    code_hash.cache_clear()
    assert CffnTrainer(tiny_params, *splits, fabric).checkpoint.path != before


def test_held_out_gans_are_refused(
    image_sets: tuple[Path, Path], tiny_params: Params, splits: tuple[DetectorData, DetectorData]
) -> None:
    poisoned = load_split(*image_sets, list(tiny_params.gans), "val")
    fabric = make_fabric(tiny_params)
    with pytest.raises(LeakError, match="sngan"):
        CffnTrainer(tiny_params, splits[0], poisoned, fabric)
    trained = CffnTrainer(tiny_params, *splits, fabric).fit()
    with pytest.raises(LeakError, match="sngan"):
        train_cn(tiny_params, trained.cffn, splits[0], poisoned, fabric)


def test_the_best_validation_epoch_is_kept(
    tiny_params: Params, splits: tuple[DetectorData, DetectorData]
) -> None:
    trainer = CffnTrainer(tiny_params, *splits, make_fabric(tiny_params))
    result = trainer.fit()
    losses = [row["val_loss"] for row in trainer.history]
    assert result.metrics["best_epoch"] == 1 + int(np.argmin(losses))
    assert trainer.validation_loss() == pytest.approx(min(losses), rel=1e-6)


def test_a_loss_that_is_no_number_stops_with_step_and_images(
    tiny_params: Params, splits: tuple[DetectorData, DetectorData]
) -> None:
    trainer = CffnTrainer(tiny_params, *splits, make_fabric(tiny_params))
    with torch.no_grad():
        next(trainer.network.heads.parameters())[0] = float("nan")
    with pytest.raises(NonFiniteLossError, match=r"step 0; batch: folder/train/\d+"):
        trainer.fit()


def test_training_leaves_the_trivial_solution(
    tiny_params: Params, splits: tuple[DetectorData, DetectorData]
) -> None:
    """With every pair at one distance d the loss is (d^2 + (margin - d)^2) / 4, at least margin^2 / 8."""
    cffn = tiny_params.cffn.model_copy(update={"epochs": 6, "steps_per_epoch": 6, "batch_size": 24})
    params = tiny_params.model_copy(update={"cffn": cffn})
    metrics = CffnTrainer(params, *splits, make_fabric(params)).fit().metrics
    assert metrics["best_val_loss"] < 0.9 * params.margin**2 / 8


@pytest.mark.parametrize(("crop", "steps"), [(None, 12), (64, 12), (32, 48)])
def test_an_epoch_shows_as_many_pixels_as_there_are(
    tiny_params: Params, splits: tuple[DetectorData, DetectorData], crop: int | None, steps: int
) -> None:
    train, val = splits
    assert len(train) == 24 * 6
    cffn = tiny_params.cffn.model_copy(update={"crop": crop, "steps_per_epoch": None})
    params = tiny_params.model_copy(update={"cffn": cffn})
    trainer = CffnTrainer(params, train, val, make_fabric(params))
    assert trainer.steps_per_epoch == steps
    assert trainer._views(0).pixels.shape == (12, crop or 64, crop or 64, 3)


def test_pairs_seen(tiny_params: Params, splits: tuple[DetectorData, DetectorData]) -> None:
    metrics = CffnTrainer(tiny_params, *splits, make_fabric(tiny_params)).fit().metrics
    assert metrics["images_seen"] == 3 * 2 * 12
    assert metrics["pairs_seen"] == 3 * 2 * 12 * 11 // 2


def test_from_training_to_metrics(
    image_sets: tuple[Path, Path], tiny_params: Params, splits: tuple[DetectorData, DetectorData]
) -> None:
    """The whole detector on the test split."""
    fabric = make_fabric(tiny_params)
    cffn = CffnTrainer(tiny_params, *splits, fabric).fit().cffn
    before = {name: tensor.clone() for name, tensor in cffn.state_dict().items()}
    result = train_cn(tiny_params, cffn, *splits, fabric)
    for name, tensor in cffn.state_dict().items():
        assert torch.equal(tensor, before[name]), f"{name} changed although the CFFN is frozen"
    lower = result.rule.lower_threshold
    detector = Detector(cffn, result.cn, result.rule, 64, fabric)
    assert detector.rule.lower_threshold == lower
    test = load_split(*image_sets, list(tiny_params.gans), "test")
    predictions = predict_protocols(tiny_params, detector, test)
    metrics = evaluation_metrics(
        tiny_params, detector.rule.threshold, test, predictions, lower_threshold=detector.rule.lower_threshold
    )
    assert (metrics["threshold"], metrics["lower_threshold"]) == (result.rule.threshold, lower)
    assert metrics["held_out"] == ["sngan", "stylegan2", "digiface_dcgan"]
    for name in ("laundered", "mild", "clean"):
        blocks = metrics[name]
        assert list(blocks["per_gan"]) == list(tiny_params.gans)
        assert blocks["seen"]["n_fake"] == 5 * 10
        assert blocks["unseen"]["n_fake"] == 3 * 10
        assert blocks["overall"]["n_fake"] == 8 * 10
        for key in ("overall", "seen", "unseen"):
            assert blocks[key]["n_real"] == 10
            for metric in ("unsure", "unsure_real", "unsure_fake"):
                assert 0 <= blocks[key][metric] <= 1
            assert (blocks[key]["accuracy_decided"] is None) == (
                "accuracy_decided" in blocks[key].get("undefined", {})
            )
        assert "unsure" not in blocks["per_gan"]["dcgan"]
    table = prediction_table(test, predictions)
    assert table["gan"].tolist()[:10] == [""] * 10
    assert table.columns.tolist() == ["name", "gan", "score_laundered", "score_mild", "score_clean"]


def test_batch_size_of_the_evaluation_does_not_matter(
    image_sets: tuple[Path, Path], tiny_params: Params, splits: tuple[DetectorData, DetectorData]
) -> None:
    fabric = make_fabric(tiny_params)
    cffn = CffnTrainer(tiny_params, *splits, fabric).fit().cffn
    result = train_cn(tiny_params, cffn, *splits, fabric)
    detector = Detector(cffn, result.cn, result.rule, 64, fabric)
    test = load_split(*image_sets, ["dcgan"], "test")
    other = tiny_params.model_copy(
        update={"evaluate": tiny_params.evaluate.model_copy(update={"batch_size": 20})}
    )
    small = predict_protocols(tiny_params, detector, test)["laundered"].scores
    large = predict_protocols(other, detector, test)["laundered"].scores
    np.testing.assert_allclose(small, large, atol=1e-5)
