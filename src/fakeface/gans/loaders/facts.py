"""The two facts that params.yaml declares of each GAN, held against the network that was loaded."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from fakeface.gans.architectures import GENERATORS
from fakeface.gans.weights import WeightsError
from fakeface.params import GanParams


def facts(network: nn.Module) -> tuple[str, str]:
    """Architecture and upsampler of a network of ours."""
    architecture = next(name for name, kind in GENERATORS.items() if type(network) is kind)
    return architecture, str(getattr(network, "upsample", "transposed"))


def check_facts(name: str, gan: GanParams, path: str | Path, network: nn.Module) -> None:
    """Refuse a declaration that the file belies: evaluation groups GANs by both.

    Raises:
        WeightsError: naming the key, the value and the right one.
    """
    for key, actual, declared in zip(
        ("architecture", "upsampler"), facts(network), (gan.architecture, gan.upsampler), strict=True
    ):
        if actual != declared:
            raise WeightsError(f"gans.{name}.{key} must be {actual!r}, as in {path}, got {declared!r}")
