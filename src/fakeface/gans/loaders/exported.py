"""What the loaders of exported networks share: declared latents in, images of a declared range out."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import nn

from fakeface.errors import FakefaceError, MissingFileError
from fakeface.gans.loaders.checkpoints import check_sha256
from fakeface.gans.loaders.output import Shown
from fakeface.gans.sampler import Generator
from fakeface.gans.weights import WeightsError
from fakeface.params import GanParams


class MissingExtraError(FakefaceError, ImportError):
    """A loader needs a package that is not installed; the message says how to install it."""


def checked_file(name: str, gan: GanParams) -> Path:
    """The file ``gan.weights``.

    Raises:
        MissingFileError: if there is none.
        WeightsError: if ``gan.sha256`` is given and differs.
    """
    path = Path(gan.weights).expanduser()
    if not path.is_file():
        raise MissingFileError(f"gans.{name}.weights: {path}: no such file")
    check_sha256(path, gan.sha256)
    return path


class _Reshaped(nn.Module):
    """Flat latents (B, prod(shape)) to a network that takes (B, *shape)."""

    def __init__(self, network: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.network, self.shape = network, shape

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """z (B, prod(shape)) to whatever the network returns."""
        return self.network(z.view(-1, *self.shape))


def as_source(name: str, gan: GanParams, path: Path, network: nn.Module) -> Generator:
    """A sampler of ``network``, tried with one batch so that a wrong latent is met before any image is kept.

    Raises:
        WeightsError: if the network does not take latents of the declared shape.
        GeneratorOutputError: if it returns no images of the declared range.
    """
    if gan.latent is None or gan.output is None:
        raise ValueError("the params model requires latent and output of this loader")
    shape = gan.latent.shape
    clip = gan.output.range if gan.output.clip else None
    shown = Shown(_Reshaped(network, shape), bgr=gan.output.channels == "bgr", clip=clip)
    source = Generator(name, shown, math.prod(shape), gan.output.range, gan.latent.distribution)
    try:
        next(source.batches("train", 1, seed=0, batch_size=1))
    except FakefaceError:
        raise
    except (RuntimeError, ValueError, TypeError) as error:
        # TorchScript ends its message with the reason, after a traceback of its own.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[-1] if lines else type(error).__name__
        wanted = ", ".join(map(str, shape))
        raise WeightsError(
            f"gans.{name}.latent.shape: {path} does not take latents (B, {wanted}): {reason}"
        ) from error
    return source
