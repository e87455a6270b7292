"""Image sets on disk, their splits, and the rules that keep training and test apart."""

from __future__ import annotations

import csv
import hashlib
import shutil
import sys
from collections.abc import Collection, Hashable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

from fakeface.base.errors import FakefaceError
from fakeface.base.files import atomic_directory, atomic_path

if TYPE_CHECKING:
    import pandas as pd

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


def hash_split(key: str, val_fraction: float, test_fraction: float) -> Split:
    """Split of one photograph from its ``key`` alone, a file name without folders; expected shares in [0, 1).

    The SHA-256 of ``key`` is read as a number in [0, 1), so adding or removing other photographs
    never moves this one, and two data sets that share file names share their splits.
    """
    digest = hashlib.sha256(key.encode("utf-8")).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    if position < test_fraction:
        return "test"
    if position < test_fraction + val_fraction:
        return "val"
    return "train"


@dataclass(frozen=True)
class Folders:
    """Where the pipeline keeps ``real/<split>``, ``fake/<gan>/<split>`` and ``curated/<gan>.csv``."""

    root: Path = Path("data")

    @property
    def real(self) -> Path:
        return self.root / "real"

    @property
    def fake(self) -> Path:
        return self.root / "fake"

    @property
    def curated(self) -> Path:
        return self.root / "curated"


def set_aside(folder: Path, known: Collection[str]) -> None:
    """Move what ``folder`` holds and params.yaml no longer names to ``former/`` beside it, with a line each.

    DVC leaves the outs of a GAN or fold that was removed. A stage that depends on the folder as a whole, for
    DVC has no other way to name outs as many as a list of the params has, would track them with the others.

    Args:
        folder: with one entry a GAN or fold, for instance ``data/fake``.
        known: names that stay.
    """
    for entry in sorted(folder.iterdir() if folder.is_dir() else []):
        if entry.is_dir() and entry.name not in known:
            destination = folder.parent / "former" / folder.name / entry.name
            shutil.rmtree(destination, ignore_errors=True)
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(entry, destination)
            print(f"{entry}: not in params.yaml any more, moved to {destination}", file=sys.stderr)


# An image set on disk: one memory-mapped array of pixels and one table of where they come from.

IMAGES_FILE = "images.npy"
MANIFEST_FILE = "manifest.csv"
# Columns that every manifest has; prepare and generate add their own after them.
MANIFEST_COLUMNS = ("name", "source", "sha256", "split")
_DTYPES: dict[Hashable, Any] = {"name": str, "identity": "string"}


class ImageSetError(FakefaceError, ValueError):
    """An image set on disk is incomplete or contradicts itself."""


class LeakError(FakefaceError, ValueError):
    """An image is where it must not be; the message names it."""


def are_images(array: np.ndarray) -> bool:
    """Whether ``array`` is uint8 (N, H, W, 3)."""
    return array.dtype == np.uint8 and array.ndim == 4 and array.shape[3] == 3


def evenly_spaced(rows: np.ndarray, count: int) -> np.ndarray:
    """``count`` of the rows at equal distances, all of them if there are no more: no seed to agree on."""
    count = min(count, len(rows))
    return np.asarray(rows[np.arange(count) * len(rows) // max(count, 1)])


def pixels_sha256(pixels: np.ndarray) -> str:
    """Hexadecimal SHA-256 of the bytes of one image or of many."""
    return hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()


def write_grid(path: Path, images: np.ndarray, columns: int) -> None:
    """Images, uint8 (N, S, S, 3), row by row as one PNG; missing ones of the last row stay white."""
    count, height, width, _ = images.shape
    rows = -(-count // columns)
    grid = np.full((rows * columns, height, width, 3), 255, dtype=np.uint8)
    grid[:count] = images
    grid = grid.reshape(rows, columns, height, width, 3).transpose(0, 2, 1, 3, 4)
    with atomic_path(path) as temporary:
        Image.fromarray(grid.reshape(rows * height, columns * width, 3)).save(temporary, format="PNG")


@dataclass(frozen=True)
class ImageSet:
    """One memory-mapped array of pixels, and one table of where they come from, row by row.

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
        import pandas as pd  # machines that only train generators may lack it

        folder = Path(folder)
        try:
            images = np.load(folder / IMAGES_FILE, mmap_mode="r", allow_pickle=False)
            manifest = pd.read_csv(folder / MANIFEST_FILE, dtype=_DTYPES)
        except FileNotFoundError as error:
            raise ImageSetError(f"{folder}: {Path(str(error.filename)).name} is missing") from error
        except ValueError as error:
            raise ImageSetError(f"{folder}: {error}") from error
        if not are_images(images):
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
            got = f"{pixels.dtype} {pixels.shape}"
            raise ImageSetError(f"image {self._count} must be uint8 {self._shape}, got {got}")
        self._images.write(np.ascontiguousarray(pixels).data)
        self._rows.writerow(row)
        self._count += 1

    def __enter__(self) -> ImageSetWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._files:
            if kind is None:
                # NumPy pads the header so that it has the same length whatever the count.
                self._images.seek(0)
                self._write_header()


def check_source(part: ImageSet, source: str | None, where: str | Path, gans: Collection[str] = ()) -> None:
    """Refuse a set that holds an image of another source.

    Args:
        part: the set.
        source: the GAN that made it; None for photographs, whose source may be anything but one of ``gans``.
        where: what the message calls it.
        gans: names that no photograph may have as its source.

    Raises:
        LeakError: naming the first offending image.
    """
    made_by = part.manifest["source"]
    wrong = part.manifest[made_by.isin(list(gans)) if source is None else made_by != source]
    if len(wrong):
        row = wrong.iloc[0]
        expected = "a photograph" if source is None else repr(source)
        raise LeakError(f"{where}: {row['name']} was made by {row['source']!r}, expected {expected}")


def check_split(
    part: ImageSet, source: str | None, split: Split, folder: Path, gans: Collection[str] = ()
) -> None:
    """As :func:`check_source`, and refuse a set that holds an image of another split."""
    wrong = part.manifest[part.manifest["split"] != split]
    if len(wrong):
        row = wrong.iloc[0]
        raise LeakError(f"{folder}: {row['name']} belongs to split {row['split']!r}, expected {split!r}")
    check_source(part, source, folder, gans)


# Columns of a GAN's list of training fakes to learn from.
LISTED = ["name", "sha256"]


class CurationError(FakefaceError, ValueError):
    """Fakes cannot be curated, or the list of those kept does not fit them; the message says why."""


def kept_rows(manifest: pd.DataFrame, gan: str, folder: Path) -> np.ndarray:
    """Which rows of the manifest of a GAN's training fakes its list in ``folder`` keeps, bool (N,).

    Raises:
        CurationError: if there is no such list, or it names an image that the manifest does not have.
    """
    import pandas as pd

    path = folder / f"{gan}.csv"
    try:
        listed = pd.read_csv(path, dtype=str)
    except FileNotFoundError:
        raise CurationError(f"{path}: no such file; dvc repro curate makes it") from None
    keys = pd.MultiIndex.from_frame(listed[LISTED])
    there = pd.MultiIndex.from_frame(manifest[LISTED].astype(str))
    unknown = keys[~keys.isin(there)]
    if len(unknown):
        raise CurationError(
            f"{path}: names {unknown[0][0]}, which is not among the training fakes of {gan} or has other "
            "pixels; dvc repro curate"
        )
    return np.asarray(there.isin(keys))
