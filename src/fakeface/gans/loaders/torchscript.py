"""Generators exported with ``torch.jit.trace`` or ``torch.jit.script``.

A TorchScript file holds a program, if one in a small language without files or network: open your own only.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from fakeface.gans.loaders.exported import as_source, checked_file
from fakeface.gans.sampler import Generator
from fakeface.gans.weights import WeightsError
from fakeface.params import GanParams


def read_network(path: Path) -> nn.Module:
    """The module in the file, on the CPU.

    Raises:
        WeightsError: if it is no TorchScript file.
    """
    try:
        return torch.jit.load(path, map_location="cpu")
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise WeightsError(f"{path}: not a TorchScript file ({reason})") from error


def load(name: str, gan: GanParams) -> Generator:
    """The generator of ``gans.<name>``.

    Raises:
        MissingFileError, WeightsError, GeneratorOutputError: if the file is absent or of another kind, or
            latents or images are not as declared.
    """
    path = checked_file(name, gan)
    return as_source(name, gan, path, read_network(path))
