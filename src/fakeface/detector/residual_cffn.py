"""A CFFN that keeps what the paper's stem of stride 4 throws away.

Two changes, the rest is the paper's: features of several levels, 128 numbers each, joined and learnt by
pairs. The input is the high-pass residual of the picture, pixel minus the mean of its 3x3 neighbourhood,
which hides what is photographed and keeps how the pixels were made; and the first convolution has stride 1.

    side 64: level1 64x64x24, level2 32x32x48, level3 16x16x72, level4 8x8x96

Level 2 sees patches of 11 pixels across, level 3 of 23, level 4 of 47; all are averaged over the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from fakeface.detector.features import LEVEL_CHANNELS, FeatureNetwork

CHANNELS = (24, 48, 72, 96)
# Neighbouring pixels differ by about a tenth of the range; this brings residuals near unit scale.
RESIDUAL_GAIN = 4.0


def high_pass(x: torch.Tensor) -> torch.Tensor:
    """Pixel minus the mean of its 3x3 neighbourhood, borders mirrored, times a gain: (B, C, H, W)."""
    return RESIDUAL_GAIN * (x - F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), 3, stride=1))


def _conv_norm_relu(c_in: int, c_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(c_out),
        nn.ReLU(inplace=True),
    )


class ResidualCFFN(FeatureNetwork):
    """Stride 1, high-pass input, plain convolutions."""

    variant = "residual"

    def __init__(self, feature_levels: Sequence[int] = (2, 3, 4), unit_norm: bool = False) -> None:
        super().__init__(feature_levels, unit_norm)
        levels = [_conv_norm_relu(3, CHANNELS[0])]
        for c_in, c_out in pairwise(CHANNELS):
            levels.append(nn.Sequential(_conv_norm_relu(c_in, c_in, stride=2), _conv_norm_relu(c_in, c_out)))
        self.levels = nn.ModuleList(levels)
        self.heads = nn.ModuleDict(
            {
                str(level): nn.Conv2d(CHANNELS[level - 1], LEVEL_CHANNELS, 1, bias=False)
                for level in self.feature_levels
            }
        )
        self._initialise(self.heads)

    def blocks_and_maps(self, x: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """(B, 3, S, S) in [-1, 1] to an output and a (B, 128, S/32, S/32) map a feature level."""
        side = x.shape[-1] // 32
        x = high_pass(x)
        outputs, maps = [], []
        for level, layers in enumerate(self.levels, start=1):
            x = layers(x)
            if level in self.feature_levels:
                outputs.append(x)
                # Averaging first is the same arithmetic for a 1x1 convolution, and cheaper.
                maps.append(self.heads[str(level)](F.adaptive_avg_pool2d(x, side)))
        return outputs, maps
