"""A plain convolutional generator that doubles by repetition: what MMGeneration trains with WGAN-GP.

Its shape follows the network that Karras et al. 2018 list, with batch norm, and without anything progressive.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn


def _conv_norm_relu(c_in: int, c_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, padding=1), nn.BatchNorm2d(c_out), nn.ReLU(inplace=True))


class ConvolutionalGenerator(nn.Module):
    """z to a 4x4 map, one convolution there, then a doubling and two convolutions a scale.

    Args:
        z_dim: length of the latent vector.
        channels: channels at 4x4, 8x8, ...; the image side is ``4 * 2**(len(channels) - 1)``.
    """

    upsample = "nearest"

    def __init__(self, z_dim: int = 128, channels: Sequence[int] = (512, 512, 256, 128, 64, 32)) -> None:
        super().__init__()
        self.z_dim = z_dim
        self.channels = tuple(channels)
        self.image_size = 4 * 2 ** (len(self.channels) - 1)
        self.linear = nn.Linear(z_dim, self.channels[0] * 16)
        self.norm = nn.BatchNorm2d(self.channels[0])
        self.first = _conv_norm_relu(self.channels[0], self.channels[0])
        self.blocks = nn.ModuleList(
            nn.Sequential(_conv_norm_relu(a, b), _conv_norm_relu(b, b)) for a, b in pairwise(self.channels)
        )
        self.to_rgb = nn.Conv2d(self.channels[-1], 3, 1)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """(B, z_dim) float to (B, 3, image_size, image_size) in [-1, 1]."""
        x = self.linear(z).view(-1, self.channels[0], 4, 4)
        x = self.first(self.norm(F.relu(x)))  # the activation comes before this norm
        for block in self.blocks:
            x = block(F.interpolate(x, scale_factor=2, mode="nearest"))
        return torch.tanh(self.to_rgb(x))
