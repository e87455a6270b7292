"""Where the pipeline keeps its image sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Folders:
    """Below one folder, the workspace's ``data`` by default.

    Attributes:
        root: holds ``real/<split>``, ``fake/<gan>/<split>`` and ``curated/<gan>.csv``.
    """

    root: Path = Path("data")

    @property
    def real(self) -> Path:
        """One image set of photographs a split."""
        return self.root / "real"

    @property
    def fake(self) -> Path:
        """For each GAN one image set a split."""
        return self.root / "fake"

    @property
    def curated(self) -> Path:
        """For each GAN the list of training fakes to learn from."""
        return self.root / "curated"
