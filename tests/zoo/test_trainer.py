"""The trainer: interrupted or not, the same weights; the average; what happens when a loss explodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fakeface.gans.weights import load_generator
from fakeface.zoo.recipes import Recipe, Start
from fakeface.zoo.trainer import (
    GANTrainer,
    TrainingDiverged,
    _update_ema,
    recalibrate_batch_norm,
    run_fingerprint,
)

CPU = torch.device("cpu")
DCGAN: dict[str, Any] = {
    "upsampler": "transposed",
    "generator": {"architecture": "dcgan", "config": {"z_dim": 8, "width": 4, "image_size": 32}},
    "discriminator": {"architecture": "dcgan", "config": {"width": 4, "image_size": 32}},
}
RESNET: dict[str, Any] = {
    "upsampler": "nearest",
    "generator": {"architecture": "resnet", "config": {"z_dim": 8, "channels": [8, 8, 8]}},
    "discriminator": {"architecture": "resnet", "config": {"channels": [4, 8]}},
}
SPECTRAL = RESNET | {
    "discriminator": {"architecture": "resnet", "config": {"channels": [4, 8], "spectral": True}}
}
RMSPROP = {"name": "rmsprop", "lr": 0.001}
FAMILIES: dict[str, dict[str, Any]] = {
    "dcgan": DCGAN | {"loss": "non_saturating", "augmentations": ["colour", "translation"]},
    "lsgan": DCGAN | {"loss": "least_squares"},
    "wgan": DCGAN
    | {"loss": "wasserstein", "weight_clip": 0.01, "discriminator_steps": 2, "optimiser_d": RMSPROP},
    "wgan_gp": RESNET | {"loss": "wasserstein", "gradient_penalty": 10.0, "discriminator_steps": 2},
    "sngan": SPECTRAL | {"loss": "hinge"},
    "pggan": {
        "upsampler": "nearest",
        "generator": {"architecture": "pggan", "config": {"z_dim": 8, "channels": [8, 8, 4, 4]}},
        "discriminator": {"architecture": "pggan", "config": {"channels": [8, 8, 4, 4], "convolutions": 1}},
        "loss": "wasserstein",
        "gradient_penalty": 10.0,
        "drift": 0.001,
        "growth": {"images": 3},
    },
    "stylegan2": DCGAN
    | {
        "upsampler": "bilinear",
        "generator": {
            "architecture": "stylegan2",
            "config": {"z_dim": 8, "channels": [8, 8, 4, 4], "mapping_layers": 2},
        },
        "loss": "non_saturating",
        "r1": {"gamma": 1.0, "interval": 2},
    },
}


def make_recipe(family: str, **changes: Any) -> Recipe:
    base = {
        "optimiser_g": {"lr": 0.001},
        "optimiser_d": {"lr": 0.001},
        "batch_size": 4,
        "images": 24,
        "snapshot_every": 12,
        "ema_half_life": 100,
        "precision": "fp32",
    }
    return Recipe(**(base | FAMILIES[family] | changes))


@pytest.fixture(scope="module")
def photographs() -> np.ndarray:
    """Ten images, so that 24 shown ones cross two epochs."""
    return np.random.default_rng(0).integers(0, 256, (10, 32, 32, 3), dtype=np.uint8)


def assert_same_state(a: GANTrainer, b: GANTrainer) -> None:
    for name in ("generator", "discriminator", "ema"):
        states = getattr(a, name).state_dict(), getattr(b, name).state_dict()
        assert states[0].keys() == states[1].keys()
        for key in states[0]:
            assert torch.equal(states[0][key], states[1][key]), f"{name}.{key}"


@pytest.mark.parametrize("family", FAMILIES)
def test_stop_and_resume_gives_the_weights_of_an_uninterrupted_run(
    family: str, photographs: np.ndarray, tmp_path: Path
) -> None:
    recipe = make_recipe(family)
    whole = GANTrainer(recipe, photographs, tmp_path / "whole", CPU)
    assert whole.train()
    done, processes = False, 0
    while not done:  # a new trainer for every single step
        part = GANTrainer(recipe, photographs, tmp_path / "parts", CPU)
        assert part.resume() == (processes > 0)
        done = part.train(max_seconds=0)
        processes += 1
    assert processes > recipe.images // recipe.batch_size
    assert_same_state(whole, part)
    whole_files, part_files = (sorted((tmp_path / run / "snapshots").iterdir()) for run in ("whole", "parts"))
    assert [path.name for path in part_files] == [path.name for path in whole_files]
    assert whole_files[-1].name == "000000024.safetensors"
    assert [path.read_bytes() for path in part_files] == [path.read_bytes() for path in whole_files]


@pytest.mark.parametrize("family", FAMILIES)
def test_training_moves_both_networks_and_writes_its_files(
    family: str, photographs: np.ndarray, tmp_path: Path
) -> None:
    fresh = GANTrainer(make_recipe(family), photographs, tmp_path / "fresh", CPU)
    trained = GANTrainer(make_recipe(family), photographs, tmp_path / "run", CPU)
    trained.train()
    for name in ("generator", "discriminator", "ema"):
        before, after = getattr(fresh, name).parameters(), getattr(trained, name).parameters()
        assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True)), name
    written = {path.name for path in (tmp_path / "run").iterdir()}
    assert written == {"checkpoint.pt", "log.csv", "samples.png", "snapshots"}
    assert (tmp_path / "run" / "log.csv").read_text().splitlines()[0] == "images_shown,seconds,loss_d,loss_g"


def test_a_longer_recipe_continues_a_shorter_one(photographs: np.ndarray, tmp_path: Path) -> None:
    whole = GANTrainer(make_recipe("dcgan"), photographs, tmp_path / "whole", CPU)
    whole.train()
    short = GANTrainer(make_recipe("dcgan", images=12), photographs, tmp_path / "run", CPU)
    short.train()
    longer = GANTrainer(make_recipe("dcgan"), photographs, tmp_path / "run", CPU)
    assert longer.resume()
    assert longer.images_shown == 12
    longer.train()
    assert_same_state(whole, longer)


def test_a_checkpoint_of_another_run_is_not_used(photographs: np.ndarray, tmp_path: Path) -> None:
    GANTrainer(make_recipe("dcgan"), photographs, tmp_path, CPU).train()
    assert not GANTrainer(make_recipe("dcgan", seed=1), photographs, tmp_path, CPU).resume()
    assert not GANTrainer(make_recipe("dcgan"), photographs[::-1], tmp_path, CPU).resume()
    assert GANTrainer(make_recipe("dcgan"), photographs.copy(), tmp_path, CPU).resume()


def test_the_fingerprint_is_stable() -> None:
    """Checkpoints of long runs are found by it: it may not change with the code around it."""
    images = np.arange(2 * 8 * 8 * 3, dtype=np.uint8).reshape(2, 8, 8, 3)
    pinned = "ae0f57d00990ebe28c5547c420a120662a102e7e5c36a42f3612a8df641f8e94"
    assert run_fingerprint(make_recipe("wgan_gp"), images) == pinned


def test_growing_reaches_the_full_side_and_measures_nothing_smaller(
    photographs: np.ndarray, tmp_path: Path
) -> None:
    run = GANTrainer(make_recipe("pggan", snapshot_every=4), photographs, tmp_path, CPU)
    sides = []
    while run.images_shown < 24:
        run.train(max_seconds=0)
        sides.append(run.generator(run.fixed_z).shape[-1])
    assert sides == [4, 8, 8, 16, 32, 32]
    snapshots = sorted(int(path.stem) for path in (tmp_path / "snapshots").iterdir())
    assert snapshots == [16, 20, 24]
    assert load_generator(tmp_path / "snapshots" / "000000024.safetensors")(torch.zeros(1, 8)).shape[-1] == 32


@pytest.mark.parametrize("with_discriminator", [True, False])
def test_published_weights_are_enough_to_go_on(
    photographs: np.ndarray, tmp_path: Path, with_discriminator: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fakeface.zoo.trainer.WARM_UP_IMAGES", 8)
    first = GANTrainer(make_recipe("dcgan", images=12), photographs, tmp_path / "first", CPU)
    first.train()
    first.snapshot(tmp_path / "g.safetensors")
    first.save_discriminator(tmp_path / "d.safetensors")
    discriminator = tmp_path / "d.safetensors" if with_discriminator else None
    start = Start(tmp_path / "g.safetensors", discriminator, "0" * 64, 12, 3.5, [], [])
    recipe = make_recipe("dcgan")
    run = GANTrainer(recipe, photographs, tmp_path / "run", CPU, start)
    assert run.images_shown == 12
    assert run.seconds == 3.5
    assert run.fingerprint != first.fingerprint
    for p, q in zip(run.ema.parameters(), first.ema.parameters(), strict=True):
        torch.testing.assert_close(p, q.half().float())
    same = all(
        torch.equal(p, q.half().float())
        for p, q in zip(run.discriminator.parameters(), first.discriminator.parameters(), strict=True)
    )
    assert same == with_discriminator
    moves = ["loss_g" in run.step() for _ in range(3)]
    assert moves == ([True] * 3 if with_discriminator else [False, False, True])
    whole = GANTrainer(recipe, photographs, tmp_path / "whole", CPU, start)
    assert whole.train()
    run.save_checkpoint()  # and the warm-up's end is not forgotten when such a run is itself interrupted
    again = GANTrainer(recipe, photographs, tmp_path / "run", CPU, start)
    assert again.resume()
    assert again.frozen_until == run.frozen_until
    again.train()
    assert_same_state(whole, again)


def test_clipping_bounds_the_critic(photographs: np.ndarray, tmp_path: Path) -> None:
    run = GANTrainer(make_recipe("wgan"), photographs, tmp_path, CPU)
    run.step()
    assert max(float(p.detach().abs().max()) for p in run.discriminator.parameters()) <= 0.01


def test_the_generator_steps_once_in_discriminator_steps(photographs: np.ndarray, tmp_path: Path) -> None:
    run = GANTrainer(make_recipe("wgan", discriminator_steps=3), photographs, tmp_path, CPU)
    assert ["loss_g" in run.step() for _ in range(6)] == [False, False, True, False, False, True]


def test_each_epoch_shows_every_photograph_once(tmp_path: Path) -> None:
    # Photograph i is flat with value 20 i, so batches can be read back.
    flat = np.arange(8, dtype=np.uint8)[:, None, None, None] * np.full((1, 32, 32, 3), 20, dtype=np.uint8)
    run = GANTrainer(make_recipe("dcgan"), flat, tmp_path, CPU)
    for _ in range(2):
        shown = []
        for _ in range(2):
            real = run._real_batch(torch.Generator().manual_seed(0))
            shown += real[:, 0, 0, 0].add(1).mul(127.5 / 20).round().int().tolist()
            run.images_shown += 4
        assert sorted(shown) == list(range(8))


def test_ema_closed_form() -> None:
    old, new = nn.Linear(2, 2), nn.Linear(2, 2)
    start = old.weight.detach().clone()
    decay = 0.5 ** (64 / 1000)
    for _ in range(1000 // 64 + 1):
        _update_ema(old, new, decay)
    weight = decay ** (1000 // 64 + 1)
    torch.testing.assert_close(old.weight, weight * start + (1 - weight) * new.weight)
    assert weight == pytest.approx(0.5, abs=0.03)  # a half-life of 1,000 images after 1,024


def test_the_average_trails_the_generator(photographs: np.ndarray, tmp_path: Path) -> None:
    run = GANTrainer(make_recipe("dcgan"), photographs, tmp_path, CPU)
    before = [p.detach().clone() for p in run.ema.parameters()]
    run.step()
    # The first step averages over at most one image's half-life: 0.5 ** (4 / 1).
    for old, ema, new in zip(before, run.ema.parameters(), run.generator.parameters(), strict=True):
        torch.testing.assert_close(ema, old + (1 - 0.5**4) * (new - old))


def test_recalibrated_statistics_are_those_of_the_latents() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 3), nn.Unflatten(1, (3, 1, 1)), nn.BatchNorm2d(3))
    recalibrate_batch_norm(network, 4, seed=0, batches=64)
    linear, norm = network[0], network[2]
    covariance = linear.weight @ linear.weight.T  # latents are standard normal
    torch.testing.assert_close(norm.running_mean, linear.bias.detach(), rtol=0, atol=0.05)
    torch.testing.assert_close(norm.running_var, covariance.diag().detach(), rtol=0.1, atol=0)
    assert not network.training


def test_snapshots_load_and_stay_in_range(photographs: np.ndarray, tmp_path: Path) -> None:
    GANTrainer(make_recipe("sngan"), photographs, tmp_path, CPU).train()
    generator = load_generator(tmp_path / "snapshots" / "000000024.safetensors")
    x = generator(torch.randn(2, 8))
    assert x.shape == (2, 3, 32, 32)
    assert float(x.detach().abs().max()) <= 1


def test_a_loss_that_is_not_finite_stops_the_run_and_spares_the_checkpoint(
    photographs: np.ndarray, tmp_path: Path
) -> None:
    run = GANTrainer(make_recipe("dcgan"), photographs, tmp_path, CPU)
    run.train(max_seconds=0)
    checkpoint = (tmp_path / "checkpoint.pt").read_bytes()
    with torch.no_grad():
        next(run.discriminator.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingDiverged, match="loss_d is nan at step 1"):
        run.train()
    assert (tmp_path / "checkpoint.pt").read_bytes() == checkpoint
