"""The common fake feature network (CFFN) of Hsu, Zhuang and Lee 2020, Table 1.

A 7x7 stem of stride 4, four dense blocks (Huang et al., "Densely Connected Convolutional Networks",
CVPR 2017) of 2, 3, 4 and 2 layers with growth 24, transitions that halve channels and side after the
first three, and cross-layer features: a 3x3 convolution to 128 channels on each chosen block, pooled
over the picture and joined to one vector.

    side 64: stem 16x16x48, block1 96, 8x8x48, block2 120, 4x4x60, block3 156, 2x2x78, block4 126
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from fakeface.detector.features import LEVEL_CHANNELS, FeatureNetwork

BLOCK_LAYERS = (2, 3, 4, 2)
GROWTH = 24
STEM_CHANNELS = 48


def _norm_relu_conv(c_in: int, c_out: int, kernel: int) -> nn.Sequential:
    """Pre-activation convolution, the order of the DenseNet paper; the side is kept."""
    return nn.Sequential(
        nn.BatchNorm2d(c_in),
        nn.ReLU(inplace=True),
        nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, bias=False),
    )


class DenseBlock(nn.Module):
    """Each layer sees all maps before it: (B, C, H, W) to (B, C + layers * GROWTH, H, W)."""

    def __init__(self, channels: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_norm_relu_conv(channels + i * GROWTH, GROWTH, 3) for i in range(layers))
        self.out_channels = channels + layers * GROWTH

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x)], dim=1)
        return x


class CFFN(FeatureNetwork):
    """The paper's network; its levels are the four dense blocks."""

    variant = "paper"

    def __init__(self, feature_levels: Sequence[int] = (2, 3, 4), unit_norm: bool = False) -> None:
        super().__init__(feature_levels, unit_norm)
        self.stem = nn.Conv2d(3, STEM_CHANNELS, 7, stride=4, padding=3, bias=False)
        blocks, transitions, heads = [], [], {}
        channels = STEM_CHANNELS
        for level, layers in enumerate(BLOCK_LAYERS, start=1):
            block = DenseBlock(channels, layers)
            blocks.append(block)
            if level in self.feature_levels:
                heads[str(level)] = _norm_relu_conv(block.out_channels, LEVEL_CHANNELS, 3)
            if level < len(BLOCK_LAYERS):
                channels = block.out_channels // 2
                transition = _norm_relu_conv(block.out_channels, channels, 1)
                transition.append(nn.AvgPool2d(2))
                transitions.append(transition)
        self.blocks = nn.ModuleList(blocks)
        self.transitions = nn.ModuleList(transitions)
        self.heads = nn.ModuleDict(heads)
        self._initialise(self.heads)

    def blocks_and_maps(self, x: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """(B, 3, S, S) in [-1, 1] to a dense block's output and a (B, 128, s, s) map a feature level."""
        outputs, maps = [], []
        x = self.stem(x)
        for level, block in enumerate(self.blocks, start=1):
            x = block(x)
            if level in self.feature_levels:
                outputs.append(x)
                maps.append(self.heads[str(level)](x))
            if level <= len(self.transitions):
                x = self.transitions[level - 1](x)
        return outputs, maps
