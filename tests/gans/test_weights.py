"""Weights files: a round trip, and what each kind of wrong file says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fakeface.gans.architectures import build_generator
from fakeface.gans.weights import WeightsError, load_generator, load_strictly, save_network

CONFIG = {"z_dim": 6, "width": 4, "image_size": 32}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "gan.safetensors"
    save_network(path, build_generator("dcgan", CONFIG), "dcgan", CONFIG)
    return path


def test_round_trip_in_half_precision(weights: Path) -> None:
    torch.manual_seed(0)
    original = build_generator("dcgan", CONFIG).half().float().eval()
    loaded = load_generator(weights)
    z = torch.randn(3, 6)
    assert torch.equal(loaded(z), original(z))
    assert not loaded.training
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    assert {tensor.dtype for tensor in load_file(weights).values()} == {torch.float16}


def test_absent_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors: no such weights file"):
        load_generator(tmp_path / "none.safetensors")


def test_truncated_file(weights: Path) -> None:
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(WeightsError, match=r"gan\.safetensors: not a safetensors file"):
        load_generator(weights)


@pytest.mark.parametrize("content", [b"", b"not weights at all", b"\x80\x04\x95pickle"])
def test_not_safetensors(weights: Path, content: bytes) -> None:
    weights.write_bytes(content)
    with pytest.raises(WeightsError, match="not a safetensors file"):
        load_generator(weights)


def test_no_header(weights: Path) -> None:
    save_file(load_file(weights), weights)
    with pytest.raises(WeightsError, match="names no architecture"):
        load_generator(weights)


@pytest.mark.parametrize(
    ("architecture", "config"),
    [("vae", "{}"), ("dcgan", '{"depth": 3}'), ("dcgan", "{"), ("dcgan", '{"image_size": 48}')],
)
def test_header_of_no_generator_of_ours(weights: Path, architecture: str, config: str) -> None:
    save_file(load_file(weights), weights, metadata={"architecture": architecture, "config": config})
    with pytest.raises(WeightsError, match=r"gan\.safetensors: header describes no network of ours"):
        load_generator(weights)


def test_wrong_architecture_names_at_most_ten_keys_a_side(weights: Path) -> None:
    header = {"architecture": "resnet", "config": json.dumps({"z_dim": 6, "channels": [8, 8, 8]})}
    save_file(load_file(weights), weights, metadata=header)
    with pytest.raises(WeightsError) as error:
        load_generator(weights)
    message = str(error.value)
    missing, unexpected = message.split("missing keys: ")[1].split("; unexpected keys: ")
    assert "\n" not in message
    assert missing.startswith("blocks.0.conv1.bias, ")
    assert missing.endswith(" more")
    assert missing.count(",") == 9
    assert unexpected.startswith("main.0.weight, ")
    assert unexpected.count(",") <= 9


def test_wrong_width_names_the_shapes(weights: Path) -> None:
    header = {"architecture": "dcgan", "config": json.dumps({**CONFIG, "width": 8})}
    save_file(load_file(weights), weights, metadata=header)
    with pytest.raises(WeightsError, match=r"main\.0\.weight is \(6, 16, 4, 4\), expected \(6, 32, 4, 4\)"):
        load_generator(weights)


def test_missing_and_unexpected_key_by_name(weights: Path) -> None:
    tensors = load_file(weights)
    tensors["main.99.weight"] = tensors.pop("main.0.weight")
    with pytest.raises(
        WeightsError, match=r"missing keys: main\.0\.weight; unexpected keys: main\.99\.weight"
    ):
        load_strictly("some.file", build_generator("dcgan", CONFIG), tensors)


def test_a_failed_write_leaves_the_old_file(weights: Path) -> None:
    before = weights.read_bytes()
    broken = build_generator("dcgan", CONFIG)
    with pytest.raises(TypeError):
        save_network(weights, broken, "dcgan", {"width": object()})
    assert weights.read_bytes() == before
    assert [path.name for path in weights.parent.iterdir()] == [weights.name]
