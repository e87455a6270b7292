"""Generators exported to ONNX, run by ONNX Runtime on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fakeface.gans.loaders.exported import MissingExtraError, as_source, checked_file
from fakeface.gans.sampler import Generator
from fakeface.gans.weights import WeightsError
from fakeface.params import GanParams


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


def read_network(name: str, path: Path, shape: tuple[int, ...]) -> nn.Module:
    """The graph in the file.

    Raises:
        MissingExtraError: if ONNX Runtime is not installed.
        WeightsError: if it is no ONNX file, or its inputs are not one float32 tensor ``(B, *shape)``.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError(
            f"gans.{name}.loader: onnx needs onnxruntime, install it with pip install -e '.[onnx]'"
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own classes share no base but this one
        reason = str(error).strip().splitlines()[0]
        raise WeightsError(f"{path}: not an ONNX file that can be run ({reason})") from error
    inputs = session.get_inputs()
    found = ", ".join(f"{i.name} {i.type} ({', '.join(map(str, i.shape))})" for i in inputs) or "none"
    fits = len(inputs) == 1 and inputs[0].type == "tensor(float)" and len(inputs[0].shape) == 1 + len(shape)
    if not fits or any(
        isinstance(a, int) and a != b for a, b in zip(inputs[0].shape[1:], shape, strict=True)
    ):
        wanted = f"tensor(float) (B, {', '.join(map(str, shape))})"
        raise WeightsError(f"{path}: expected one input {wanted} as in gans.{name}.latent, got {found}")
    return _Session(session)


def load(name: str, gan: GanParams) -> Generator:
    """The generator of ``gans.<name>``.

    Raises:
        MissingExtraError: if ONNX Runtime is not installed.
        MissingFileError, WeightsError, GeneratorOutputError: if the file is absent or of another kind, or
            latents or images are not as declared.
    """
    path = checked_file(name, gan)
    if gan.latent is None:
        raise ValueError("the params model requires latent of this loader")
    return as_source(name, gan, path, read_network(name, path, gan.latent.shape))
