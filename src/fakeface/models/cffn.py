"""The common fake feature network (CFFN): the paper's, a residual one, and two on frozen ImageNet layers."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from fakeface.base.lite0 import build_network, default_weights, fuse

LEVEL_CHANNELS = 128
# Images (B, 3, S, S) in [-1, 1], or the activations of frozen levels, (B, C, s, s) each.
NetworkInput = torch.Tensor | Sequence[torch.Tensor]


def to_input(images: np.ndarray, device: torch.device) -> torch.Tensor:
    """uint8 (B, H, W, 3) to the networks' float32 (B, 3, H, W) in [-1, 1]."""
    x = torch.from_numpy(images).to(device, non_blocking=True)
    return x.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


class FeatureNetwork(nn.Module):
    """Images to embeddings whose distances say whether two pictures are of one kind.

    Args:
        feature_levels: which of the four levels (1-4, ascending) feed the embedding, 128 numbers each.
        unit_norm: divide each embedding by its length, so that distances lie in [0, 2].
    """

    variant: str

    def __init__(self, feature_levels: Sequence[int] = (2, 3, 4), unit_norm: bool = False) -> None:
        super().__init__()
        self.feature_levels = tuple(feature_levels)
        self.unit_norm = unit_norm
        self.feature_dim = LEVEL_CHANNELS * len(self.feature_levels)

    def _initialise(self, heads: nn.ModuleDict) -> None:
        for module in self.modules():
            # Frozen weights were learnt elsewhere.
            if isinstance(module, nn.Conv2d) and module.weight.requires_grad:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        # Embeddings that begin many margins apart leave the hinge idle: nothing pushes reals from fakes,
        # every pair contracts to distance margin / 2, and training stays there, at a loss of margin^2 / 8.
        # So each joined number begins with a variance of about 1 / feature_dim.
        with torch.no_grad():
            for module in heads.modules():
                if isinstance(module, nn.Conv2d):
                    module.weight.div_(math.sqrt(self.feature_dim))

    def blocks_and_maps(self, x: Any) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """(B, 3, S, S) in [-1, 1] to what each feature level's block puts out, and the level maps made of it.

        A network with frozen levels takes their activations in place of the images, too.

        Returns:
            One (B, C, s, s) a feature level before its head, finest first, where Grad-CAM looks; and
            :meth:`level_maps` of the same pass.
        """
        raise NotImplementedError

    def block_statistics(self, block: torch.Tensor) -> list[torch.Tensor]:
        """What :meth:`blocks_and_maps` gives of a level, pooled over the picture: (B, K) each."""
        return [block.mean(dim=(2, 3)), block.std(dim=(2, 3))]

    def level_maps(self, x: NetworkInput) -> list[torch.Tensor]:
        """(B, 3, S, S) in [-1, 1] to one (B, 128, s, s) map a feature level, finest first."""
        return self.blocks_and_maps(x)[1]

    def embed_maps(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Level maps to embeddings (B, feature_dim): pooled over the picture and joined."""
        embedding = torch.cat([level.mean(dim=(2, 3)) for level in maps], dim=1)
        return F.normalize(embedding, dim=1) if self.unit_norm else embedding

    def forward(self, x: NetworkInput) -> torch.Tensor:
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


# The common fake feature network (CFFN) of Hsu, Zhuang and Lee 2020, Table 1.
#
# A 7x7 stem of stride 4, four dense blocks (Huang et al., "Densely Connected Convolutional Networks",
# CVPR 2017) of 2, 3, 4 and 2 layers with growth 24, transitions that halve channels and side after the
# first three, and cross-layer features: a 3x3 convolution to 128 channels on each chosen block, pooled
# over the picture and joined to one vector.
#
#     side 64: stem 16x16x48, block1 96, 8x8x48, block2 120, 4x4x60, block3 156, 2x2x78, block4 126

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


# A CFFN that keeps what the paper's stem of stride 4 throws away.
#
# Two changes, the rest is the paper's: features of several levels, 128 numbers each, joined and learnt by
# pairs. The input is the high-pass residual of the picture, pixel minus the mean of its 3x3 neighbourhood,
# which hides what is photographed and keeps how the pixels were made; and the first convolution has stride 1.
#
#     side 64: level1 64x64x24, level2 32x32x48, level3 16x16x72, level4 8x8x96
#
# Level 2 sees patches of 11 pixels across, level 3 of 23, level 4 of 47; all are averaged over the picture.

RESIDUAL_CHANNELS = (24, 48, 72, 96)
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
        levels = [_conv_norm_relu(3, RESIDUAL_CHANNELS[0])]
        for c_in, c_out in pairwise(RESIDUAL_CHANNELS):
            levels.append(nn.Sequential(_conv_norm_relu(c_in, c_in, stride=2), _conv_norm_relu(c_in, c_out)))
        self.levels = nn.ModuleList(levels)
        self.heads = nn.ModuleDict(
            {
                str(level): nn.Conv2d(RESIDUAL_CHANNELS[level - 1], LEVEL_CHANNELS, 1, bias=False)
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


# A CFFN on the frozen first layers of a network that was trained on ImageNet.
#
# A network that never saw a GAN cannot have learnt the traces of those that train the detector (Ojha, Li and
# Lee, "Towards Universal Fake Image Detectors that Generalize Across Generative Models", CVPR 2023). They put
# a classifier on its last layer; here small heads on several of its earlier layers are learnt by pairs, so
# the rest is the paper's: features of several levels, 128 numbers each, joined to one embedding.
#
# The network is EfficientNet-Lite0 (:mod:`fakeface.base.lite0`). It was trained on images of 224 pixels, and
# its first convolution halves the side, so images are enlarged twofold before it.
#
#     side 64: enlarged 128, level1 32x32x24, level2 16x16x40, level3 8x8x80, level4 8x8x112

ENLARGED = 2
# The network's blocks of each level, and the channels that the last of them puts out.
BLOCKS = ((0, 3), (3, 5), (5, 8), (8, 11))
PRETRAINED_CHANNELS = (24, 40, 80, 112)
# Pixels of the picture, before it is enlarged, from one place of a level to the next.
STRIDES = (2, 4, 8, 8)
HIDDEN = 128
# The activations of more pixels leave a CPU's cache: 500 images of side 64 at once take twice as long.
CPU_PIXELS = 16 * 64 * 64
GPU_PIXELS = 256 * 64 * 64
# When ONNX Runtime computes them: they then stay in the processor's cache.
ONNX_PIXELS = 8 * 64 * 64
# Images that the heads are given at once on a CPU: 500 take twice as long, for the same reason.
HEAD_IMAGES = 64


def to_imagenet(x: torch.Tensor) -> torch.Tensor:
    """[-1, 1] to the range that the network was trained with: of a value v in 0..255, (v - 127) / 128."""
    return (127.5 * x + 0.5) / 128


def frozen_levels(blocks: Sequence[tuple[int, int]]) -> nn.ModuleList:
    """Levels of the network's blocks from one to before another, the first with the stem before them.

    They have ImageNet weights, batch norms folded into convolutions, and are frozen.
    """
    network: Any = copy.deepcopy(_network())
    stem = [network._conv_stem, network._swish]
    levels = [
        nn.Sequential(*(stem if start == 0 else []), *network._blocks[start:stop]) for start, stop in blocks
    ]
    return nn.ModuleList(levels).requires_grad_(False)


@cache
def _network() -> nn.Module:
    # Its own first weights are drawn before they are replaced: the caller's draws must not depend on that.
    with torch.random.fork_rng(devices=[]):
        return fuse(build_network(default_weights()))


class LevelHead(nn.Module):
    """A level's activations to 128 numbers a place: standardised, one hidden layer, averaged, one linear one.

    Args:
        channels: of the level.
        dropout: share of its inputs, and of the hidden layer's outputs, that each step of a training leaves
            out (Srivastava et al., JMLR 2014).
        hidden: numbers of the hidden layer.
    """

    def __init__(self, channels: int, dropout: float = 0.0, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.standardise = nn.BatchNorm2d(channels, affine=False)
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Conv2d(channels, hidden, 1, bias=False)
        self.norm = nn.BatchNorm2d(hidden)
        self.out = nn.Conv2d(hidden, LEVEL_CHANNELS, 1, bias=False)

    def forward(self, x: torch.Tensor, side: int) -> torch.Tensor:
        """(B, channels, s, s) to (B, 128, side, side)."""
        x = F.relu(self.norm(self.hidden(self.dropout(self.standardise(x)))))
        # Averaging first is the same arithmetic for a 1x1 convolution, and cheaper.
        return self.out(F.adaptive_avg_pool2d(self.dropout(x), side))


class PretrainedCFFN(FeatureNetwork):
    """Heads learnt by pairs on frozen levels of EfficientNet-Lite0."""

    variant = "pretrained"
    # The network's blocks of each level, the numbers that a level puts out at each place, and how much
    # pictures are enlarged for it.
    blocks = BLOCKS
    channels: tuple[int, ...] = PRETRAINED_CHANNELS
    scale = ENLARGED
    # Numbers of each head's hidden layer.
    hidden = HIDDEN

    def __init__(
        self, feature_levels: Sequence[int] = (2, 3, 4), unit_norm: bool = False, dropout: float = 0.0
    ) -> None:
        super().__init__(feature_levels, unit_norm)
        self.levels = frozen_levels(self.blocks[: max(self.feature_levels)])
        self.heads = nn.ModuleDict(
            {
                str(level): LevelHead(self.channels[level - 1], dropout, self.hidden)
                for level in self.feature_levels
            }
        )
        self._initialise(self.heads)

    def frozen_input(self, x: torch.Tensor) -> torch.Tensor:
        """What the first frozen layer is given for (B, 3, S, S) in [-1, 1]: (B, 3, scale S, scale S)."""
        x = to_imagenet(x)
        if self.scale == 1:
            return x
        return F.interpolate(x, scale_factor=self.scale, mode="bilinear", align_corners=False)

    def activations(self, x: torch.Tensor) -> list[torch.Tensor]:
        """What the feature levels put out for (B, 3, S, S) in [-1, 1]: frozen, the same in every training."""
        x = self.frozen_input(x)
        outputs = []
        for level, layers in enumerate(self.levels, start=1):
            x = layers(x)
            if level in self.feature_levels:
                outputs.append(x)
        return outputs

    def chunk_size(self, side: int, pixels: int) -> int:
        """How many images of ``side`` pixels go at once; ``pixels``: of all of them, if enlarged twofold."""
        return max(1, pixels * ENLARGED**2 // (self.scale * side) ** 2)

    def level_shapes(self, numbers: int) -> list[tuple[int, int]]:
        """Side and channels of each feature level's activations of an image that has so many of them."""
        pairs = [(STRIDES[level - 1], PRETRAINED_CHANNELS[level - 1]) for level in self.feature_levels]
        side = math.isqrt(numbers * 64 // sum(channels * 64 // stride**2 for stride, channels in pairs))
        return [(side // stride, channels) for stride, channels in pairs]

    def blocks_and_maps(
        self, x: torch.Tensor | Sequence[torch.Tensor]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """A feature level's activations and its (B, 128, S/32, S/32) map, one of each a level.

        Args:
            x: images (B, 3, S, S) in [-1, 1], or what :meth:`activations` gives for them.
        """
        # Derivatives by a level's activations must reach the levels after it, so then nothing is divided.
        # An exported graph has no number of chunks that depends on the number of images.
        first = x if isinstance(x, torch.Tensor) else x[0]
        whole = first.device.type != "cpu" or first.requires_grad or torch.compiler.is_exporting()
        if not isinstance(x, torch.Tensor):
            activations = list(x)
        elif not whole:
            chunks = x.split(self.chunk_size(x.shape[-1], CPU_PIXELS))
            parts = [self.activations(chunk) for chunk in chunks]
            activations = [torch.cat(part) for part in zip(*parts, strict=True)]
        else:
            activations = self.activations(x)
        return activations, self._head_maps(activations, whole)

    def _head_maps(self, activations: Sequence[torch.Tensor], whole: bool) -> list[torch.Tensor]:
        """Maps of the levels' activations; ``whole``: of all images at once."""
        side = max(1, activations[0].shape[-1] * STRIDES[self.feature_levels[0] - 1] // 32)
        maps = []
        for level, activation in zip(self.feature_levels, activations, strict=True):
            # In training the batch norms must see the whole batch.
            if whole or self.training:
                maps.append(self.heads[str(level)](activation, side))
            else:
                parts = activation.split(HEAD_IMAGES)
                maps.append(torch.cat([self.heads[str(level)](part, side) for part in parts]))
        return maps


# Heads on statistics of all frozen blocks, for portraits at their own size.
#
# Where in a portrait a trace lies says little. How strongly each channel answers over the whole picture, and
# how evenly, says much, also of generators that were never seen. So a level puts out the mean and standard
# deviation of every channel of all its blocks, of the picture as it is and enlarged twofold: a few thousand
# numbers, whatever the picture's size. The network's last blocks take part.

STATISTICS_BLOCKS = ((0, 4), (4, 8), (8, 11), (11, 16))
SCALES = (1, 2)
# Mean and deviation of the channels of all blocks of a level, at each scale.
STATISTICS_CHANNELS = tuple(2 * len(SCALES) * channels for channels in (104, 280, 336, 1088))
# Keeps the slope of the square root finite where a channel is constant.
VARIANCE_FLOOR = 1e-6


def channel_statistics(x: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) to (B, 2 C, 1, 1): mean and standard deviation of each channel over the picture."""
    mean = x.mean(dim=(2, 3), keepdim=True)
    variance = (x * x).mean(dim=(2, 3), keepdim=True) - mean * mean
    return torch.cat([mean, (F.relu(variance) + VARIANCE_FLOOR).sqrt()], dim=1)


# A block of the network expands its input to six times as many channels, filters each of them alone, clips
# it to 0..6, and mixes them into the few channels that it puts out. How much the clipped channels vary over
# the picture tells what these few no longer do.

# Of a level's blocks: channels between expansion and projection.
EXPANDED_CHANNELS = (416, 1440, 1824, 5280)


def channel_deviation(x: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) to (B, C, 1, 1): standard deviation of each channel over the picture.

    Of a channel that is 6 almost everywhere, the difference of two large numbers would be all rounding.
    """
    variance = (x - x.mean(dim=(2, 3), keepdim=True)).square().mean(dim=(2, 3), keepdim=True)
    return (variance + VARIANCE_FLOOR).sqrt()


def filtered_channels(block: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) to what a fused block's projection is given: expanded, filtered and clipped."""
    clip = block.get_submodule("_swish")
    if hasattr(block, "_expand_conv"):
        x = clip(block.get_submodule("_expand_conv")(x))
    return clip(block.get_submodule("_depthwise_conv")(x))


class StatisticsCFFN(PretrainedCFFN):
    """Heads learnt by pairs on means and deviations of all blocks of EfficientNet-Lite0, at two scales."""

    variant = "statistics"
    blocks = STATISTICS_BLOCKS
    channels = STATISTICS_CHANNELS
    # Enlarged later, see `SCALES`.
    scale = 1
    # Scales at which the channels inside the blocks count, too.
    inside_scales: tuple[int, ...] = ()

    def __init__(
        self, feature_levels: Sequence[int] = (2, 3, 4), unit_norm: bool = False, dropout: float = 0.0
    ) -> None:
        super().__init__(feature_levels, unit_norm, dropout)
        with torch.no_grad():
            for head in self.heads.values():
                # Nothing is averaged over places after the hidden layer, so embeddings would begin farther
                # apart than those of other variants.
                head.get_parameter("out.weight").div_(4)

    def activations(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Statistics of the feature levels' blocks for (B, 3, S, S) in [-1, 1]: (B, K, 1, 1) each."""
        return self._run(x)[1]

    def chunk_size(self, side: int, pixels: int) -> int:
        """As of the parent; the largest scale counts."""
        return super().chunk_size(max(SCALES) * side, pixels)

    def run_block(
        self, block: nn.Module, x: torch.Tensor, scale: int
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """What a block puts out for (B, C, H, W) at a scale, and the block's numbers, (B, K, 1, 1) each."""
        if scale not in self.inside_scales:
            y = block(x)
            return y, [channel_statistics(y)]
        inside = filtered_channels(block, x)
        y = block.get_submodule("_project_conv")(inside)
        if y.shape == x.shape:
            y = y + x
        return y, [channel_statistics(y), channel_deviation(inside)]

    def _run(self, x: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """What the levels' last blocks put out, scale by scale, and each level's statistics of its blocks."""
        x = self.frozen_input(x)
        outputs: list[torch.Tensor] = []
        statistics: dict[int, list[torch.Tensor]] = {level: [] for level in self.feature_levels}
        for scale in SCALES:
            y = x
            if scale != 1:
                y = F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
            for level, layers in enumerate(self.levels, start=1):
                for layer in layers.children():
                    if isinstance(layer, nn.Conv2d | nn.ReLU6):
                        y = layer(y)
                        continue
                    y, block_numbers = self.run_block(layer, y, scale)
                    if level in statistics:
                        statistics[level] += block_numbers
                if level in statistics:
                    outputs.append(y)
        return outputs, [torch.cat(parts, dim=1) for parts in statistics.values()]

    def block_statistics(self, block: torch.Tensor) -> list[torch.Tensor]:
        """They are statistics already."""
        return [block.flatten(1)]

    def level_shapes(self, numbers: int) -> list[tuple[int, int]]:
        """Side 1 and numbers of each feature level; ``numbers`` is their sum."""
        shapes = [(1, self.channels[level - 1]) for level in self.feature_levels]
        if sum(count for _, count in shapes) != numbers:
            raise ValueError(f"feature levels have {shapes}, got {numbers} numbers in all")
        return shapes

    def blocks_and_maps(
        self, x: torch.Tensor | Sequence[torch.Tensor]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """As of the parent; a level's map is (B, 128, 1, 1).

        Where ``x`` asks for derivatives, what stands for the levels are the outputs of their last blocks at
        each scale, (B, C, s, s), whose places can be told apart; else their statistics, (B, K, 1, 1).
        """
        if isinstance(x, torch.Tensor) and x.requires_grad:
            outputs, statistics = self._run(x)
            return outputs, self._head_maps(statistics, whole=True)
        return super().blocks_and_maps(x)


class ExpandedStatisticsCFFN(StatisticsCFFN):
    """As :class:`StatisticsCFFN`, with deviations of the channels inside each block, enlarged twofold."""

    variant = "expanded_statistics"
    channels = tuple(map(sum, zip(STATISTICS_CHANNELS, EXPANDED_CHANNELS, strict=True)))
    # For more than twice as many numbers: weights of less room.
    hidden = 48
    # At the picture's own scale they add nothing to these.
    inside_scales = (2,)


# The variants of the CFFN by the names that params.yaml gives them.

VARIANTS: dict[str, type[FeatureNetwork]] = {
    network.variant: network
    for network in (CFFN, ResidualCFFN, PretrainedCFFN, StatisticsCFFN, ExpandedStatisticsCFFN)
}


def build_cffn(
    variant: str, feature_levels: Sequence[int], unit_norm: bool, dropout: float = 0.0
) -> FeatureNetwork:
    """A network with random weights; ``dropout`` is for heads on frozen layers.

    Raises:
        ValueError: if there is no such variant.
    """
    if variant not in VARIANTS:
        raise ValueError(f"cffn variant must be one of {', '.join(VARIANTS)}, got {variant!r}")
    network = VARIANTS[variant]
    if issubclass(network, PretrainedCFFN):
        return network(feature_levels, unit_norm, dropout)
    return network(feature_levels, unit_norm)
