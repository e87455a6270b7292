"""An image set on disk: one memory-mapped array of pixels and one table of where they come from."""

from __future__ import annotations

import csv
from collections.abc import Hashable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd

from fakeface.atomic import atomic_directory
from fakeface.errors import FakefaceError

IMAGES_FILE = "images.npy"
MANIFEST_FILE = "manifest.csv"
# Columns that every manifest has; prepare and generate add their own after them.
MANIFEST_COLUMNS = ("name", "source", "sha256", "split")
_DTYPES: dict[Hashable, Any] = {"name": str, "identity": "string"}


class ImageSetError(FakefaceError, ValueError):
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
            manifest = pd.read_csv(folder / MANIFEST_FILE, dtype=_DTYPES)
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


class ImageSetWriter:
    """Writes an image set row by row, in constant memory, when its length is not known beforehand.

    Used inside ``atomic_directory``: on its own it is not atomic. Rows are appended to the file rather
    than put into a memory map, because a full disk is an error on writing but kills a process with a map.

    Args:
        folder: new folder for both files.
        image_size: side of the square images.
        columns: names of the manifest's columns.
    """

    def __init__(self, folder: str | Path, image_size: int, columns: Sequence[str]) -> None:
        folder = Path(folder)
        self._shape = (image_size, image_size, 3)
        self._count = 0
        folder.mkdir(parents=True)
        with ExitStack() as stack:
            self._images = stack.enter_context((folder / IMAGES_FILE).open("wb"))
            self._manifest = stack.enter_context(
                (folder / MANIFEST_FILE).open("w", encoding="utf-8", newline="")
            )
            self._rows = csv.writer(self._manifest, lineterminator="\n")
            self._rows.writerow(columns)
            self._write_header()
            self._files = stack.pop_all()

    def _write_header(self) -> None:
        header = {"descr": "|u1", "fortran_order": False, "shape": (self._count, *self._shape)}
        np.lib.format.write_array_header_1_0(self._images, header)

    def __len__(self) -> int:
        return self._count

    def append(self, pixels: np.ndarray, row: Sequence[object]) -> None:
        """Add one uint8 (H, W, 3) image and its manifest row."""
        if pixels.dtype != np.uint8 or pixels.shape != self._shape:
            raise ImageSetError(
                f"image {self._count} must be uint8 {self._shape}, got {pixels.dtype} {pixels.shape}"
            )
        self._images.write(np.ascontiguousarray(pixels).data)
        self._rows.writerow(row)
        self._count += 1

    def __enter__(self) -> ImageSetWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._files:
            if kind is None:
                # NumPy pads the header so that it has the same length whatever the count.
                self._images.seek(0)
                self._write_header()
