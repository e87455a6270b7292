"""Ready-made fakes: a folder, zip or tar of pictures of one size, split by their bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fakeface.base.errors import FakefaceError
from fakeface.data.archives import open_archive
from fakeface.data.image_sets import SPLITS, Split, hash_split
from fakeface.data.preprocess import CorruptImageError, decode
from fakeface.gans.loaders.checkpoints import checked_file
from fakeface.params import GanParams

# Shares of the pictures, as photographs have them by default: fakes that others made are scarce, too. A split
# takes no more of its share than `generate` asks for.
VAL_FRACTION = 0.15
TEST_FRACTION = 0.15


class FolderError(FakefaceError, ValueError):
    """The pictures cannot serve as fakes of one generator; the message names one that is to blame."""


class FolderSource:
    """Pictures of one folder, zip or tar.

    A picture's split and its place in it follow from the SHA-256 of its file, so equal files never straddle
    splits (they count once), and adding pictures never moves one to another split.

    Args:
        name: of the GAN, for messages.
        path: of the pictures.
        test_only: all pictures are in the test split.

    Raises:
        ArchiveError: if there is nothing at ``path``, or it holds no picture.
    """

    def __init__(self, name: str, path: Path, test_only: bool = False) -> None:
        self.name, self.path, self.test_only = name, path, test_only
        with open_archive(path) as archive:
            members = {hashlib.sha256(content).hexdigest(): member for member, content in archive}
        self._members: dict[Split, list[str]] = {split: [] for split in SPLITS}
        for digest in sorted(members):
            split: Split = "test" if test_only else hash_split(digest, VAL_FRACTION, TEST_FRACTION)
            self._members[split].append(members[digest])
        self._first: tuple[str, tuple[int, int]] | None = None

    def _read(self, member: str, content: bytes) -> np.ndarray:
        try:
            image = decode(content)
        except CorruptImageError as error:
            raise FolderError(f"gans.{self.name}.weights: {self.path}: {member}: {error}") from error
        self._first = self._first or (member, image.size)
        first, size = self._first
        if image.size != size:
            raise FolderError(
                f"gans.{self.name}.weights: {self.path}: pictures of one generator must be of one size, got "
                f"{first} {size[0]}x{size[1]} and {member} {image.width}x{image.height}"
            )
        return np.asarray(image, dtype=np.uint8)

    def batches(self, split: Split, count: int, seed: int, batch_size: int) -> Iterator[np.ndarray]:  # noqa: ARG002
        """The first ``count`` pictures of ``split``, or all if there are fewer; ``seed`` plays no part.

        Raises:
            FolderError: if a split that is to have some has none, one cannot be decoded, or sizes differ.
        """
        members = self._members[split][:count]
        if not members and self.test_only and split != "test":
            return
        if not members:
            total = sum(map(len, self._members.values()))
            raise FolderError(
                f"gans.{self.name}.weights: {self.path}: none of its {total} pictures falls into split "
                f"{split} ({TEST_FRACTION:.0%} test, {VAL_FRACTION:.0%} val), expected some dozens at least"
            )
        with open_archive(self.path) as archive:
            for start in range(0, len(members), batch_size):
                chunk = members[start : start + batch_size]
                yield np.stack([self._read(member, archive.read(member)) for member in chunk])


def load(name: str, gan: GanParams) -> FolderSource:
    """The pictures of ``gans.<name>``.

    Raises:
        FolderError, WeightsError: if a checksum is given for a folder, or an archive's differs.
        ArchiveError: as :class:`FolderSource`.
    """
    path = Path(gan.weights)
    if gan.sha256 is not None:
        if path.is_dir():
            raise FolderError(f"gans.{name}.sha256 is for a zip or tar, but {path} is a folder")
        checked_file(name, gan)
    return FolderSource(name, path, gan.test_only)
