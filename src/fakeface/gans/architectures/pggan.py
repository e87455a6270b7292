"""Progressive growing: equalised learning rate, pixel norm, nearest upsampling, one to-RGB layer a scale.

Karras, Aila, Laine and Lehtinen, "Progressive Growing of GANs for Improved Quality, Stability, and
Variation", ICLR 2018.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

LEAK = 0.2
# The first layer's gain in the paper's own code: a quarter of He's.
FIRST_GAIN = math.sqrt(2) / 4


def pixel_norm(x: torch.Tensor, eps: float) -> torch.Tensor:
    """Divide by the root mean square over channels (dimension 1), ``eps`` added outside the root."""
    return x / (x.square().mean(dim=1, keepdim=True).sqrt() + eps)


class EqualisedConv2d(nn.Module):
    """Convolution with weights stored at unit variance and scaled by ``gain / sqrt(fan_in)`` when used."""

    def __init__(self, c_in: int, c_out: int, kernel: int, gain: float = math.sqrt(2)) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(c_out, c_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(c_out))
        self.scale = gain / math.sqrt(c_in * kernel * kernel)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, c_in, H, W) to (B, c_out, H, W)."""
        return F.conv2d(x, self.weight * self.scale, self.bias, padding=self.weight.shape[-1] // 2)


class EqualisedLinear(nn.Module):
    """The same for a linear layer."""

    def __init__(self, n_in: int, n_out: int, gain: float = math.sqrt(2)) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.scale = gain / math.sqrt(n_in)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, n_in) to (B, n_out)."""
        return F.linear(x, self.weight * self.scale, self.bias)


class MinibatchStd(nn.Module):
    """Append a channel that tells how much the images of a batch differ: section 3 of the paper."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to (B, C + 1, H, W)."""
        spread = (x.float().var(dim=0, unbiased=False) + 1e-8).sqrt().mean()
        return torch.cat([x, spread.to(x).expand(len(x), 1, *x.shape[2:])], dim=1)


class PGGANGenerator(nn.Module):
    """z to images of the last scale. The output is linear: nominally in [-1, 1], but nothing bounds it.

    While it grows, ``level`` is the number of the last block in use and ``alpha`` how far that block has been
    blended in; as built, and when loaded, the network is fully grown.

    Args:
        z_dim: length of the latent vector; it is normalised here.
        channels: channels at 4x4, 8x8, ...; the image side is ``4 * 2**(len(channels) - 1)``.
        norm_eps: of the pixel norm after each layer.
        latent_eps: of the latent's own norm.
    """

    upsample = "nearest"
    linear_output = True

    def __init__(
        self,
        z_dim: int = 512,
        channels: Sequence[int] = (512, 512, 512, 512, 256, 128),
        norm_eps: float = 1e-8,
        latent_eps: float = 1e-8,
    ) -> None:
        super().__init__()
        self.z_dim = z_dim
        self.channels = tuple(channels)
        self.image_size = 4 * 2 ** (len(self.channels) - 1)
        self.norm_eps, self.latent_eps = norm_eps, latent_eps
        self.linear = EqualisedLinear(z_dim, self.channels[0] * 16, FIRST_GAIN)
        self.first = EqualisedConv2d(self.channels[0], self.channels[0], 3)
        self.blocks = nn.ModuleList(
            nn.ModuleList([EqualisedConv2d(a, b, 3), EqualisedConv2d(b, b, 3)])
            for a, b in pairwise(self.channels)
        )
        self.to_rgb = nn.ModuleList(EqualisedConv2d(c, 3, 1, gain=1.0) for c in self.channels)
        self.level, self.alpha = len(self.channels) - 1, 1.0

    def _activate(self, x: torch.Tensor) -> torch.Tensor:
        return pixel_norm(F.leaky_relu(x, LEAK), self.norm_eps)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """(B, z_dim) float to (B, 3, S, S), S = ``4 * 2**level``."""
        x = self.linear(pixel_norm(z, self.latent_eps)).view(-1, self.channels[0], 4, 4)
        x = before = self._activate(self.first(self._activate(x)))
        for block in self.blocks[: self.level]:
            before = x
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            for convolution in block.children():
                x = self._activate(convolution(x))
        rgb = self.to_rgb[self.level](x)
        if self.level == 0 or self.alpha == 1:
            return rgb
        old = F.interpolate(self.to_rgb[self.level - 1](before), scale_factor=2, mode="nearest")
        return old.lerp(rgb, self.alpha)


class PGGANDiscriminator(nn.Module):
    """Mirror image of the generator, with the spread of the minibatch as a further channel at 4x4.

    Args:
        channels: channels at 4x4, 8x8, ..., as the generator's.
        convolutions: 3x3 convolutions before each halving: two in the paper; one costs half.
    """

    def __init__(
        self, channels: Sequence[int] = (512, 512, 512, 512, 256, 128), convolutions: Literal[1, 2] = 2
    ) -> None:
        super().__init__()
        self.channels = tuple(channels)
        self.from_rgb = nn.ModuleList(EqualisedConv2d(3, c, 1) for c in self.channels)
        self.blocks = nn.ModuleList(  # blocks[i] goes from level i + 1 to level i
            nn.ModuleList(
                [EqualisedConv2d(b, b, 3) for _ in range(convolutions - 1)] + [EqualisedConv2d(b, a, 3)]
            )
            for a, b in pairwise(self.channels)
        )
        c = self.channels[0]
        self.spread = MinibatchStd()
        self.last = EqualisedConv2d(c + 1, c, 3)
        self.hidden = EqualisedLinear(c * 16, c)
        self.head = EqualisedLinear(c, 1, gain=1.0)
        self.level, self.alpha = len(self.channels) - 1, 1.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, S, S) in [-1, 1], S = ``4 * 2**level``, to logits (B,)."""
        y = F.leaky_relu(self.from_rgb[self.level](x), LEAK)
        for i in reversed(range(self.level)):
            for convolution in self.blocks[i].children():
                y = F.leaky_relu(convolution(y), LEAK)
            y = F.avg_pool2d(y, 2)
            if i == self.level - 1 and self.alpha < 1:
                old = F.leaky_relu(self.from_rgb[i](F.avg_pool2d(x, 2)), LEAK)
                y = old.lerp(y, self.alpha)
        y = F.leaky_relu(self.last(self.spread(y)), LEAK)
        y = F.leaky_relu(self.hidden(y.flatten(1)), LEAK)
        return self.head(y).flatten()
