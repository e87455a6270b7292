"""Checkpoints of Mimicry: the 64x64 generator that SNGAN, SSGAN and InfoMax-GAN share.

The file is a dictionary with ``model_state_dict``; the images are RGB.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from fakeface.gans.architectures.resnet import ResNetGenerator
from fakeface.gans.loaders.checkpoints import Rule, load_public, read_checkpoint, same, tensors_at, translate
from fakeface.gans.sampler import Generator
from fakeface.gans.weights import load_strictly
from fakeface.params import GanParams

Z_DIM = 128
CHANNELS = (1024, 512, 256, 128, 64)
_NORM = ("weight", "bias", "running_mean", "running_var")
_BLOCK = {"b1": "norm1", "c1": "conv1", "b2": "norm2", "c2": "conv2", "c_sc": "shortcut"}


def _rules() -> dict[str, Rule]:
    names = {"l1": "linear", "b6": "norm", "c6": "to_rgb"}
    for i in range(len(CHANNELS) - 1):
        names |= {f"block{i + 2}.{theirs}": f"blocks.{i}.{ours}" for theirs, ours in _BLOCK.items()}
    rules: dict[str, Rule] = {}
    for theirs, ours in names.items():
        keys = _NORM if theirs.rpartition(".")[2].startswith("b") else ("weight", "bias")
        rules |= {f"{theirs}.{key}": (f"{ours}.{key}", same) for key in keys}
    return rules


def read_network(path: Path) -> nn.Module:
    """The generator in a file, in float64: images (B, 3, 64, 64), RGB in [-1, 1].

    Raises:
        WeightsError: if the file is of another kind; missing and unexpected keys are named.
    """
    tensors = tensors_at(path, read_checkpoint(path), "model_state_dict")
    network = ResNetGenerator(Z_DIM, CHANNELS, "bilinear", final_upsample=False).double()
    load_strictly(path, network, translate(path, tensors, _rules()))
    return network.eval()


def load(name: str, gan: GanParams) -> Generator:
    """The generator of ``gans.<name>``; errors are those of ``load_public``."""
    return load_public(name, gan, read_network, bgr=False)
