"""Going on from a card: the program does it in a run of its own, and files that do not fit are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from fakeface.base.downloads import sha256_of
from fakeface.base.errors import MissingFileError
from fakeface.zoo.recipes import Recipe, StartError, discriminator_file, read_start
from fakeface.zoo.train import main
from zoo.test_train import RECIPE


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Card and weights of a run of 24 images, as models/gans/ would hold them."""
    monkeypatch.chdir(tmp_path)
    zoo = {
        "data": {"source": "folder", "root": "unused"},
        "image_size": 32,
        "splits": {"val": 0.15, "test": 0.15},
        "gans": {"tiny": RECIPE},
    }
    Path("params.yaml").write_text(yaml.safe_dump(zoo))
    np.save("images.npy", np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8))
    main([*COMMON, "--out", "gans"])
    card = {
        "recipe": Recipe(**RECIPE).model_dump(mode="json"),
        "images_shown": 24,
        "seconds": 7,
        "hardware": {"device": "cpu"},
        "torch_version": "2",
        "weights_sha256": sha256_of("gans/tiny.safetensors"),
        "curve": [[24, 0.5]],
    }
    path = tmp_path / "gans" / "tiny.json"
    path.write_text(json.dumps(card))
    return path


COMMON = [
    "--gan",
    "tiny",
    "--params",
    "params.yaml",
    "--images",
    "images.npy",
    "--device",
    "cpu",
    "--weights-only",
]


def longer(images: int) -> None:
    zoo = yaml.safe_load(Path("params.yaml").read_text())
    zoo["gans"]["tiny"]["images"] = images
    Path("params.yaml").write_text(yaml.safe_dump(zoo))


def test_the_program_goes_on_in_a_run_of_its_own(published: Path) -> None:
    assert discriminator_file(published.with_suffix(".safetensors")).is_file()
    start = read_start(published, Recipe(**RECIPE))
    assert (start.images_shown, start.seconds, start.curve) == (24, 7.0, [[24, 0.5]])
    assert [run["images_shown"] for run in start.history] == [24]
    before = sha256_of("gans/tiny.safetensors")
    longer(40)
    main([*COMMON, "--out", "more", "--start-from", str(published)])
    assert sha256_of("gans/tiny.safetensors") == before
    assert sha256_of("more/tiny.safetensors") != before
    assert len(list(Path(".checkpoints/gans").iterdir())) == 2


def test_nothing_is_trained_that_was_already_shown(
    published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*COMMON, "--out", "same", "--start-from", str(published)])
    runs = sorted(Path(".checkpoints/gans").glob("*/log.csv"))
    assert len(runs) == 1  # the first run's alone: 24 of 24 images were shown before


def test_what_does_not_fit_is_refused(published: Path) -> None:
    recipe = Recipe(**RECIPE)
    with pytest.raises(MissingFileError, match=r"absent\.json: no such file"):
        read_start(published.with_name("absent.json"), recipe)
    other = RECIPE | {"generator": {"architecture": "dcgan", "config": {"z_dim": 9}}}
    with pytest.raises(
        StartError, match=r"tiny\.json: the recipe's networks must be .*'z_dim': 8.*, got .*'z_dim': 9"
    ):
        read_start(published, Recipe(**other))
    weights = published.with_suffix(".safetensors")
    content = weights.read_bytes()
    weights.write_bytes(content + b" ")
    with pytest.raises(
        StartError, match=r"tiny\.safetensors: sha256 is [0-9a-f]{64}, .*tiny\.json says [0-9a-f]{64}"
    ):
        read_start(published, recipe)
    weights.write_bytes(content)
    published.write_text('{"file": "of another kind"}')
    with pytest.raises(StartError, match=r"tiny\.json: not a card of a trained generator"):
        read_start(published, recipe)
