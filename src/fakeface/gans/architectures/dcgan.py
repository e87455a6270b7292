"""Plain convolutional networks: DCGAN, strided down and transposed up, and one that doubles by repetition.

Radford, Metz and Chintala, "Unsupervised Representation Learning with Deep Convolutional
Generative Adversarial Networks", ICLR 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from fakeface.gans.architectures.pggan import MinibatchStd


def _initialise(module: nn.Module) -> None:
    """Normal(0, 0.02) weights as in the DCGAN paper; norm scales around one."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


class DCGANGenerator(nn.Module):
    """z to a square image, doubling the side with each 4x4 transposed convolution.

    Args:
        z_dim: length of the latent vector.
        width: channels before the last layer; doubled for each halving of the side.
        image_size: output side, a power of two of at least 8.
    """

    def __init__(self, z_dim: int = 100, width: int = 64, image_size: int = 64) -> None:
        super().__init__()
        self.z_dim = z_dim
        self.image_size = image_size
        doublings = (image_size // 4).bit_length() - 1
        if image_size != 4 << doublings or doublings < 1:
            raise ValueError(f"image_size must be a power of two >= 8, got {image_size}")
        channels = width << (doublings - 1)
        layers: list[nn.Module] = [nn.ConvTranspose2d(z_dim, channels, 4, 1, 0, bias=False)]  # (B, C, 4, 4)
        for _ in range(doublings - 1):
            layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
            layers.append(nn.ConvTranspose2d(channels, channels // 2, 4, 2, 1, bias=False))
            channels //= 2
        layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
        layers += [nn.ConvTranspose2d(channels, 3, 4, 2, 1), nn.Tanh()]
        self.main = nn.Sequential(*layers)
        self.apply(_initialise)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """(B, z_dim) float to (B, 3, image_size, image_size) in [-1, 1]."""
        return self.main(z.view(z.shape[0], self.z_dim, 1, 1))


class Gain(nn.Module):
    """Multiply by a constant."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = gain

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gain


class DCGANDiscriminator(nn.Module):
    """Mirror image of the generator; also serves as critic.

    Args:
        width: channels after the first layer; doubled with each halving of the side.
        image_size: input side, a power of two of at least 8.
        norm: ``batch`` as published; ``none`` for a gradient penalty, which is a condition on each
            image by itself and which batch statistics would blur.
        spectral: apply spectral normalisation to every layer: the standard network of SNGAN (Miyato
            et al. 2018), with ``norm="none"``.
        gain: factor after each activation. Spectral normalisation lets only the strongest direction pass at
            full strength, so the signal fades from layer to layer, and with it what the critic can tell;
            Lin, Sekar and Fanti, "Why Spectral Normalization Stabilizes GANs", NeurIPS 2021, scale the
            normalised weights up.
        minibatch_std: show the last layer how much the images of a batch differ, as in
            :mod:`fakeface.gans.architectures.pggan`.
    """

    def __init__(
        self,
        width: int = 64,
        image_size: int = 64,
        norm: Literal["batch", "none"] = "batch",
        spectral: bool = False,
        gain: float = 1.0,
        minibatch_std: bool = False,
    ) -> None:
        super().__init__()

        def activation() -> list[nn.Module]:
            leaky = nn.LeakyReLU(0.2, inplace=True)
            return [leaky] if gain == 1 else [leaky, Gain(gain)]

        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), *activation()]
        channels, side = width, image_size // 2
        while side > 4:
            layers.append(nn.Conv2d(channels, channels * 2, 4, 2, 1, bias=norm == "none"))
            if norm == "batch":
                layers.append(nn.BatchNorm2d(channels * 2))
            layers += activation()
            channels, side = channels * 2, side // 2
        if minibatch_std:
            layers.append(MinibatchStd())
        layers.append(nn.Conv2d(channels + int(minibatch_std), 1, 4, 1, 0))
        self.main = nn.Sequential(*layers)
        self.apply(_initialise)
        if spectral:
            for module in self.main:
                if isinstance(module, nn.Conv2d):
                    spectral_norm(module)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, image_size, image_size) in [-1, 1] to logits (B,)."""
        return self.main(x).flatten()


def _conv_norm_relu(c_in: int, c_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, padding=1), nn.BatchNorm2d(c_out), nn.ReLU(inplace=True))


class ConvolutionalGenerator(nn.Module):
    """Doubles by repetition: what MMGeneration trains with WGAN-GP.

    z to a 4x4 map, one convolution there, then a doubling and two convolutions a scale: the shape follows the
    network that Karras et al. 2018 list, with batch norm, and without anything progressive.

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
