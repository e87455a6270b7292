"""The networks of the paper's Table 1."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage

from fakeface.base.lite0 import build_network, default_weights
from fakeface.base.tensors import DetectorWeightsError
from fakeface.detector.decision import DecisionRule
from fakeface.detector.detector import load_cn, save_cn
from fakeface.models.cffn import CFFN, VARIANTS, FeatureNetwork, build_cffn, high_pass
from fakeface.models.cn import ClassificationNetwork
from fakeface.models.weights import load_cffn, save_cffn

every_variant = pytest.mark.parametrize("variant", list(VARIANTS))


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


@every_variant
@pytest.mark.parametrize(
    ("levels", "dim"), [((2, 3, 4), 384), ((1, 2, 3), 384), ((4,), 128), ((1, 2, 3, 4), 512)]
)
def test_the_embedding_joins_128_numbers_a_level(variant: str, levels: tuple[int, ...], dim: int) -> None:
    network = build_cffn(variant, levels, unit_norm=False)
    x = torch.randn(3, 3, 64, 64)
    assert network(x).shape == (3, dim)
    joint = FeatureNetwork.joint_map(network.level_maps(x))
    assert joint.shape[:2] == (3, dim)
    logits = ClassificationNetwork(dim)(joint)
    assert logits.shape == (3, 2)


@every_variant
def test_the_joint_map_pools_to_the_embedding(variant: str) -> None:
    network = build_cffn(variant, (2, 3, 4), unit_norm=False).eval()
    maps = network.level_maps(torch.randn(2, 3, 64, 64))
    side = 1 if variant.endswith("statistics") else 2
    assert maps[-1].shape == (2, 128, side, side)
    torch.testing.assert_close(FeatureNetwork.joint_map(maps).mean(dim=(2, 3)), network.embed_maps(maps))


@every_variant
def test_unit_norm(variant: str) -> None:
    lengths = build_cffn(variant, (2, 3, 4), unit_norm=True)(torch.randn(4, 3, 64, 64)).norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones(4))


@every_variant
@pytest.mark.parametrize("levels", [(2, 3, 4), (4,), (1, 2, 3, 4)])
def test_embeddings_begin_within_reach_of_the_margin(variant: str, levels: tuple[int, ...]) -> None:
    """From far outside the margin the loss only contracts, and stays at the constant distance margin / 2."""
    torch.manual_seed(0)
    network = build_cffn(variant, levels, unit_norm=False)
    distances = torch.pdist(network(torch.randn(16, 3, 64, 64)).detach())
    assert 0.01 < float(distances.mean()) < 0.5


@every_variant
def test_larger_images_are_accepted(variant: str) -> None:
    assert build_cffn(variant, (2, 3, 4), unit_norm=False)(torch.randn(2, 3, 128, 128)).shape == (2, 384)


@every_variant
def test_weights_round_trip(variant: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    cffn, cn = build_cffn(variant, (1, 3, 4), unit_norm=True).eval(), ClassificationNetwork(384).eval()
    save_cffn(tmp_path / "cffn.safetensors", cffn, 64)
    save_cn(tmp_path / "cn.safetensors", cn, DecisionRule.at(0.123456789))
    x = torch.randn(2, 3, 64, 64)
    loaded, image_size = load_cffn(tmp_path / "cffn.safetensors")
    stored_cn, rule = load_cn(tmp_path / "cn.safetensors")
    assert (image_size, rule.threshold) == (64, 0.123456789)
    assert type(loaded) is type(cffn)
    maps = cffn.level_maps(x)
    torch.testing.assert_close(loaded(x), cffn(x), rtol=0, atol=0)
    joint = FeatureNetwork.joint_map(maps)
    torch.testing.assert_close(stored_cn(joint), cn(joint), rtol=0, atol=0)


def test_an_unknown_variant_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError,
        match="variant must be one of paper, residual, pretrained, statistics, .*, got 'wide'",
    ):
        build_cffn("wide", (4,), unit_norm=False)
    cffn = CFFN((4,))
    cffn.variant = "wide"
    save_cffn(tmp_path / "cffn.safetensors", cffn, 64)
    with pytest.raises(
        DetectorWeightsError,
        match="variant must be one of paper, residual, pretrained, statistics, .*, got 'wide'",
    ):
        load_cffn(tmp_path / "cffn.safetensors")


def test_the_high_pass_against_an_independent_computation() -> None:
    x = torch.randn(2, 3, 9, 8, dtype=torch.float64)
    expected = 4 * (x.numpy() - ndimage.uniform_filter(x.numpy(), size=(1, 1, 3, 3), mode="mirror"))
    np.testing.assert_allclose(high_pass(x).numpy(), expected, atol=1e-12)


def test_the_residual_variant_does_not_see_colour_or_brightness() -> None:
    torch.manual_seed(0)
    network = build_cffn("residual", (1, 2, 3, 4), unit_norm=False).eval()
    x = torch.randn(2, 3, 64, 64)
    tint = torch.tensor([0.3, -0.2, 0.1]).view(1, 3, 1, 1)
    torch.testing.assert_close(network(x + tint), network(x), rtol=1e-4, atol=1e-5)


def test_the_pretrained_levels_are_those_of_the_imagenet_network() -> None:
    """Against the package's own network, neither folded nor cut, on pixels in its own convention."""
    pixels = torch.from_numpy(np.random.default_rng(0).integers(256, size=(2, 3, 64, 64))).float()
    reference: Any = build_network(default_weights())
    x = (F.interpolate(pixels, scale_factor=2, mode="bilinear") - 127) / 128
    x = reference._swish(reference._bn0(reference._conv_stem(x)))
    expected = []
    for number, block in enumerate(reference._blocks):
        x = block(x)
        if number in (2, 4, 7, 10):
            expected.append(x)
    network = build_cffn("pretrained", (1, 2, 3, 4), unit_norm=False)
    levels, _ = network.blocks_and_maps(pixels / 127.5 - 1)
    for ours, theirs in zip(levels, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4 * float(theirs.detach().abs().max()))


def test_training_leaves_the_imagenet_weights_alone() -> None:
    network = build_cffn("pretrained", (2, 3), unit_norm=False).train()
    before = copy.deepcopy(network.state_dict())
    optimiser = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=0.01)
    network(torch.randn(4, 3, 32, 32)).square().sum().backward()
    optimiser.step()
    after = network.state_dict()
    changed = {name.split(".")[0] for name in after if not torch.equal(after[name], before[name])}
    assert changed == {"heads"}
    assert not any(parameter.requires_grad for parameter in network.levels.parameters())


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_cn(tmp_path / "cn.safetensors", ClassificationNetwork(), DecisionRule.at(0.5))
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
