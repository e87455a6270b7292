"""Generators of this project's own zoo: ``models/gans/*.safetensors``, trained by zoo/dvc.yaml."""

from __future__ import annotations

from typing import cast

from torch import nn

from fakeface.base.downloads import sha256_of
from fakeface.gans.loaders.checkpoints import Shown, check_facts
from fakeface.gans.sampler import Generator
from fakeface.gans.weights import WeightsError, load_generator
from fakeface.params import GanParams


def as_source(name: str, network: nn.Module) -> Generator:
    """A generator of ours, its images cut off at black and white where its last layer is linear."""
    linear = bool(getattr(network, "linear_output", False))
    return Generator(name, Shown(network) if linear else network, cast(int, network.z_dim))


def load(name: str, gan: GanParams) -> Generator:
    """Read ``gan.weights``; the facts that params.yaml declares must be those of the file.

    Raises:
        FileNotFoundError: if there is no such file.
        WeightsError: if its checksum differs, it does not fit its own header, or its
            architecture or upsampler is not the declared one: evaluation groups GANs by both.
    """
    network = load_generator(gan.weights)
    if gan.sha256 is not None:
        actual = sha256_of(gan.weights)
        if not actual.startswith(gan.sha256):
            raise WeightsError(f"{gan.weights}: sha256 is {actual}, expected {gan.sha256}")
    check_facts(name, gan, gan.weights, network)
    return as_source(name, network)
