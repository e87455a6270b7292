"""Checkpoint files in the layouts of the public ones, with weights that a rule makes from their names."""

from __future__ import annotations

import hashlib
import json
import pickle
import sys
import types
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

PARITY = Path(__file__).parent / "parity"


@dataclass(frozen=True)
class Reference:
    """What a publisher's own code computed."""

    name: str
    z_dim: int
    factor: float
    weights_sha256: str
    shapes: dict[str, list[int]]
    output: np.ndarray
    output_float64: np.ndarray
    stride: int
    display_rgb01: np.ndarray
    display_stride: int

    @property
    def z(self) -> np.ndarray:
        """float32 (2, z_dim)."""
        return np.random.RandomState(7).standard_normal((2, self.z_dim)).astype(np.float32)

    def weights(self) -> dict[str, torch.Tensor]:
        """Tensors by their public names, relative to the generator."""
        arrays = {name: self._weight(name, tuple(shape)) for name, shape in self.shapes.items()}
        digest = hashlib.sha256()
        for name in sorted(arrays):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(arrays[name]).tobytes())
        assert digest.hexdigest() == self.weights_sha256
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def _weight(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name.endswith("num_batches_tracked"):
            return np.zeros(shape, np.int64)
        normal = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
        if name.endswith("running_var"):
            return np.asarray(0.5 + np.abs(normal), np.float32)
        if name.endswith(("running_mean", "bias")):
            return np.asarray(0.1 * normal, np.float32)
        if name.endswith("weight") and len(shape) == 1:
            return np.asarray(1 + 0.1 * normal, np.float32)
        return np.asarray(self.factor * normal, np.float32)


def reference(name: str) -> Reference:
    """The reference stored as ``parity/<name>.json`` and ``.npz``."""
    facts = json.loads((PARITY / f"{name}.json").read_text())
    with np.load(PARITY / f"{name}.npz") as arrays:
        stored = {key: arrays[key] for key in arrays.files}
    strides = {key: int(stored.pop(key)) for key in ("stride", "display_stride")}
    return Reference(name=name, **facts, **stored, **strides)


def write_mmgeneration(path: Path, weights: dict[str, torch.Tensor], averaged: bool, **extra: Any) -> None:
    """One flat ``state_dict``; with ``averaged`` the plain generator is there too, and is not to be used."""
    state: dict[str, Any] = {"discriminator.conv.weight": torch.zeros(1)} | extra
    if averaged:
        state |= {f"generator.{name}": torch.zeros_like(tensor) for name, tensor in weights.items()}
    prefix = "generator_ema." if averaged else "generator."
    state |= {prefix + name: tensor for name, tensor in weights.items()}
    torch.save({"meta": {"iter": 300000}, "state_dict": state}, path)


def write_mimicry(path: Path, weights: dict[str, torch.Tensor]) -> None:
    """Weights, no optimiser state, and the step."""
    torch.save({"model_state_dict": weights, "optimizer_state_dict": None, "global_step": 100000}, path)


@contextmanager
def _class_of_the_zoo() -> Iterator[type]:
    """``models.utils.config.BaseConfig``, importable while the file is written and no longer."""
    names = ("models", "models.utils", "models.utils.config")
    modules = {name: types.ModuleType(name) for name in names}
    kind = type("BaseConfig", (), {"__module__": names[-1], "__qualname__": "BaseConfig"})
    modules[names[-1]].BaseConfig = kind  # type: ignore[attr-defined]
    sys.modules.update(modules)
    try:
        yield kind
    finally:
        for name in names:
            del sys.modules[name]


def write_gan_zoo(path: Path, weights: dict[str, torch.Tensor], depths: list[int], alpha: float = 0) -> None:
    """With a pickled ``config`` of a class that the reader does not have."""
    with _class_of_the_zoo() as kind:
        config = kind()
        config.depthScale0, config.depthOtherScales, config.alpha = 512, depths, alpha
        blank = {name: torch.zeros_like(tensor) for name, tensor in weights.items()}
        torch.save({"config": config, "netG": blank, "netD": {}, "avgG": weights}, path)


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return (open, (str(self.target), "w"))


def write_bomb(path: Path, target: Path) -> None:
    """A checkpoint that runs code if it is unpickled without care."""
    torch.save({"state_dict": {}, "meta": Bomb(target)}, path, pickle_module=pickle)
