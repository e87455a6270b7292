"""One module a kind of architecture; ``build_generator`` and ``build_discriminator`` know them by name."""

from __future__ import annotations

from typing import Any

from torch import nn

from fakeface.gans.architectures.dcgan import ConvolutionalGenerator, DCGANDiscriminator, DCGANGenerator
from fakeface.gans.architectures.pggan import PGGANDiscriminator, PGGANGenerator
from fakeface.gans.architectures.resnet import ResNetDiscriminator, ResNetGenerator
from fakeface.gans.architectures.stylegan2 import StyleGAN2Generator

GENERATORS: dict[str, type[nn.Module]] = {
    "convolutional": ConvolutionalGenerator,
    "dcgan": DCGANGenerator,
    "pggan": PGGANGenerator,
    "resnet": ResNetGenerator,
    "stylegan2": StyleGAN2Generator,
}
DISCRIMINATORS: dict[str, type[nn.Module]] = {
    "dcgan": DCGANDiscriminator,
    "pggan": PGGANDiscriminator,
    "resnet": ResNetDiscriminator,
}


def _build(table: dict[str, type[nn.Module]], name: str, config: dict[str, Any]) -> nn.Module:
    if name not in table:
        raise ValueError(f"unknown architecture {name!r}, expected one of {sorted(table)}")
    return table[name](**config)


def build_generator(name: str, config: dict[str, Any]) -> nn.Module:
    """Generator ``name`` with keyword arguments ``config``; maps z (B, z_dim) to (B, 3, S, S) in [-1, 1]."""
    return _build(GENERATORS, name, config)


def build_discriminator(name: str, config: dict[str, Any]) -> nn.Module:
    """Discriminator ``name`` with keyword arguments ``config``; maps (B, 3, S, S) to logits (B,)."""
    return _build(DISCRIMINATORS, name, config)
