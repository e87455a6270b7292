"""Weights of generators and discriminators as safetensors: the tensors, and in the header their network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from fakeface.base.errors import FakefaceError, MissingFileError
from fakeface.base.files import explain_mismatch
from fakeface.base.tensors import save_tensors
from fakeface.gans.architectures import build_discriminator, build_generator


class WeightsError(FakefaceError, ValueError):
    """A weights file is unreadable or does not fit the network it names."""


def save_network(path: str | Path, network: nn.Module, architecture: str, config: dict[str, Any]) -> None:
    """Write ``network`` in half precision, with its architecture and arguments in the header."""
    tensors = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    save_tensors(path, tensors, {"architecture": architecture, "config": json.dumps(config, sort_keys=True)})


def load_strictly(path: str | Path, module: nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    """Load ``tensors`` (any float type) into ``module``; every key and shape must fit.

    ``num_batches_tracked`` counters may be absent: they play no part in evaluation mode.

    Raises:
        WeightsError: naming the file and the keys or shapes that differ.
    """
    own = module.state_dict()
    needed = {name for name in own if not name.endswith("num_batches_tracked")}
    missing, unexpected = sorted(needed - set(tensors)), sorted(set(tensors) - set(own))
    if missing or unexpected:
        raise WeightsError(explain_mismatch(path, missing, unexpected))
    wrong = [
        f"{name} is {tuple(tensors[name].shape)}, expected {tuple(own[name].shape)}"
        for name in sorted(tensors)
        if tensors[name].shape != own[name].shape
    ]
    if wrong:
        raise WeightsError(f"{path}: weights do not fit the architecture; " + "; ".join(wrong[:10]))
    module.load_state_dict({name: tensors.get(name, tensor).to(tensor.dtype) for name, tensor in own.items()})


def _load(path: str | Path, build: Callable[[str, dict[str, Any]], nn.Module]) -> nn.Module:
    if not Path(path).is_file():
        raise MissingFileError(f"{path}: no such weights file")
    try:
        with safe_open(path, framework="pt") as stored:
            header = stored.metadata() or {}
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise WeightsError(f"{path}: not a safetensors file ({error})") from error
    if not {"architecture", "config"} <= set(header):
        raise WeightsError(f"{path}: header names no architecture, expected keys architecture, config")
    try:
        network = build(header["architecture"], json.loads(header["config"]))
    except (ValueError, TypeError) as error:
        raise WeightsError(f"{path}: header describes no network of ours: {error}") from error
    load_strictly(path, network, tensors)
    return network


def load_generator(path: str | Path) -> nn.Module:
    """Generator of a file written by :func:`save_network`, in float32 and evaluation mode.

    Raises:
        MissingFileError, WeightsError: if there is no such file, or its tensors do not fit its header.
    """
    return _load(path, build_generator).eval()


def load_discriminator(path: str | Path) -> nn.Module:
    """Discriminator of such a file, in float32 and training mode; errors as :func:`load_generator`."""
    return _load(path, build_discriminator)
