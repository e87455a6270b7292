"""zoo/params.yaml: valid, and the splits that keep generators from the detector's test photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fakeface.params import ParamsError, load_params
from fakeface.zoo.recipes import load_recipe, load_zoo_params

REPOSITORY = Path(__file__).parents[2]
ZOO = REPOSITORY / "zoo" / "params.yaml"


def write_changed(tmp_path: Path, change: Any) -> Path:
    content = yaml.safe_load(ZOO.read_text(encoding="utf-8"))
    change(content)
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_committed_recipes_are_valid() -> None:
    zoo = load_zoo_params(ZOO)
    assert set(zoo.gans) >= {"dcgan", "lsgan", "wgan", "wgan_gp", "sngan"}
    assert len({recipe.seed for recipe in zoo.gans.values()}) == len(zoo.gans)


def test_size_and_splits_are_those_of_the_main_pipeline() -> None:
    zoo, main = load_zoo_params(ZOO), load_params(REPOSITORY / "params.yaml")
    assert zoo.image_size == main.image_size
    assert zoo.data_params.splits == main.data.splits


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda c: c["gans"]["dcgan"].update(depth=3), r"unknown key gans\.dcgan\.depth"),
        (lambda c: c["gans"]["dcgan"].update(loss="mse"), r"gans\.dcgan\.loss must be .*got 'mse'"),
        (lambda c: c["gans"]["wgan"]["optimiser_g"].update(lr=0), r"gans\.wgan\.optimiser_g\.lr .*got 0"),
        (lambda c: c.pop("splits"), "splits is missing"),
        (lambda c: c["splits"].update(val=0.9), "splits: val \\+ test must be below 1"),
        (lambda c: c["data"].update(root=None), r"data\.root must be a valid string, got None"),
        (lambda c: c.update(gans={}), "gans "),
    ],
)
def test_bad_params(tmp_path: Path, change: Any, complaint: str) -> None:
    path = write_changed(tmp_path, change)
    with pytest.raises(ParamsError, match=complaint) as error:
        load_zoo_params(path)
    assert str(error.value).startswith(str(path))


def test_an_unknown_gan_lists_the_known_ones() -> None:
    with pytest.raises(ParamsError, match="gans has no entry 'stylegan', expected one of dcgan, lsgan"):
        load_recipe(ZOO, "stylegan")
