"""Files of a CN: they come back as they were, and a damaged or older one is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from fakeface.base.tensors import DetectorWeightsError, save_tensors
from fakeface.detector.calibration import NO_SCORE_OFFSET, UNCALIBRATED, Calibration, ScoreOffset
from fakeface.detector.decision import DecisionRule
from fakeface.detector.detector import load_cn, save_cn
from fakeface.models.cffn import build_cffn
from fakeface.models.cn import ClassificationNetwork
from fakeface.models.weights import frozen_tensors, load_cffn, save_cffn

OFFSET = ScoreOffset((-9.1, 0.1 + 0.2, 1 / 3), -2.5, 0.01)
PLATT = Calibration("platt", 0.1 + 0.2, -1 / 3)
RULE = DecisionRule(0.123456789, 0.1 + 0.2, PLATT, OFFSET)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    cn = ClassificationNetwork()
    save_cn(tmp_path / "cn.safetensors", cn, RULE)
    return tmp_path / "cn.safetensors"


def rewrite(file: Path, **changes: Any) -> None:
    """Replace values of the header by JSON text of their own; ... removes one."""
    with safe_open(file, framework="pt") as stored:
        header = dict(stored.metadata())
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    for key, value in changes.items():
        header.pop(key, None)
        if value is not ...:
            header[key] = json.dumps(value)
    save_tensors(file, tensors, header)


def test_everything_comes_back_to_the_last_bit(file: Path) -> None:
    torch.manual_seed(0)
    cn = ClassificationNetwork()
    stored, rule = load_cn(file)
    assert not stored.training
    for name, tensor in cn.state_dict().items():
        assert torch.equal(stored.state_dict()[name], tensor)
    assert rule == RULE


def test_a_fallback_says_why_in_the_file_too(file: Path) -> None:
    fallback = Calibration("none", 1.0, 0.0, "platt: all margins are equal")
    save_cn(file, ClassificationNetwork(), DecisionRule(0.5, 0.4, fallback))
    assert load_cn(file)[1].calibration == fallback


def test_without_more_said_nothing_is_calibrated_and_nothing_unsure(file: Path) -> None:
    save_cn(file, ClassificationNetwork(), DecisionRule.at(0.5))
    assert load_cn(file)[1] == DecisionRule(0.5, 0.5, UNCALIBRATED, NO_SCORE_OFFSET)


def test_equal_content_is_equal_bytes(file: Path) -> None:
    torch.manual_seed(0)
    again = file.with_name("again.safetensors")
    save_cn(again, ClassificationNetwork(), RULE)
    assert again.read_bytes() == file.read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"calibration": ...}, "the header lacks calibration; make the file anew: dvc repro train_cn"),
        ({"calibration": ..., "lower_threshold": ...}, "the header lacks calibration, lower_threshold; make"),
        ({"score_offset": ...}, "the header lacks score_offset; make the file anew: dvc repro train_cn"),
        ({"score_offset": [1, 2]}, "in the header: score_offset: "),
        (
            {"score_offset": {"coefficients": [1, 2], "lowest": 0, "highest": 1}},
            "three coefficients and a range",
        ),
        ({"photographs": ...}, "the header lacks photographs; make the file anew: dvc repro train_cn"),
        ({"photographs": [0.2, 0.1]}, "photographs must be ascending scores"),
        ({"photographs": [0.2, "high"]}, "photographs must be ascending scores"),
        ({"photographs": 5}, "in the header: photographs: "),
        ({"network": "cffn"}, "network must be 'cn', got 'cffn'"),
        ({"threshold": "high"}, r"in the header: threshold must be in \[0, 1\], got 'high'"),
        ({"threshold": True}, r"in the header: threshold must be in \[0, 1\], got True"),
        ({"lower_threshold": float("nan")}, r"in the header: lower_threshold must be in \[0, 1\], got nan"),
        ({"lower_threshold": 1.5}, r"in the header: lower_threshold must be in \[0, 1\], got 1.5"),
        ({"calibration": 5}, "in the header: calibration: "),
        ({"calibration": {"method": "platt", "slope": 1.0}}, "in the header: calibration: .*bias"),
        ({"calibration": PLATT.numbers() | {"shape": 2}}, "in the header: calibration: .*shape"),
        ({"calibration": PLATT.numbers() | {"slope": 0.0}}, "slope must be a number > 0, got 0.0"),
        ({"calibration": PLATT.numbers() | {"slope": None}}, "slope must be a number > 0, got None"),
        ({"calibration": PLATT.numbers() | {"bias": float("inf")}}, "bias must be a number, got inf"),
        ({"calibration": PLATT.numbers() | {"method": "beta"}}, "method must be one of none, .*got 'beta'"),
    ],
)
def test_a_damaged_header_is_refused(file: Path, changes: dict[str, Any], message: str) -> None:
    rewrite(file, **changes)
    with pytest.raises(DetectorWeightsError, match=f"cn.safetensors: .*{message}"):
        load_cn(file)


def test_text_that_is_no_json_and_bytes_that_are_no_file_are_refused(file: Path) -> None:
    save_tensors(file, {}, {"network": "{"})
    with pytest.raises(DetectorWeightsError, match="cn.safetensors: cannot be read"):
        load_cn(file)
    file.write_bytes(b"\x00" * 50)
    with pytest.raises(DetectorWeightsError, match="cn.safetensors: cannot be read"):
        load_cn(file)
    with pytest.raises(DetectorWeightsError, match="absent.safetensors: cannot be read"):
        load_cn(file.with_name("absent.safetensors"))


def test_tensors_that_do_not_fit_are_refused(file: Path) -> None:
    header = {"network": "cn", "threshold": 0.5, "lower_threshold": 0.4, "calibration": PLATT.numbers()}
    texts = {key: json.dumps(value) for key, value in header.items()}
    for tensors in ({}, {"conv.weight": torch.zeros(3)}, {"conv.weight": torch.zeros(2, 384, 3, 3)}):
        save_tensors(file, tensors, texts)
        with pytest.raises(DetectorWeightsError, match="cn.safetensors: "):
            load_cn(file)


@pytest.mark.parametrize("variant", ["pretrained", "statistics"])
def test_frozen_layers_are_not_stored_and_others_are_refused(variant: str, tmp_path: Path) -> None:
    path = tmp_path / "cffn.safetensors"
    cffn = build_cffn(variant, (2, 4), unit_norm=False).eval()
    save_cffn(path, cffn, 64)
    assert {name.split(".")[0] for name in load_file(path)} == {"heads"}
    x = torch.randn(2, 3, 64, 64)
    assert torch.equal(load_cffn(path)[0](x), cffn(x))
    with torch.no_grad():
        next(iter(frozen_tensors(cffn).values())).add_(1e-6)
    save_cffn(path, cffn, 64)
    with pytest.raises(
        DetectorWeightsError, match="trained on frozen layers of sha256 .*, the installed ones have"
    ):
        load_cffn(path)


def test_a_cffn_without_its_description_is_refused(tmp_path: Path) -> None:
    save_tensors(tmp_path / "cffn.safetensors", {}, {"network": '"cffn"', "variant": '"paper"'})
    with pytest.raises(
        DetectorWeightsError, match="the header lacks feature_levels, frozen_sha256, image_size, unit_norm"
    ):
        load_cffn(tmp_path / "cffn.safetensors")
