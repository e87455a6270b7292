"""The common fake feature network (CFFN) of Hsu, Zhuang and Lee 2020, Table 1.

A 7x7 stem of stride 4, four dense blocks (Huang et al., "Densely Connected Convolutional Networks",
CVPR 2017) of 2, 3, 4 and 2 layers with growth 24, transitions that halve channels and side after the
first three, and cross-layer features: a 3x3 convolution to 128 channels on each chosen block, pooled
over the picture and joined to one vector.

    side 64: stem 16x16x48, block1 96, 8x8x48, block2 120, 4x4x60, block3 156, 2x2x78, block4 126
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

BLOCK_LAYERS = (2, 3, 4, 2)
GROWTH = 24
STEM_CHANNELS = 48
LEVEL_CHANNELS = 128


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


class CFFN(nn.Module):
    """Images to embeddings whose distances say whether two pictures are of one kind.

    Args:
        feature_levels: which dense blocks (1-4, ascending) feed the embedding.
        unit_norm: divide each embedding by its length, so that distances lie in [0, 2].
    """

    def __init__(self, feature_levels: Sequence[int] = (2, 3, 4), unit_norm: bool = False) -> None:
        super().__init__()
        self.feature_levels = tuple(feature_levels)
        self.unit_norm = unit_norm
        self.feature_dim = LEVEL_CHANNELS * len(self.feature_levels)
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
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        # Embeddings that begin many margins apart leave the hinge idle: nothing pushes reals from fakes,
        # every pair contracts to distance margin / 2, and training stays there, at a loss of margin^2 / 8.
        # So each joined number begins with a variance of about 1 / feature_dim.
        with torch.no_grad():
            for module in self.heads.modules():
                if isinstance(module, nn.Conv2d):
                    module.weight.div_(math.sqrt(self.feature_dim))

    def level_maps(self, x: torch.Tensor) -> list[torch.Tensor]:
        """(B, 3, S, S) in [-1, 1] to one (B, 128, s, s) map a feature level, finest first."""
        maps = []
        x = self.stem(x)
        for level, block in enumerate(self.blocks, start=1):
            x = block(x)
            if level in self.feature_levels:
                maps.append(self.heads[str(level)](x))
            if level <= len(self.transitions):
                x = self.transitions[level - 1](x)
        return maps

    def embed_maps(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Level maps to embeddings (B, feature_dim): pooled over the picture and joined."""
        embedding = torch.cat([level.mean(dim=(2, 3)) for level in maps], dim=1)
        return F.normalize(embedding, dim=1) if self.unit_norm else embedding

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, S, S) in [-1, 1] to embeddings (B, feature_dim)."""
        return self.embed_maps(self.level_maps(x))

    @staticmethod
    def joint_map(maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Level maps averaged to the coarsest level's side and joined: (B, feature_dim, s, s).

        This is what the classification network reads: the same 128 numbers a level as the
        embedding, but with their position.
        """
        side = (maps[-1].shape[-2], maps[-1].shape[-1])
        return torch.cat([F.adaptive_avg_pool2d(level, side) for level in maps], dim=1)
