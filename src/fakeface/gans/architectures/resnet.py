"""Residual generator and discriminator in the style of WGAN-GP and SNGAN.

Gulrajani et al., "Improved Training of Wasserstein GANs", NeurIPS 2017; Miyato et al., "Spectral
Normalization for Generative Adversarial Networks", ICLR 2018. Both papers share the residual
block; the first upsamples by repetition, the second is often re-implemented with bilinear
interpolation, so the mode is an argument. Widths are chosen for training on a CPU: the
discriminator opens with a stride-2 convolution and the generator closes without a residual block
at full resolution, which is where almost all the arithmetic of the published versions goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

Upsample = Literal["nearest", "bilinear"]


def _upsample(x: torch.Tensor, mode: Upsample) -> torch.Tensor:
    if mode == "nearest":
        return F.interpolate(x, scale_factor=2, mode="nearest")
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class UpBlock(nn.Module):
    """Residual block that doubles the side: (B, C_in, S, S) to (B, C_out, 2S, 2S)."""

    def __init__(self, c_in: int, c_out: int, upsample: Upsample) -> None:
        super().__init__()
        self.upsample: Upsample = upsample
        self.norm1 = nn.BatchNorm2d(c_in)
        self.conv1 = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1)
        self.shortcut = nn.Conv2d(c_in, c_out, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        residual = _upsample(F.relu(self.norm1(x)), self.upsample)
        residual = self.conv2(F.relu(self.norm2(self.conv1(residual))))
        # A 1x1 convolution commutes with both kinds of upsampling, and before it costs a quarter.
        return residual + _upsample(self.shortcut(x), self.upsample)


class DownBlock(nn.Module):
    """Residual block that halves the side: (B, C_in, S, S) to (B, C_out, S/2, S/2)."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_in, 3, padding=1)
        self.conv2 = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.shortcut = nn.Conv2d(c_in, c_out, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        residual = self.conv2(F.relu(self.conv1(F.relu(x))))
        return F.avg_pool2d(residual, 2) + self.shortcut(F.avg_pool2d(x, 2))


class ResNetGenerator(nn.Module):
    """z to a 4x4 map, one up-block for each entry after the first, then RGB.

    Args:
        z_dim: length of the latent vector.
        channels: channels at 4x4, 8x8, 16x16, ...; one doubling between neighbours.
        upsample: ``nearest`` or ``bilinear``.
        final_upsample: double once more before the last convolution, which saves the residual block at
            full resolution; False is the published network.
    """

    def __init__(
        self,
        z_dim: int = 128,
        channels: Sequence[int] = (256, 128, 64, 32),
        upsample: Upsample = "nearest",
        final_upsample: bool = True,
    ) -> None:
        super().__init__()
        self.z_dim = z_dim
        self.channels = tuple(channels)
        self.final_upsample = final_upsample
        self.image_size = 4 * 2 ** (len(self.channels) - 1 + int(final_upsample))
        self.upsample: Upsample = upsample
        self.linear = nn.Linear(z_dim, self.channels[0] * 16)
        self.blocks = nn.Sequential(*[UpBlock(a, b, upsample) for a, b in pairwise(self.channels)])
        self.norm = nn.BatchNorm2d(self.channels[-1])
        self.to_rgb = nn.Conv2d(self.channels[-1], 3, 3, padding=1)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """(B, z_dim) float to (B, 3, image_size, image_size) in [-1, 1]."""
        x = self.linear(z).view(-1, self.channels[0], 4, 4)
        x = F.relu(self.norm(self.blocks(x)))  # (B, channels[-1], S or S/2, S or S/2)
        if self.final_upsample:
            x = _upsample(x, self.upsample)
        return torch.tanh(self.to_rgb(x))


class ResNetDiscriminator(nn.Module):
    """Stride-2 stem, one down-block a width, global sum pooling, one logit.

    Args:
        channels: widths at half the image side, a quarter, ...
        spectral: apply spectral normalisation to every layer (SNGAN); without it the network is
            the norm-free critic that the gradient penalty of WGAN-GP asks for.
    """

    def __init__(self, channels: Sequence[int] = (32, 64, 128, 256), spectral: bool = False) -> None:
        super().__init__()
        channels = tuple(channels)
        self.stem = nn.Conv2d(3, channels[0], 4, 2, 1)
        self.blocks = nn.Sequential(*[DownBlock(a, b) for a, b in pairwise(channels)])
        self.head = nn.Linear(channels[-1], 1)
        if spectral:
            for module in list(self.modules()):
                if isinstance(module, (nn.Conv2d, nn.Linear)):
                    spectral_norm(module)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, S, S) in [-1, 1] to logits (B,)."""
        x = self.blocks(self.stem(x))
        return self.head(F.relu(x).sum(dim=(2, 3))).flatten()
