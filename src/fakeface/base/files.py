"""Files that appear whole or not at all.

Everything is written beside its destination and renamed over it, so a kill or a full disk leaves either the
old file or none, never a half-written one.
"""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fakeface.base.errors import FakefaceError

# What the person can mend by whom a disk is filled.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class OutputError(FakefaceError, OSError):
    """Something cannot be written; the message says what and why."""


@contextmanager
def _writing(destination: Path, reasons: tuple[int, ...] | None = None) -> Iterator[None]:
    """Name ``destination`` where writing fails for one of ``reasons``; None for any."""
    try:
        yield
    except OSError as error:
        known = reasons is None or error.errno in reasons
        if isinstance(error, FakefaceError) or not known:
            raise
        raise OutputError(f"cannot write {destination}: {error.strerror}") from error


def _put(temporary: Path, destination: Path, mode: int) -> None:
    """Rename, with the rights of the user's umask: mkstemp and mkdtemp make private files."""
    umask = os.umask(0)
    os.umask(umask)
    temporary.chmod(mode & ~umask)
    temporary.replace(destination)


@contextmanager
def atomic_path(destination: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path in the destination's folder; rename it on success, delete it on error."""
    destination = Path(destination)
    with _writing(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{destination.name}.", dir=destination.parent)
        os.close(handle)
    temporary = Path(name)
    try:
        with _writing(destination, _FULL):
            yield temporary
        with _writing(destination):
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            _put(temporary, destination, 0o666)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(destination: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty temporary folder; on success it replaces ``destination`` as a whole."""
    destination = Path(destination)
    with _writing(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", dir=destination.parent))
    try:
        with _writing(destination, _FULL):
            yield temporary
        with _writing(destination):
            if destination.exists():
                shutil.rmtree(destination)
            _put(temporary, destination, 0o777)
    finally:
        if temporary.exists():
            shutil.rmtree(temporary)


def reserve(path: str | os.PathLike[str]) -> None:
    """Take the disk space of a sparse file at once: later, a full disk would kill whoever has it mapped.

    Raises:
        OutputError: if there is not as much.
    """
    path = Path(path)
    if hasattr(os, "posix_fallocate"):
        with _writing(path), path.open("r+b") as opened:
            os.posix_fallocate(opened.fileno(), 0, path.stat().st_size)


def write_bytes(destination: str | os.PathLike[str], content: bytes) -> None:
    """Write ``content`` atomically."""
    with atomic_path(destination) as temporary:
        temporary.write_bytes(content)


def write_text(destination: str | os.PathLike[str], content: str) -> None:
    """Write UTF-8 text atomically."""
    write_bytes(destination, content.encode("utf-8"))


def finite_or_none(value: Any) -> Any:
    """Replace NaN and infinities by None, recursively: JSON has no such numbers."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite_or_none(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite_or_none(item) for item in value]
    return value


def write_json(destination: str | os.PathLike[str], content: Any) -> None:
    """Write indented JSON with a final newline atomically; NaN becomes null."""
    text = json.dumps(finite_or_none(content), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(destination, text + "\n")


def explain_mismatch(path: str | Path, missing: list[str], unexpected: list[str]) -> str:
    """One line that names at most ten keys a file lacks and ten that the network does not know."""

    def some(keys: list[str]) -> str:
        more = f" and {len(keys) - 10} more" if len(keys) > 10 else ""
        return ", ".join(keys[:10]) + more if keys else "none"

    return (
        f"{path}: weights do not fit the architecture; "
        f"missing keys: {some(missing)}; unexpected keys: {some(unexpected)}"
    )
