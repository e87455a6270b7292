"""params.yaml: what is refused, and that all of it is said at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fakeface.params import Params, ParamsError, load_params, validate

ROOT = Path(__file__).parents[1]


def content() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
    return loaded


def problems(changed: dict[str, Any]) -> list[str]:
    with pytest.raises(ParamsError) as caught:
        validate(Params, changed, "params.yaml")
    return str(caught.value).splitlines()


@pytest.mark.parametrize("path", [ROOT / "params.yaml", *sorted((ROOT / "profiles").glob("*.yaml"))], ids=str)
def test_every_shipped_file_is_valid(path: Path) -> None:
    params = load_params(path)
    assert params.training_gans
    assert not set(params.training_gans) & set(params.held_out)


def test_all_problems_are_reported_at_once_with_key_value_and_expectation() -> None:
    changed = content()
    changed["margn"] = 1
    changed["cffn"]["lr"] = "abc"
    changed["margin"] = -0.5
    changed["gans"]["dcgan"]["foo"] = 1
    del changed["seed"]
    lines = problems(changed)
    assert len(lines) == 5
    assert all(line.startswith("params.yaml: ") for line in lines)
    text = "\n".join(lines)
    assert "margin must be greater than 0, got -0.5" in text
    assert "unknown key margn, expected one of seed, margin," in text
    assert "unknown key gans.dcgan.foo, expected one of loader, weights" in text
    assert "cffn.lr must be a valid number" in text
    assert "got 'abc'" in text
    assert "seed is missing" in text


@pytest.mark.parametrize("margin", [0, -1, ".nan", ".inf", "wide"])
def test_margins_that_make_no_sense(margin: Any) -> None:
    changed = content()
    changed["margin"] = yaml.safe_load(str(margin))
    assert any("margin must be" in line for line in problems(changed))


def test_a_number_written_by_dvc_in_scientific_notation_is_a_number() -> None:
    """YAML 1.1 reads 1e-05, which is what `-S cffn.lr=0.00001` writes, as a string."""
    changed = content()
    changed["cffn"]["lr"] = yaml.safe_load("1e-05")
    assert isinstance(changed["cffn"]["lr"], str)
    assert validate(Params, changed, "params.yaml").cffn.lr == 1e-05


@pytest.mark.parametrize(
    ("held_out", "message"),
    [
        (["stylegan9"], "held_out must name entries of gans (dcgan, lsgan"),
        (["wgan_gp", "wgan_gp"], "held_out must name each GAN once"),
        (list(content()["gans"]), "held_out must leave at least one GAN to train on"),
    ],
)
def test_held_out_gans(held_out: list[str], message: str) -> None:
    changed = content()
    changed["held_out"] = held_out
    assert any(message in line for line in problems(changed))


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("data", "source", "folder", "root must be a folder, zip or tar"),
        ("data", "splits", {"val": 0.6, "test": 0.5}, "val + test must be below 1"),
        ("cffn", "feature_levels", [4, 2], "feature_levels must be ascending and distinct"),
        ("cffn", "crop", 96, "cffn.crop must be at most image_size (64), got 96"),
        ("cffn", "crop", 48, "cffn.crop must be a multiple of 32, got 48"),
        ("cffn", "batch_size", 7, "cffn.batch_size must be a multiple of 2, got 7"),
        ("quality", "kid_subset_size", 10**6, "kid_subset_size must be at most n_images"),
        ("protocols", "mild", {"jpeg_quality": [90, 50]}, "jpeg_quality must be [low, high]"),
    ],
)
def test_values_that_contradict_each_other(section: str, key: str, value: Any, message: str) -> None:
    changed = content()
    changed[section][key] = value
    assert any(message in line for line in problems(changed))


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text() + "\nmargin: 0.9\n")
    with pytest.raises(ParamsError, match=r"params.yaml: key 'margin' is given twice, again on line \d+"):
        load_params(path)


def test_files_that_are_absent_or_no_yaml(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="nowhere.yaml: no such file"):
        load_params(tmp_path / "nowhere.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1,")
    with pytest.raises(ParamsError, match="bad.yaml"):
        load_params(tmp_path / "bad.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(ParamsError, match="list.yaml"):
        load_params(tmp_path / "list.yaml")
