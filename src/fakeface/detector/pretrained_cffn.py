"""A CFFN on the frozen first layers of a network that was trained on ImageNet.

A network that never saw a GAN cannot have learnt the traces of those that train the detector (Ojha, Li and
Lee, "Towards Universal Fake Image Detectors that Generalize Across Generative Models", CVPR 2023). They put
a classifier on its last layer; here small heads on several of its earlier layers are learnt by pairs, so
the rest is the paper's: features of several levels, 128 numbers each, joined to one embedding.

The network is EfficientNet-Lite0 (:mod:`fakeface.lite0`). It was trained on images of 224 pixels, and its
first convolution halves the side, so images are enlarged twofold before it.

    side 64: enlarged 128, level1 32x32x24, level2 16x16x40, level3 8x8x80, level4 8x8x112
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from fakeface.detector.features import LEVEL_CHANNELS, FeatureNetwork
from fakeface.lite0 import build_network, default_weights, fuse

ENLARGED = 2
# The network's blocks of each level, and the channels that the last of them puts out.
BLOCKS = ((0, 3), (3, 5), (5, 8), (8, 11))
CHANNELS = (24, 40, 80, 112)
HIDDEN = 128
# The activations of more pixels leave a CPU's cache: 500 images of side 64 at once take twice as long.
CPU_PIXELS = 16 * 64 * 64


def to_imagenet(x: torch.Tensor) -> torch.Tensor:
    """[-1, 1] to the range that the network was trained with: of a value v in 0..255, (v - 127) / 128."""
    return (127.5 * x + 0.5) / 128


def frozen_levels(count: int) -> nn.ModuleList:
    """The first ``count`` levels with ImageNet weights, batch norms folded into convolutions, frozen."""
    network: Any = fuse(build_network(default_weights()))
    stem = [network._conv_stem, network._swish]
    levels = [
        nn.Sequential(*(stem if start == 0 else []), *network._blocks[start:stop])
        for start, stop in BLOCKS[:count]
    ]
    return nn.ModuleList(levels).requires_grad_(False)


class LevelHead(nn.Module):
    """A level's activations to 128 numbers a place: standardised, one hidden layer, averaged, one linear one.

    Args:
        channels: of the level.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.standardise = nn.BatchNorm2d(channels, affine=False)
        self.hidden = nn.Conv2d(channels, HIDDEN, 1, bias=False)
        self.norm = nn.BatchNorm2d(HIDDEN)
        self.out = nn.Conv2d(HIDDEN, LEVEL_CHANNELS, 1, bias=False)

    def forward(self, x: torch.Tensor, side: int) -> torch.Tensor:
        """(B, channels, s, s) to (B, 128, side, side)."""
        x = F.relu(self.norm(self.hidden(self.standardise(x))))
        # Averaging first is the same arithmetic for a 1x1 convolution, and cheaper.
        return self.out(F.adaptive_avg_pool2d(x, side))


class PretrainedCFFN(FeatureNetwork):
    """Heads learnt by pairs on frozen levels of EfficientNet-Lite0."""

    variant = "pretrained"

    def __init__(self, feature_levels: Sequence[int] = (2, 3, 4), unit_norm: bool = False) -> None:
        super().__init__(feature_levels, unit_norm)
        self.levels = frozen_levels(max(self.feature_levels))
        self.heads = nn.ModuleDict(
            {str(level): LevelHead(CHANNELS[level - 1]) for level in self.feature_levels}
        )
        self._initialise(self.heads)

    def _activations(self, x: torch.Tensor) -> list[torch.Tensor]:
        """What the feature levels put out for (B, 3, S, S) in [-1, 1]."""
        x = F.interpolate(to_imagenet(x), scale_factor=ENLARGED, mode="bilinear", align_corners=False)
        outputs = []
        for level, layers in enumerate(self.levels, start=1):
            x = layers(x)
            if level in self.feature_levels:
                outputs.append(x)
        return outputs

    def blocks_and_maps(self, x: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """(B, 3, S, S) in [-1, 1] to a level's activations and a (B, 128, S/32, S/32) map a feature level."""
        # Derivatives by a level's activations must reach the levels after it, so then nothing is divided.
        # An exported graph has no number of chunks that depends on the number of images.
        whole = x.requires_grad or torch.compiler.is_exporting()
        if x.device.type == "cpu" and not whole:
            chunks = x.split(max(1, CPU_PIXELS // x[0, 0].numel()))
            parts = [self._activations(chunk) for chunk in chunks]
            activations = [torch.cat(part) for part in zip(*parts, strict=True)]
        else:
            activations = self._activations(x)
        side = x.shape[-1] // 32
        maps = [
            self.heads[str(level)](activation, side)
            for level, activation in zip(self.feature_levels, activations, strict=True)
        ]
        return activations, maps
