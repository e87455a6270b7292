"""Outputs of the levels' blocks: where they stand, and that asking for them changes no result."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from fakeface.models.cffn import (
    CFFN,
    VARIANTS,
    ExpandedStatisticsCFFN,
    PretrainedCFFN,
    ResidualCFFN,
    StatisticsCFFN,
    build_cffn,
    high_pass,
)

SHAPES = {
    "paper": [(96, 16), (120, 8), (156, 4), (126, 2)],
    "residual": [(24, 64), (48, 32), (72, 16), (96, 8)],
    "pretrained": [(24, 32), (40, 16), (80, 8), (112, 8)],
    "statistics": [(416, 1), (1120, 1), (1344, 1), (4352, 1)],
    "expanded_statistics": [(832, 1), (2560, 1), (3168, 1), (9632, 1)],
}


def plain_level_maps(network: Any, x: torch.Tensor) -> list[torch.Tensor]:
    """The level maps of either variant, written out layer by layer."""
    maps = []
    if isinstance(network, CFFN):
        x = network.stem(x)
        for level in range(1, 5):
            x = network.blocks[level - 1](x)
            if level in network.feature_levels:
                maps.append(network.heads[str(level)](x))
            if level < 4:
                x = network.transitions[level - 1](x)
        return maps
    side = x.shape[-1] // 32
    if isinstance(network, StatisticsCFFN):
        statistics: dict[int, list[torch.Tensor]] = {level: [] for level in network.feature_levels}
        small = (127.5 * x + 0.5) / 128
        for scale, y in ((1, small), (2, F.interpolate(small, scale_factor=2, mode="bilinear"))):
            for level in range(1, 5):
                for layer in network.levels[level - 1]:  # type: ignore[attr-defined]
                    before, y = y, layer(y)
                    # The stem's two layers are no block.
                    if level in statistics and "MBConv" in type(layer).__name__:
                        mean = y.mean(dim=(2, 3), keepdim=True)
                        variance = (y * y).mean(dim=(2, 3), keepdim=True) - mean * mean
                        statistics[level] += [mean, (F.relu(variance) + 1e-6).sqrt()]
                        if isinstance(network, ExpandedStatisticsCFFN) and scale == 2:
                            expand = getattr(layer, "_expand_conv", None)
                            if expand is not None:
                                before = expand(before).clamp(0, 6)
                            inside = layer._depthwise_conv(before).clamp(0, 6)
                            centred = inside - inside.mean(dim=(2, 3), keepdim=True)
                            variance = centred.square().mean(dim=(2, 3), keepdim=True)
                            statistics[level].append((variance + 1e-6).sqrt())
        return [network.heads[str(i)](torch.cat(parts, dim=1), 1) for i, parts in statistics.items()]
    if isinstance(network, PretrainedCFFN):
        x = F.interpolate((127.5 * x + 0.5) / 128, scale_factor=2, mode="bilinear")
        for level in range(1, 5):
            x = network.levels[level - 1](x)
            if level in network.feature_levels:
                maps.append(network.heads[str(level)](x, side))
        return maps
    assert isinstance(network, ResidualCFFN)
    x = high_pass(x)
    for level in range(1, 5):
        x = network.levels[level - 1](x)
        if level in network.feature_levels:
            maps.append(network.heads[str(level)](F.adaptive_avg_pool2d(x, side)))
    return maps


@pytest.mark.parametrize("variant", list(VARIANTS))
@pytest.mark.parametrize("levels", [(2, 3, 4), (1, 2, 3, 4), (4,)])
def test_one_block_a_feature_level_finest_first(variant: str, levels: tuple[int, ...]) -> None:
    blocks, maps = build_cffn(variant, levels, unit_norm=False).blocks_and_maps(torch.randn(2, 3, 64, 64))
    assert [(block.shape[1], block.shape[2]) for block in blocks] == [SHAPES[variant][i - 1] for i in levels]
    assert all(block.shape[0] == 2 and block.shape[2] == block.shape[3] for block in blocks)
    assert [level.shape[1] for level in maps] == [128] * len(levels)


@pytest.mark.parametrize("variant", list(VARIANTS))
@pytest.mark.parametrize("training", [True, False])
def test_level_maps_their_gradients_and_statistics_are_bit_identical(variant: str, training: bool) -> None:
    torch.manual_seed(0)
    network = build_cffn(variant, (2, 3, 4), unit_norm=False).train(training)
    twin = copy.deepcopy(network)
    x = torch.randn(4, 3, 64, 64)
    maps, expected = network.level_maps(x), plain_level_maps(twin, x)
    for ours, theirs in zip(maps, expected, strict=True):
        assert torch.equal(ours, theirs)
    sum(level.square().mean() for level in maps).backward()  # type: ignore[union-attr]
    sum(level.square().mean() for level in expected).backward()  # type: ignore[union-attr]
    for ours, theirs in zip(network.parameters(), twin.parameters(), strict=True):
        assert (ours.grad is None) == (theirs.grad is None)
        assert ours.grad is None or torch.equal(ours.grad, theirs.grad)
    for name, value in network.state_dict().items():
        assert torch.equal(value, twin.state_dict()[name]), name
