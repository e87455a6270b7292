"""The networks of the paper's Table 1."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fakeface.detector.cffn import CFFN
from fakeface.detector.cn import ClassificationNetwork
from fakeface.detector.weights import DetectorWeightsError, load_cffn, load_cn, save_cffn, save_cn


def test_channels_and_sides_follow_table_1() -> None:
    network = CFFN()
    x = network.stem(torch.zeros(2, 3, 64, 64))
    assert x.shape == (2, 48, 16, 16)
    after_transition = []
    for i, block in enumerate(network.blocks):
        x = block(x)
        if i < 3:
            x = network.transitions[i](x)
            after_transition.append(tuple(x.shape[1:]))
    assert after_transition == [(48, 8, 8), (60, 4, 4), (78, 2, 2)]
    assert x.shape == (2, 126, 2, 2)


@pytest.mark.parametrize(
    ("levels", "dim"), [((2, 3, 4), 384), ((1, 2, 3), 384), ((4,), 128), ((1, 2, 3, 4), 512)]
)
def test_the_embedding_joins_128_numbers_a_level(levels: tuple[int, ...], dim: int) -> None:
    network = CFFN(levels)
    x = torch.randn(3, 3, 64, 64)
    assert network(x).shape == (3, dim)
    joint = CFFN.joint_map(network.level_maps(x))
    assert joint.shape[:2] == (3, dim)
    logits = ClassificationNetwork(dim)(joint)
    assert logits.shape == (3, 2)


def test_the_joint_map_pools_to_the_embedding() -> None:
    network = CFFN().eval()
    maps = network.level_maps(torch.randn(2, 3, 64, 64))
    torch.testing.assert_close(CFFN.joint_map(maps).mean(dim=(2, 3)), network.embed_maps(maps))


def test_unit_norm() -> None:
    lengths = CFFN(unit_norm=True)(torch.randn(4, 3, 64, 64)).norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones(4))


@pytest.mark.parametrize("levels", [(2, 3, 4), (4,), (1, 2, 3, 4)])
def test_embeddings_begin_within_reach_of_the_margin(levels: tuple[int, ...]) -> None:
    """From far outside the margin the loss only contracts, and stays at the constant distance margin / 2."""
    torch.manual_seed(0)
    distances = torch.pdist(CFFN(levels)(torch.randn(16, 3, 64, 64)).detach())
    assert 0.01 < float(distances.mean()) < 0.5


def test_larger_images_are_accepted() -> None:
    assert CFFN()(torch.randn(2, 3, 128, 128)).shape == (2, 384)


def test_weights_round_trip(tmp_path: Path) -> None:
    torch.manual_seed(0)
    cffn, cn = CFFN((1, 3, 4), unit_norm=True).eval(), ClassificationNetwork(384).eval()
    save_cffn(tmp_path / "cffn.safetensors", cffn, 64)
    save_cn(tmp_path / "cn.safetensors", cn, 0.123456789)
    x = torch.randn(2, 3, 64, 64)
    loaded, image_size = load_cffn(tmp_path / "cffn.safetensors")
    loaded_cn, threshold = load_cn(tmp_path / "cn.safetensors")
    assert (image_size, threshold) == (64, 0.123456789)
    maps = cffn.level_maps(x)
    torch.testing.assert_close(loaded(x), cffn(x), rtol=0, atol=0)
    torch.testing.assert_close(loaded_cn(CFFN.joint_map(maps)), cn(CFFN.joint_map(maps)), rtol=0, atol=0)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_cn(tmp_path / "cn.safetensors", ClassificationNetwork(), 0.5)
    with pytest.raises(DetectorWeightsError, match="network must be 'cffn', got 'cn'"):
        load_cffn(tmp_path / "cn.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"\x00" * 50)
    with pytest.raises(DetectorWeightsError, match="bad.safetensors"):
        load_cn(tmp_path / "bad.safetensors")


def test_equal_weights_are_equal_bytes(tmp_path: Path) -> None:
    """DVC compares bytes; the header's order must not depend on the process's hash table."""
    cffn = CFFN()
    files = [tmp_path / f"{i}.safetensors" for i in range(8)]
    for file in files:
        save_cffn(file, cffn, 64)
    assert len({file.read_bytes() for file in files}) == 1
