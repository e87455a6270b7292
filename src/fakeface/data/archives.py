"""Photographs in a folder, a zip or a tar, read without ever being unpacked to disk.

Archives come from anywhere, so every member is judged before it is read: no absolute names, no ``..``,
no links or devices, no name given twice, nothing of absurd size or number.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any, TypeVar, cast

from fakeface.base.errors import FakefaceError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm"})
MAX_MEMBERS = 5_000_000
MAX_MEMBER_BYTES = 64 * 2**20
# Photographs are compressed already, so an honest compressed tar shrinks a little, never fiftyfold.
_MAX_EXPANSION = 50
_ALWAYS_ALLOWED_BYTES = 16 * 2**20
# What zipfile and tarfile raise on files that are damaged or not theirs.
_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    NotImplementedError,
    UnicodeDecodeError,
    OverflowError,
    struct.error,
)

Handle = TypeVar("Handle")


class ArchiveError(FakefaceError, ValueError):
    """An archive or folder is unreadable, hostile or holds no photographs; the message names it."""


@dataclass(frozen=True)
class Archive:
    """The photographs of one open archive or folder.

    Attributes:
        path: where it lies.
        names: names of all image members, relative, with ``/``, sorted.
        read: content of one of them; raises ArchiveError if it cannot be read.
    """

    path: Path
    names: tuple[str, ...]
    read: Callable[[str], bytes]

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """(name, content) of every photograph in the order of their names, one in memory at a time."""
        return ((name, self.read(name)) for name in self.names)


def _checked_name(archive: Path, name: str) -> str:
    """``name`` in its plainest form; ArchiveError if it could point outside the archive."""
    path = PurePosixPath(name.replace("\\", "/"))
    outside = path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive
    if outside or "\0" in name:
        raise ArchiveError(f"{archive}: member {name!r} points outside the archive, refused")
    return str(path)


def _is_photograph(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return not hidden and path.suffix.lower() in IMAGE_SUFFIXES


class _Index(dict[str, Handle]):
    """Image members by checked name."""

    def __init__(self, archive: Path) -> None:
        super().__init__()
        self.archive = archive
        self.seen = 0

    def add(self, name: str, size: int, handle: Handle) -> None:
        self.seen += 1
        if self.seen > MAX_MEMBERS:
            raise ArchiveError(f"{self.archive}: more than {MAX_MEMBERS} members")
        name = _checked_name(self.archive, name)
        if not _is_photograph(name):
            return
        if name in self:
            raise ArchiveError(f"{self.archive}: member {name!r} is there twice")
        if size > MAX_MEMBER_BYTES:
            raise ArchiveError(
                f"{self.archive}: member {name!r} has {size} bytes, expected at most {MAX_MEMBER_BYTES}"
            )
        self[name] = handle


def _archive(
    path: Path,
    index: _Index[Handle],
    open_member: Callable[[Handle], IO[bytes] | None],
    errors: tuple[type[Exception], ...],
    problem: str = "is damaged",
) -> Archive:
    """The archive of an index; a member's real size may differ from the declared one."""

    def read(name: str) -> bytes:
        try:
            with cast(IO[bytes], open_member(index[name])) as file:
                content = file.read(MAX_MEMBER_BYTES + 1)
        except errors as error:
            raise ArchiveError(f"{path}: member {name!r} {problem}: {error}") from error
        if len(content) > MAX_MEMBER_BYTES:
            raise ArchiveError(f"{path}: member {name!r} has more than {MAX_MEMBER_BYTES} bytes")
        return content

    return Archive(path, tuple(sorted(index)), read)


@contextmanager
def _open_zip(path: Path) -> Iterator[Archive]:
    with zipfile.ZipFile(path) as opened:
        index: _Index[zipfile.ZipInfo] = _Index(path)
        for info in opened.infolist():
            if stat.S_ISLNK(info.external_attr >> 16):
                raise ArchiveError(f"{path}: member {info.filename!r} is a link, refused")
            if info.flag_bits & 0x1:
                raise ArchiveError(f"{path}: member {info.filename!r} is encrypted")
            if not info.is_dir():
                # orig_filename: zipfile itself cuts names at a NUL, which hides what was meant.
                index.add(info.orig_filename, info.file_size, info)
        damaged = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, EOFError)
        yield _archive(path, index, opened.open, damaged)


def _decompress(source: IO[bytes], path: Path) -> bytes:
    try:
        return source.read(1 << 20)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise ArchiveError(f"{path}: not a readable compressed tar: {error}") from error


