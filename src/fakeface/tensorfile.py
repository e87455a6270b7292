"""Safetensors files whose bytes depend on their content alone, and errors about tensors that do not fit."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save

from fakeface.atomic import write_bytes

_LENGTH_BYTES = 8
_ALIGNMENT = 8


def with_sorted_header(content: bytes) -> bytes:
    """The same safetensors file with the keys of its header in order.

    The library writes metadata in the order of a hash table, which differs from one process to the next, and
    DVC would take that for a change. Format: a little-endian length of eight bytes, a JSON header padded with
    spaces, the tensors at offsets from the header's end.
    """
    length = int.from_bytes(content[:_LENGTH_BYTES], "little")
    header = json.loads(content[_LENGTH_BYTES : _LENGTH_BYTES + length])
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text + content[_LENGTH_BYTES + length :]


def save_tensors(path: str | Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file atomically; equal arguments give equal bytes."""
    on_cpu = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    write_bytes(path, with_sorted_header(save(on_cpu, metadata)))


def explain_mismatch(path: str | Path, missing: list[str], unexpected: list[str]) -> str:
    """One line that names at most ten keys a file lacks and ten that the network does not know."""

    def some(keys: list[str]) -> str:
        more = f" and {len(keys) - 10} more" if len(keys) > 10 else ""
        return ", ".join(keys[:10]) + more if keys else "none"

    return (
        f"{path}: weights do not fit the architecture; "
        f"missing keys: {some(missing)}; unexpected keys: {some(unexpected)}"
    )
