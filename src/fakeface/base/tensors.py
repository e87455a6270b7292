"""Tensors in safetensors files, with a header of values that JSON knows.

PyTorch is loaded only for its own tensors: whoever reads headers or NumPy arrays does without.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open

from fakeface.base.errors import FakefaceError
from fakeface.base.files import write_bytes

if TYPE_CHECKING:
    import torch


class DetectorWeightsError(FakefaceError, ValueError):
    """A weights file is damaged or belongs to another network."""


def with_sorted_header(content: bytes) -> bytes:
    """The same safetensors file with the keys of its header in order.

    The library writes metadata in the order of a hash table, which differs from one process to the next, and
    DVC would take that for a change. Format: a little-endian length of eight bytes, a JSON header padded with
    spaces to a multiple of eight, the tensors at offsets from the header's end.
    """
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[end:]


def save_tensors(path: str | Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file atomically; equal arguments give equal bytes."""
    # Whoever has tensors has PyTorch loaded.
    from safetensors.torch import save

    on_cpu = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    write_bytes(path, with_sorted_header(save(on_cpu, metadata)))


@contextmanager
def _opened(
    path: Path, kind: str, keys: Collection[str], framework: str
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The open file and its header, checked as :func:`load_tensors` says."""
    try:
        with safe_open(path, framework=framework) as stored:
            header = {key: json.loads(value) for key, value in (stored.metadata() or {}).items()}
            if header.get("network") != kind:
                raise DetectorWeightsError(f"{path}: network must be {kind!r}, got {header.get('network')!r}")
            if missing := sorted(set(keys) - set(header)):
                raise DetectorWeightsError(
                    f"{path}: the header lacks {', '.join(missing)}; make the file anew: "
                    f"dvc repro train_{kind}"
                )
            yield stored, header
    except (SafetensorError, FileNotFoundError, json.JSONDecodeError) as error:
        raise DetectorWeightsError(f"{path}: cannot be read as safetensors ({error})") from error


def load_header(path: Path, kind: str, keys: Collection[str]) -> dict[str, Any]:
    """The header alone, as :func:`load_tensors` gives it.

    Raises:
        DetectorWeightsError: as there.
    """
    with _opened(path, kind, keys, "numpy") as (_, header):
        return header


def load_arrays(path: Path, kind: str, keys: Collection[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """As :func:`load_tensors`, but NumPy arrays."""
    with _opened(path, kind, keys, "numpy") as (stored, header):
        return {name: stored.get_tensor(name) for name in stored.keys()}, header  # noqa: SIM118


def load_tensors(
    path: Path, kind: str, keys: Collection[str]
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and header of a file whose ``network`` must be ``kind`` and whose header must hold ``keys``.

    Raises:
        DetectorWeightsError: if the file is absent, damaged, of another network or of an older version.
    """
    with _opened(path, kind, keys, "pt") as (stored, header):
        return {name: stored.get_tensor(name) for name in stored.keys()}, header  # noqa: SIM118
