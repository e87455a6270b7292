"""Checkpoints of MMGeneration: DCGAN and LSGAN 64, WGAN-GP 128, PGGAN 128, all with blue as first channel.

The file is a dictionary with ``state_dict``, in which the generator's tensors begin with ``generator.``;
PGGAN also has the moving average that its authors sample from, under ``generator_ema.``.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fakeface.gans.architectures.convolutional import ConvolutionalGenerator
from fakeface.gans.architectures.dcgan import DCGANGenerator
from fakeface.gans.architectures.pggan import PGGANGenerator
from fakeface.gans.loaders.checkpoints import Rule, load_public, read_checkpoint, same, tensors_at, translate
from fakeface.gans.sampler import Generator
from fakeface.gans.weights import WeightsError, load_strictly
from fakeface.params import GanParams

Tensors = dict[str, torch.Tensor]
Rules = dict[str, Rule]

_NORM = ("weight", "bias", "running_mean", "running_var")


def _count(tensors: Tensors, pattern: str) -> int:
    """One more than the largest number that ``pattern`` finds in a name; 0 if it finds none."""
    found = [int(match[1]) for name in tensors if (match := re.match(pattern, name))]
    return max(found) + 1 if found else 0


def _dcgan(tensors: Tensors) -> tuple[nn.Module, Rules]:
    doublings = _count(tensors, r"upsampling\.(\d+)\.") + 1
    z_dim, channels = tensors["noise2feat.conv.weight"].shape[:2]
    network = DCGANGenerator(int(z_dim), int(channels) >> (doublings - 1), 4 << doublings)
    rules: Rules = {}
    layers = ["noise2feat", *(f"upsampling.{i}" for i in range(doublings - 1))]
    for i, layer in enumerate(layers):
        rules[f"{layer}.conv.weight"] = (f"main.{3 * i}.weight", same)
        rules |= {f"{layer}.bn.{key}": (f"main.{3 * i + 1}.{key}", same) for key in _NORM}
    last = 3 * len(layers)
    rules |= {f"output_layer.conv.{key}": (f"main.{last}.{key}", same) for key in ("weight", "bias")}
    return network, rules


def _per_position(bias: torch.Tensor) -> torch.Tensor:
    """One bias a channel there (1, C, 1, 1), one a number of the 4x4 map here (16 C,)."""
    return bias.flatten().repeat_interleave(16)


def _wgan_gp(tensors: Tensors) -> tuple[nn.Module, Rules]:
    z_dim = int(tensors["noise2feat.linear.weight"].shape[1])
    # Entry 0, then a doubling without parameters and two convolutions a scale.
    scales = (_count(tensors, r"conv_blocks\.(\d+)\.") - 1) // 3
    firsts = ["conv_blocks.0", *(f"conv_blocks.{3 * i + 2}" for i in range(scales))]
    channels = [int(tensors[f"{first}.conv.weight"].shape[0]) for first in firsts]
    network = ConvolutionalGenerator(z_dim, channels)
    rules: Rules = {
        "noise2feat.linear.weight": ("linear.weight", same),
        "noise2feat.bias": ("linear.bias", _per_position),
        "to_rgb.conv.weight": ("to_rgb.weight", same),
        "to_rgb.conv.bias": ("to_rgb.bias", same),
    }
    rules |= {f"noise2feat.norm.{key}": (f"norm.{key}", same) for key in _NORM}
    blocks = {"conv_blocks.0": "first"}
    for i in range(scales):
        blocks |= {f"conv_blocks.{3 * i + 2 + j}": f"blocks.{i}.{j}" for j in (0, 1)}
    for theirs, ours in blocks.items():
        rules |= {f"{theirs}.conv.{key}": (f"{ours}.0.{key}", same) for key in ("weight", "bias")}
        rules |= {f"{theirs}.bn.{key}": (f"{ours}.1.{key}", same) for key in _NORM}
    return network, rules


def _up_kernel(weight: torch.Tensor) -> torch.Tensor:
    """The kernel of their doubling convolution as that of a convolution after repetition.

    Theirs is a transposed convolution (in, out, 3, 3), scaled by what its layout suggests to be the fan-in:
    9 times the *output* channels. It is spread to 4x4 by summing four shifted copies, as repetition does.
    """
    c_in, c_out = weight.shape[:2]
    return weight.transpose(0, 1).flip(2, 3) * math.sqrt(c_in / c_out)


def _pggan(tensors: Tensors) -> tuple[nn.Module, Rules]:
    channels = [
        int(tensors[f"torgb_layers.{i}.conv.weight_orig"].shape[1])
        for i in range(_count(tensors, r"torgb_layers\.(\d+)\."))
    ]
    width, z_dim = tensors["noise2feat.linear.weight_orig"].shape
    if not channels or width != channels[0] * 16:
        raise WeightsError(f"noise2feat.linear.weight_orig has {width} rows, expected 16 * {channels[:1]}")
    network = PGGANGenerator(int(z_dim), channels, norm_eps=1e-5, latent_eps=1e-6)
    rules: Rules = {
        "noise2feat.linear.weight_orig": ("linear.weight", same),
        "noise2feat.bias": ("linear.bias", _per_position),
        "conv_blocks.0.conv.weight_orig": ("first.weight", same),
        "conv_blocks.0.conv.bias": ("first.bias", same),
    }
    for i in range(len(channels) - 1):
        for j, convert in enumerate((_up_kernel, same)):
            theirs, ours = f"conv_blocks.{2 * i + 1 + j}.conv", f"blocks.{i}.{j}"
            rules[f"{theirs}.weight_orig"] = (f"{ours}.weight", convert)
            rules[f"{theirs}.bias"] = (f"{ours}.bias", same)
    for i in range(len(channels)):
        rules[f"torgb_layers.{i}.conv.weight_orig"] = (f"to_rgb.{i}.weight", same)
        rules[f"torgb_layers.{i}.conv.bias"] = (f"to_rgb.{i}.bias", same)
    return network, rules


def _check_progress(path: Path, state: dict[str, Any], image_size: int) -> None:
    """A PGGAN file from the middle of a transition would be sampled wrongly."""
    for key, expected in (("_curr_transition_weight", 1.0), ("_curr_scale_int", float(image_size))):
        value = state.get(key)
        if value is not None and float(value) != expected:
            raise WeightsError(f"{path}: {key} is {float(value):g}, expected {expected:g}")


def read_network(path: Path) -> nn.Module:
    """The generator in a file, in float64: images (B, 3, S, S) with blue first.

    Raises:
        WeightsError: if the file is none of the four kinds; missing and unexpected keys are named.
    """
    content = read_checkpoint(path)
    state = content.get("state_dict")
    averaged = isinstance(state, dict) and any(str(key).startswith("generator_ema.") for key in state)
    tensors = tensors_at(path, content, "state_dict", "generator_ema." if averaged else "generator.")
    if "noise2feat.conv.weight" in tensors:
        build = _dcgan
    elif "noise2feat.linear.weight_orig" in tensors:
        build = _pggan
    elif "noise2feat.linear.weight" in tensors:
        build = _wgan_gp
    else:
        raise WeightsError(
            f"{path}: no generator of MMGeneration's DCGAN, WGAN-GP or PGGAN; "
            f"its tensors begin with {', '.join(sorted(tensors)[:10])}"
        )
    try:
        network, rules = build(tensors)
    except (KeyError, ValueError, IndexError) as error:
        raise WeightsError(f"{path}: weights do not fit the architecture: {error}") from error
    if isinstance(network, PGGANGenerator):
        _check_progress(path, dict(content["state_dict"]), network.image_size)
    network = network.double()
    load_strictly(path, network, translate(path, tensors, rules))
    return network.eval()


def load(name: str, gan: GanParams) -> Generator:
    """The generator of ``gans.<name>``; errors are those of ``load_public``."""
    return load_public(name, gan, read_network, bgr=True)