@contextmanager
def _uncompressed(path: Path) -> Iterator[IO[bytes]]:
    """A seekable plain tar; a compressed one is spooled to an unnamed temporary file first."""
    openers: dict[bytes, Callable[..., Any]]
    openers = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
    with path.open("rb") as file:
        magic = file.read(6)
        file.seek(0)
        opener = next((opener for start, opener in openers.items() if magic.startswith(start)), None)
        if opener is None:
            yield file
            return
        limit = max(_MAX_EXPANSION * path.stat().st_size, _ALWAYS_ALLOWED_BYTES)
        with opener(file) as source, tempfile.TemporaryFile() as spool:
            while block := _decompress(source, path):
                if spool.tell() + len(block) > limit:
                    raise ArchiveError(f"{path}: expands more than {_MAX_EXPANSION} times, refused")
                spool.write(block)
            spool.seek(0)
            yield spool


@contextmanager
def _open_tar(path: Path) -> Iterator[Archive]:
    with _uncompressed(path) as file, tarfile.open(fileobj=file, mode="r:") as opened:
        index: _Index[tarfile.TarInfo] = _Index(path)
        for info in opened:
            if not (info.isreg() or info.isdir()):
                raise ArchiveError(f"{path}: member {info.name!r} is a link or a device, refused")
            if info.isreg():
                index.add(info.name, info.size, info)
        yield _archive(path, index, opened.extractfile, (tarfile.TarError, OSError))


@contextmanager
def _open_folder(path: Path) -> Iterator[Archive]:
    index: _Index[Path] = _Index(path)
    for file in path.rglob("*"):
        # A user's folder may link to single photographs, as DVC's own cache does; a link to a
        # folder would be skipped or walked in circles depending on the Python version.
        if file.is_symlink() and (file.is_dir() or not file.exists()):
            raise ArchiveError(f"{path}: {file.relative_to(path)} links to a folder or to nothing, refused")
        if file.is_file():
            index.add(file.relative_to(path).as_posix(), file.stat().st_size, file)
    yield _archive(path, index, lambda file: file.open("rb"), (OSError,), "cannot be read")


def archive_of(
    path: Path, members: Iterable[tuple[str, int, Handle]], open_member: Callable[[Handle], IO[bytes]]
) -> Archive:
    """The photographs among files that are neither in an archive nor on this disk, judged by the same rules.

    Args:
        path: what messages call the whole.
        members: name, size in bytes and what ``open_member`` takes, of each file.
        open_member: opens one to read.

    Raises:
        ArchiveError: as :func:`open_archive`.
    """
    index: _Index[Handle] = _Index(path)
    for member in members:
        index.add(*member)
    return _not_empty(_archive(path, index, open_member, (OSError,), "cannot be read"))


def _not_empty(archive: Archive) -> Archive:
    if not archive.names:
        suffixes = ", ".join(sorted(IMAGE_SUFFIXES))
        raise ArchiveError(f"{archive.path}: holds no photographs, expected files named {suffixes}")
    return archive


def _opener(path: Path) -> Callable[[Path], AbstractContextManager[Archive]]:
    if path.is_dir():
        return _open_folder
    with path.open("rb") as file:
        return _open_zip if file.read(4) in (b"PK\x03\x04", b"PK\x05\x06") else _open_tar


@contextmanager
def open_archive(path: str | Path) -> Iterator[Archive]:
    """Open a folder, a zip or a tar (plain, gzip, bzip2 or xz) of photographs.

    Files that are no images by their suffix, hidden files and folders are left out.

    Raises:
        ArchiveError: if it is missing, unreadable, holds no photograph or a member that is refused.
    """
    path = Path(path)
    if not path.exists():
        raise ArchiveError(f"{path}: no such file or folder, expected a folder, zip or tar of photographs")
    with ExitStack() as stack:
        try:
            archive = stack.enter_context(_opener(path)(path))
        except _DAMAGED as error:
            raise ArchiveError(f"{path}: not a readable folder, zip or tar: {error}") from error
        yield _not_empty(archive)


def write_zip(path: str | Path, photographs: Iterator[tuple[str, bytes]]) -> None:
    """Write photographs into an uncompressed zip whose bytes depend on names and contents alone."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as packed:
        for name, content in photographs:
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system = 3  # Unix, on whatever system this runs
            info.external_attr = 0o644 << 16
            packed.writestr(info, content)
