"""Progressive growing: equalised learning rate, pixel norm, nearest upsampling, one to-RGB layer a scale.

Karras, Aila, Laine and Lehtinen, "Progressive Growing of GANs for Improved Quality, Stability, and
Variation", ICLR 2018.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

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


class PGGANGenerator(nn.Module):
    """z to images of the last scale. The output is linear: nominally in [-1, 1], but nothing bounds it.

    Args:
        z_dim: length of the latent vector; it is normalised here.
        channels: channels at 4x4, 8x8, ...; the image side is ``4 * 2**(len(channels) - 1)``.
        norm_eps: of the pixel norm after each layer.
        latent_eps: of the latent's own norm.
    """

    upsample = "nearest"

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

    def _activate(self, x: torch.Tensor) -> torch.Tensor:
        return pixel_norm(F.leaky_relu(x, LEAK), self.norm_eps)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """(B, z_dim) float to (B, 3, image_size, image_size)."""
        x = self.linear(pixel_norm(z, self.latent_eps)).view(-1, self.channels[0], 4, 4)
        x = self._activate(self.first(self._activate(x)))
        for block in self.blocks:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            for convolution in block.children():
                x = self._activate(convolution(x))
        return self.to_rgb[-1](x)
