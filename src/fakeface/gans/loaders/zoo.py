"""Generators of this project's own zoo: models/gans/*.safetensors, trained by zoo/dvc.yaml."""

from __future__ import annotations

from typing import cast

from torch import nn

from fakeface.gans.architectures import GENERATORS
from fakeface.gans.sampler import Generator
from fakeface.gans.weights import WeightsError, load_generator
from fakeface.params import GanParams
from fakeface.wheels import sha256_of


def _facts(network: nn.Module) -> tuple[str, str]:
    """Architecture and upsampler of a network of ours."""
    architecture = next(name for name, kind in GENERATORS.items() if type(network) is kind)
    return architecture, str(getattr(network, "upsample", "transposed"))


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
    for key, actual, declared in zip(
        ("architecture", "upsampler"), _facts(network), (gan.architecture, gan.upsampler), strict=True
    ):
        if actual != declared:
            raise WeightsError(f"gans.{name}.{key} must be {actual!r}, as in {gan.weights}, got {declared!r}")
    return Generator(name, network, cast(int, network.z_dim))
