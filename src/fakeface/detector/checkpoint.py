"""Resume state of a training, outside the stage's outs and valid for one exact configuration.

DVC deletes a stage's outs before it runs, and ``persist: true`` would switch its run cache off, so
the state lives in ``.checkpoints/<fingerprint>/``. The fingerprint covers parameters, data and
code: whatever could change the result makes the state invisible instead of wrong.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from fakeface.base.files import atomic_path

ROOT = Path(".checkpoints")


def fingerprint(settings: Any, data: Iterable[str], code: str) -> str:
    """SHA-256 over settings (JSON-serialisable), content hashes of the data, and a hash of the code."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for item in data:
        digest.update(item.encode())
    digest.update(code.encode())
    digest.update(torch.__version__.encode())
    return digest.hexdigest()


class Checkpoint:
    """One file of tensors and plain values, written atomically.

    Args:
        name: prefix that tells a person what the folder is.
        key: fingerprint of everything that decides the result.
        root: parent folder.
    """

    def __init__(self, name: str, key: str, root: Path = ROOT) -> None:
        self.folder = Path(root) / f"{name}-{key[:16]}"
        self.path = self.folder / "state.pt"

    def save(self, state: dict[str, Any]) -> None:
        """Replace the stored state."""
        with atomic_path(self.path) as temporary:
            torch.save(state, temporary)

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """The stored state, or None if there is none."""
        if not self.path.exists():
            return None
        state: dict[str, Any] = torch.load(self.path, map_location=device, weights_only=True)
        return state

    def discard(self) -> None:
        """Remove the state once the outs are written."""
        shutil.rmtree(self.folder, ignore_errors=True)
