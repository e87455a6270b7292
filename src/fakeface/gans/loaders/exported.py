"""Generators exported to TorchScript or ONNX: declared latents in, images of a declared range out.

A TorchScript file holds a program, if one in a small language without files or network: open your own only.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fakeface.base.errors import FakefaceError, first_line
from fakeface.base.onnx_session import open_session
from fakeface.gans.loaders.checkpoints import Shown, check_sha256, checked_file
from fakeface.gans.sampler import Generator
from fakeface.gans.weights import WeightsError
from fakeface.params import GanParams


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
        reason = str(error).strip().rpartition("\n")[2].strip() or type(error).__name__
        wanted = ", ".join(map(str, shape))
        raise WeightsError(
            f"gans.{name}.latent.shape: {path} does not take latents (B, {wanted}): {reason}"
        ) from error
    return source


def read_torchscript(path: Path) -> nn.Module:
    """The module in the file, on the CPU; WeightsError if it is no TorchScript file."""
    try:
        with warnings.catch_warnings():
            # PyTorch has deprecated the format; generators that were published in it can still be judged.
            warnings.filterwarnings("ignore", "`torch.jit.load` is deprecated", FutureWarning)
            return torch.jit.load(path, map_location="cpu")
    except (RuntimeError, ValueError) as error:
        raise WeightsError(f"{path}: not a TorchScript file ({first_line(error)})") from error


def load_torchscript(name: str, gan: GanParams) -> Generator:
    """The generator of ``gans.<name>``.

    Raises:
        MissingFileError, WeightsError, GeneratorOutputError: if the file is absent or of another kind, or
            latents or images are not as declared.
    """
    path = checked_file(name, gan)
    return as_source(name, gan, path, read_torchscript(path))


class _Session(nn.Module):
    """An ONNX Runtime session as a module; a graph with a fixed batch is run as often as it takes."""

    def __init__(self, session: Any) -> None:
        super().__init__()
        self.session = session
        (graph_input,) = session.get_inputs()
        self.input_name: str = graph_input.name
        batch = graph_input.shape[0] if graph_input.shape else None
        self.batch = batch if isinstance(batch, int) else None

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """z (B, *shape) to the graph's first output."""
        latents = z.numpy()
        step = self.batch or len(latents)
        padded = np.concatenate([latents, np.zeros_like(latents[: -len(latents) % step])])
        parts = [
            self.session.run(None, {self.input_name: padded[i : i + step]})[0]
            for i in range(0, len(padded), step)
        ]
        return torch.from_numpy(np.concatenate(parts)[: len(latents)])


def read_onnx(name: str, path: Path, shape: tuple[int, ...]) -> nn.Module:
    """The graph in the file, run by ONNX Runtime on the CPU.

    Raises:
        WeightsError: if it is no ONNX file, or its inputs are not one float32 tensor ``(B, *shape)``.
    """
    try:
        session = open_session(path)
    except Exception as error:  # ONNX Runtime's own classes share no base but this one
        raise WeightsError(f"{path}: not an ONNX file that can be run ({first_line(error)})") from error
    inputs = session.get_inputs()
    found = ", ".join(f"{i.name} {i.type} ({', '.join(map(str, i.shape))})" for i in inputs) or "none"
    fits = len(inputs) == 1 and inputs[0].type == "tensor(float)" and len(inputs[0].shape) == 1 + len(shape)
    if not fits or any(
        isinstance(a, int) and a != b for a, b in zip(inputs[0].shape[1:], shape, strict=True)
    ):
        wanted = f"tensor(float) (B, {', '.join(map(str, shape))})"
        raise WeightsError(f"{path}: expected one input {wanted} as in gans.{name}.latent, got {found}")
    return _Session(session)


def _onnx_file(name: str, gan: GanParams) -> Path:
    """``gan.weights``, or the one graph in that folder, which may keep its weights in files beside it."""
    folder = Path(gan.weights)
    if not folder.is_dir():
        path = checked_file(name, gan)
        beside = _external_data(path)
        if beside:
            raise WeightsError(
                f"gans.{name}.weights: {path} keeps weights in {beside[0]}, which nobody would see change; "
                "put both into a folder of their own and name that"
            )
        return path
    graphs = sorted(folder.glob("*.onnx"))
    if len(graphs) != 1:
        raise WeightsError(f"gans.{name}.weights: {folder} must hold one .onnx file, got {len(graphs)}")
    check_sha256(graphs[0], gan.sha256)
    return graphs[0]


def _external_data(path: Path) -> list[str]:
    """Names of the files beside an ONNX file in which it keeps weights; none if it is no ONNX file."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        tensors = onnx.load(str(path), load_external_data=False).graph.initializer
    except DecodeError:
        return []
    return sorted(
        {entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "location"}
    )


def load_onnx(name: str, gan: GanParams) -> Generator:
    """The generator of ``gans.<name>``; errors as :func:`load_torchscript`."""
    path = _onnx_file(name, gan)
    if gan.latent is None:
        raise ValueError("the params model requires latent of this loader")
    return as_source(name, gan, path, read_onnx(name, path, gan.latent.shape))
