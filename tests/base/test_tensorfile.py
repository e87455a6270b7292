"""Safetensors with the same bytes every time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from fakeface.base.files import explain_mismatch
from fakeface.base.tensors import save_tensors

METADATA = {key: f"value of {key}" for key in "fedcba"}
TENSORS = {"b": torch.arange(5), "a": torch.ones(2, 3).half()}
WRITE = f"""
import sys, torch
from fakeface.base.tensors import save_tensors
save_tensors(sys.argv[1], {{"b": torch.arange(5), "a": torch.ones(2, 3).half()}}, {METADATA!r})
"""


def test_processes_agree_to_the_byte(tmp_path: Path) -> None:
    here, there = tmp_path / "here.safetensors", tmp_path / "there.safetensors"
    save_tensors(here, TENSORS, METADATA)
    subprocess.run([sys.executable, "-c", WRITE, str(there)], check=True)
    assert here.read_bytes() == there.read_bytes()


def test_tensors_and_metadata_survive(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    tensors = {"b": torch.arange(5), "a": torch.randn(4, 3, 2).permute(2, 0, 1)}
    save_tensors(path, tensors, METADATA)
    loaded = load_file(path)
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)
    with safe_open(path, framework="pt") as stored:
        assert stored.metadata() == METADATA


def test_mismatch_names_ten_keys_a_side() -> None:
    message = explain_mismatch("f", [f"m{i}" for i in range(12)], [f"u{i}" for i in range(10)])
    assert "m9 and 2 more; unexpected" in message
    assert message.endswith("u8, u9")
    assert explain_mismatch("f", [], ["u"]).endswith("missing keys: none; unexpected keys: u")
