"""Generators of this project's own zoo: ``models/gans/*.safetensors``, trained by zoo/dvc.yaml."""

from __future__ import annotations

from typing import cast

from torch import nn

from fakeface.gans.loaders.checkpoints import Shown, check_facts, check_sha256
from fakeface.gans.sampler import Generator
from fakeface.gans.weights import load_generator
from fakeface.params import GanParams


def as_source(name: str, network: nn.Module) -> Generator:
    """A generator of ours, its images cut off at black and white where its last layer is linear."""
    linear = bool(getattr(network, "linear_output", False))
    return Generator(name, Shown(network) if linear else network, cast(int, network.z_dim))


def load(name: str, gan: GanParams) -> Generator:
    """Read ``gan.weights``; the facts that params.yaml declares must be those of the file.

    Raises:
        MissingFileError: if there is no such file.
        WeightsError: if its checksum, or the file's own header, or what params.yaml declares does not fit.
    """
    network = load_generator(gan.weights)
    check_sha256(gan.weights, gan.sha256)
    check_facts(name, gan, gan.weights, network)
    return as_source(name, network)
