"""An image set on disk: one memory-mapped array of pixels and one table of where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fakeface.atomic import atomic_directory

IMAGES_FILE = "images.npy"
MANIFEST_FILE = "manifest.csv"
# Columns that every manifest has; prepare and generate add their own after them.
MANIFEST_COLUMNS = ("name", "source", "sha256", "split")


class ImageSetError(ValueError):
    """An image set on disk is incomplete or contradicts itself."""


@dataclass(frozen=True)
class ImageSet:
    """Images and their manifest, row by row.

    Attributes:
        images: uint8 (N, H, W, 3) RGB; a read-only memory map when read from disk.
        manifest: N rows; ``sha256`` is that of the prepared pixels' bytes.
    """

    images: np.ndarray
    manifest: pd.DataFrame

    def __len__(self) -> int:
        return len(self.images)

    def write(self, folder: str | Path) -> None:
        """Write both files into ``folder``, which appears whole or not at all."""
        with atomic_directory(folder) as temporary:
            np.save(temporary / IMAGES_FILE, np.ascontiguousarray(self.images))
            self.manifest.to_csv(temporary / MANIFEST_FILE, index=False, lineterminator="\n")

    @classmethod
    def read(cls, folder: str | Path) -> ImageSet:
        """Open a set; pixels are mapped, not loaded.

        Raises:
            ImageSetError: if a file is missing, of another type, or the two disagree.
        """
        folder = Path(folder)
        try:
            images = np.load(folder / IMAGES_FILE, mmap_mode="r", allow_pickle=False)
            manifest = pd.read_csv(folder / MANIFEST_FILE, dtype={"name": str, "identity": "string"})
        except FileNotFoundError as error:
            raise ImageSetError(f"{folder}: {Path(str(error.filename)).name} is missing") from error
        except ValueError as error:
            raise ImageSetError(f"{folder}: {error}") from error
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
            raise ImageSetError(
                f"{folder}: images must be uint8 (N, H, W, 3), got {images.dtype} {images.shape}"
            )
        if len(images) != len(manifest):
            raise ImageSetError(f"{folder}: {len(images)} images but {len(manifest)} manifest rows")
        absent = [column for column in MANIFEST_COLUMNS if column not in manifest.columns]
        if absent:
            raise ImageSetError(f"{folder}: manifest lacks the columns {absent}")
        return cls(images, manifest)
