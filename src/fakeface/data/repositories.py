"""Image sets out of Git repositories at a pinned revision, whether Git, Git LFS or DVC holds the pictures."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Any

from dvc.api import DVCFileSystem
from dvc.repo.open_repo import clean_repos
from tqdm import tqdm

from fakeface.base.downloads import MAX_BYTES, file_digest, sha256_of
from fakeface.base.errors import FakefaceError, first_line
from fakeface.base.files import atomic_path
from fakeface.data.archives import (
    MAX_MEMBER_BYTES,
    Archive,
    ArchiveError,
    archive_of,
    open_archive,
    write_zip,
)
from fakeface.params import RepositoryParams

_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
# Pictures read at a time from a remote of DVC, where each costs a round trip.
_AT_ONCE = 16


class RepositoryError(FakefaceError, RuntimeError):
    """An image set cannot be fetched from its repository; the message names its key and what is wrong."""


def _reason(error: BaseException) -> str:
    """What went wrong first: DVC itself says no more than "SCM error"."""
    while error.__cause__ is not None:
        error = error.__cause__
    from_git = re.search(r"fatal: .*[^\s'.]", str(getattr(error, "stderr", "")))
    return from_git[0] if from_git else first_line(error)


@contextmanager
def _said_as(problem: str) -> Iterator[None]:
    """Any error as a RepositoryError: every kind of remote has exceptions of its own."""
    try:
        yield
    except FakefaceError:
        raise
    except Exception as error:
        # An address that Git or DVC was configured with may hold a password.
        reason = re.sub(r"//[^/@\s]+@", "//***@", _reason(error))
        raise RepositoryError(f"{problem}: {reason}") from error


def _commit(key: str, settings: RepositoryParams, files: Any) -> str:
    """The full hash of the commit that is ``rev``; RepositoryError if ``rev`` may be another one tomorrow."""
    rev, commit = settings.rev, str(files.repo.get_rev())
    if rev.lower() != commit and files.repo.scm.get_ref(f"refs/tags/{rev}") != commit:
        raise RepositoryError(
            f"{key}.rev must be a commit's full hash or a tag, got {rev!r}, which moves; today it is {commit}"
        )
    return commit


@contextmanager
def _opened(key: str, settings: RepositoryParams) -> Iterator[tuple[Any, str]]:
    """DVC's file system of the repository at ``rev``, and the full hash of the commit."""
    repo = settings.repo
    # DVC takes a folder for the repository that the folder lies in.
    if Path(repo).is_dir() and not any((Path(repo) / name).exists() for name in (".git", ".dvc", "HEAD")):
        raise RepositoryError(f"{key}.repo must be a Git repository, got the folder {repo!r}")
    try:
        with _said_as(f"{key}: {repo} cannot be read at revision {settings.rev!r}"):
            files = DVCFileSystem(repo, rev=settings.rev, subrepos=True)
            commit = _commit(key, settings, files)
        try:
            yield files, commit
        finally:
            files.close()
    finally:
        clean_repos()


def _walk(key: str, files: Any, root: str) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Relative name, size, and what ``files`` knows of it, of all files below ``root``."""
    folders = [root]
    while folders:
        folder = folders.pop()
        for info in files.ls(folder, detail=True, ignore_subrepos=False):
            path = info["name"]
            relative = path.removeprefix(root).lstrip("/")
            # `..` would be walked round and round.
            if {".", ".."} & set(relative.split("/")):
                raise ArchiveError(f"{key}: member {relative!r} points outside the repository, refused")
            in_git = info.get("fs_info")
            if in_git and stat.S_ISLNK(in_git["mode"]):
                raise ArchiveError(f"{key}: member {relative!r} is a link, refused")
            if info["type"] == "directory":
                folders.append(path)
            else:
                yield relative, info["size"] or 0, info


def _open(key: str, files: Any, info: dict[str, Any]) -> IO[bytes]:
    by_dvc = not info.get("fs_info")
    where = "is tracked by DVC, and its remote does not give it" if by_dvc else "cannot be read"
    path = info["name"]
    with _said_as(f"{key}: {path.lstrip('/')} {where}"):
        opened: IO[bytes] = files.open(path, "rb")
        return opened


def _refuse_other_bytes(key: str, info: dict[str, Any], md5: str) -> None:
    """Git checks what it reads; DVC's file system takes what a remote gives."""
    if info.get("md5", md5) != md5:
        raise RepositoryError(
            f"{key}: {info['name'].lstrip('/')} has MD5 {md5} in the remote of DVC, expected {info['md5']}"
        )


