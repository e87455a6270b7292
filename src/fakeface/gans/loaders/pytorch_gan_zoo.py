"""Checkpoints of pytorch_GAN_zoo: PGAN ``celeba`` 128 and ``celebAHQ-256``, RGB.

The file is a dictionary with ``config`` (a pickled object of the zoo's own class, for which an empty stand-in
is made), ``netG``, ``netD`` and the moving average ``avgG``, which is what the zoo's tools sample from.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fakeface.gans.architectures.pggan import FIRST_GAIN, PGGANGenerator
from fakeface.gans.loaders.checkpoints import Rule, load_public, read_checkpoint, tensors_at, translate
from fakeface.gans.sampler import Generator
from fakeface.gans.weights import WeightsError, load_strictly
from fakeface.params import GanParams

Tensors = dict[str, torch.Tensor]
CONFIG_CLASS = "models.utils.config.BaseConfig"


class Config:
    """Stands in for the zoo's holder of settings; it has the attributes that were pickled and no code."""


def _with_module(name: str) -> str:
    """Older files say ``formatLayer.weight`` where newer ones say ``formatLayer.module.weight``."""
    return name if ".module." in name else re.sub(r"\.(weight|bias)$", r".module.\1", name)


def _times(factor: float) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda tensor: tensor * factor


def _rules(tensors: Tensors, scales: int) -> dict[str, Rule]:
    """Theirs scale weight and bias by ``sqrt(2 / fan_in)``; ours the weight, by ``gain / sqrt(fan_in)``."""
    gains = {"formatLayer": ("linear", FIRST_GAIN), "groupScale0.0": ("first", math.sqrt(2))}
    for i in range(scales):
        gains |= {f"scaleLayers.{i}.{j}": (f"blocks.{i}.{j}", math.sqrt(2)) for j in (0, 1)}
    gains |= {f"toRGBLayers.{i}": (f"to_rgb.{i}", 1.0) for i in range(scales + 1)}
    rules: dict[str, Rule] = {}
    for theirs, (ours, gain) in gains.items():
        # A weight that is missing is reported later, by name; its fan-in plays no part then.
        shape = tensors.get(f"{theirs}.module.weight", torch.empty(1, 1)).shape
        rules[f"{theirs}.module.weight"] = (f"{ours}.weight", _times(math.sqrt(2) / gain))
        rules[f"{theirs}.module.bias"] = (f"{ours}.bias", _times(math.sqrt(2 / math.prod(shape[1:]))))
    return rules


def _check_config(path: Path, config: Any, channels: list[int]) -> None:
    """Half-faded-in scales and other layouts would be sampled wrongly."""
    attributes = vars(config) if isinstance(config, Config) else config
    if not isinstance(attributes, dict):
        raise WeightsError(f"{path}: config must be an object with attributes, got {type(config).__name__}")
    alpha = attributes.get("alpha", 0)
    if float(alpha) != 0:
        raise WeightsError(f"{path}: config.alpha is {alpha}, expected 0 (the last scale fully faded in)")
    depths = attributes.get("depthOtherScales")
    if depths is not None and list(depths) != channels[1:]:
        raise WeightsError(f"{path}: config.depthOtherScales is {list(depths)}, expected {channels[1:]}")


def read_network(path: Path) -> nn.Module:
    """The averaged generator in a file, in float64: images (B, 3, S, S), RGB, not bounded.

    Raises:
        WeightsError: if the file is of another kind; missing and unexpected keys are named.
    """
    content = read_checkpoint(path, [(Config, CONFIG_CLASS)])
    tensors = {_with_module(name): value for name, value in tensors_at(path, content, "avgG").items()}
    heads = sorted(
        int(match[1]) for name in tensors if (match := re.match(r"toRGBLayers\.(\d+)\.module\.weight", name))
    )
    if not heads or "formatLayer.module.weight" not in tensors:
        raise WeightsError(
            f"{path}: no PGAN generator; its tensors begin with {', '.join(sorted(tensors)[:10])}"
        )
    channels = [int(tensors[f"toRGBLayers.{i}.module.weight"].shape[1]) for i in heads]
    _check_config(path, content.get("config"), channels)
    z_dim = int(tensors["formatLayer.module.weight"].shape[1])
    # x / (rms + 1e-8) differs from the zoo's x / sqrt(mean square + 1e-8) by less than 2e-7.
    network = PGGANGenerator(z_dim, channels, norm_eps=1e-8, latent_eps=1e-8).double()
    load_strictly(path, network, translate(path, tensors, _rules(tensors, len(channels) - 1)))
    return network.eval()


def load(name: str, gan: GanParams) -> Generator:
    """The generator of ``gans.<name>``; errors are those of ``load_public``."""
    return load_public(name, gan, read_network, bgr=False)