def _open_picture(key: str, files: Any, info: dict[str, Any]) -> IO[bytes]:
    with _open(key, files, info) as opened:
        content = opened.read(MAX_MEMBER_BYTES + 1)
    _refuse_other_bytes(key, info, hashlib.md5(content, usedforsecurity=False).hexdigest())
    return io.BytesIO(content)


def _refuse_pointer(key: str, name: str, content: bytes) -> None:
    if content.startswith(_LFS_POINTER):
        raise RepositoryError(
            f"{key}: {name} is a pointer of Git LFS, and the repository's server does not give its content"
        )


@contextmanager
def _photographs(key: str, settings: RepositoryParams, files: Any) -> Iterator[tuple[Archive, bool]]:
    """The pictures at ``path``, and whether several at a time may be read."""
    root = f"/{settings.path.strip('/')}".removesuffix("/.")
    with _said_as(f"{key}: {settings.path} cannot be read"):
        try:
            info = files.info(root or "/", ignore_subrepos=False)
        except FileNotFoundError as error:
            raise RepositoryError(
                f"{key}.path must be in {settings.repo} at revision {settings.rev}, got {settings.path!r}"
            ) from error
    in_git = info.get("fs_info")
    if in_git and stat.S_ISLNK(in_git.get("mode", 0)):
        raise ArchiveError(f"{key}.path: {settings.path} is a link, refused")
    if info["type"] == "directory":
        with _said_as(f"{key}: the list of {settings.path} cannot be read, is the remote of DVC there?"):
            members = list(_walk(key, files, root or "/"))
        archive = archive_of(Path(key), members, lambda info: _open_picture(key, files, info))
        yield archive, not any(info.get("fs_info") for _, _, info in members)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / Path(root).name
        if (info["size"] or 0) > MAX_BYTES:
            raise RepositoryError(
                f"{key}: {settings.path} has {info['size']} bytes, expected at most {MAX_BYTES}"
            )
        with (
            _said_as(f"{key}: {settings.path} cannot be read"),
            _open(key, files, info) as source,
            copy.open("wb") as target,
        ):
            shutil.copyfileobj(source, target, 1 << 20)
        _refuse_other_bytes(key, info, file_digest(copy, "md5"))
        with copy.open("rb") as target:
            _refuse_pointer(key, settings.path, target.read(len(_LFS_POINTER)))
        try:
            with open_archive(copy) as archive:
                yield archive, False
        except ArchiveError as error:
            raise ArchiveError(str(error).replace(str(copy), f"{key}: {settings.path}")) from error


def _contents(key: str, archive: Archive, in_parallel: bool) -> Iterator[tuple[str, bytes]]:
    """Name and content of each picture, in the order of their names, few in memory at a time."""
    names = archive.names
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        blocks = (names[start : start + _AT_ONCE] for start in range(0, len(names), _AT_ONCE))
        read = pool.map if in_parallel else map
        contents = chain.from_iterable(read(archive.read, block) for block in blocks)
        for name, content in tqdm(
            zip(names, contents, strict=True), desc=key, total=len(names), unit="photo", disable=None
        ):
            _refuse_pointer(key, name, content)
            yield name, content


def fetch_set(name: str, settings: RepositoryParams, out: str | Path) -> dict[str, Any]:
    """Pack the pictures of ``repositories.<name>`` into the zip ``out``, which appears whole or not at all.

    Its bytes depend on names and contents of the pictures alone. Files that are no images by their suffix,
    and hidden ones, are left out, as :func:`fakeface.data.archives.open_archive` does.

    Args:
        name: key of ``repositories``, for messages.
        settings: repository, revision and path in it.
        out: the zip.

    Returns:
        ``repo``, ``rev``, ``commit`` (its full hash), ``path``, ``n_photographs`` and ``sha256`` of the zip.

    Raises:
        RepositoryError: if the repository, the revision, the path, or what Git LFS or a remote of DVC should
            hold, is not to be had or has another checksum, or ``rev`` is a branch or otherwise moves.
        ArchiveError: if the path holds no picture, a link, or a member that is refused in any archive.
    """
    key = f"repositories.{name}"
    with _opened(key, settings) as (files, commit), _photographs(key, settings, files) as (archive, parallel):
        with atomic_path(out) as temporary:
            write_zip(temporary, _contents(key, archive, parallel))
        return {
            "repo": settings.repo,
            "rev": settings.rev,
            "commit": commit,
            "path": settings.path,
            "n_photographs": len(archive),
            "sha256": sha256_of(out),
        }
