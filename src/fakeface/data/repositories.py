"""Image sets out of Git repositories at a pinned revision, whether Git, Git LFS or DVC holds the pictures."""

from __future__ import annotations

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

from fakeface.base.downloads import MAX_BYTES, sha256_of
from fakeface.base.errors import FakefaceError, first_line
from fakeface.base.files import atomic_path
from fakeface.data.archives import Archive, ArchiveError, archive_of, open_archive, write_zip
from fakeface.params import RepositoryParams

_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
# Pictures read at a time from a remote of DVC, where each costs a round trip.
_AT_ONCE = 16


class RepositoryError(FakefaceError, RuntimeError):
    """An image set cannot be fetched from its repository; the message names its key and what is wrong."""


def _reason(error: BaseException) -> str:
    """What Git said, where DVC ran it, else the error's first line."""
    cause: BaseException | None = error
    while cause is not None:
        said = re.search(r"fatal: .*[^\s'.]", str(getattr(cause, "stderr", "")))
        if said:
            return said[0]
        cause = cause.__cause__ or cause.__context__
    return first_line(error)


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


def _walk(key: str, files: Any, root: str) -> Iterator[tuple[str, int, tuple[str, bool]]]:
    """Relative name, size, and (path, whether DVC tracks it) of all files below ``root``."""
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
                yield relative, info["size"] or 0, (path, not in_git)


def _open(key: str, files: Any, path: str, by_dvc: bool) -> IO[bytes]:
    where = "is tracked by DVC, and its remote does not give it" if by_dvc else "cannot be read"
    with _said_as(f"{key}: {path.lstrip('/')} {where}"):
        opened: IO[bytes] = files.open(path, "rb")
        return opened


def _refuse_pointer(key: str, name: str, content: bytes) -> None:
    if content.startswith(_LFS_POINTER):
        raise RepositoryError(
            f"{key}: {name} is a pointer of Git LFS, and the repository's server does not give its content"
        )


@contextmanager
def _photographs(key: str, settings: RepositoryParams, files: Any) -> Iterator[tuple[Archive, bool]]:
    """The pictures at ``path``, and whether several at a time may be read."""
    root = f"/{settings.path.strip('/')}".removesuffix("/.")
    with _said_as(f"{key}.path: {settings.path} is not in {settings.repo} at revision {settings.rev}"):
        info = files.info(root or "/", ignore_subrepos=False)
    in_git = info.get("fs_info")
    if in_git and stat.S_ISLNK(in_git.get("mode", 0)):
        raise ArchiveError(f"{key}.path: {settings.path} is a link, refused")
    if info["type"] == "directory":
        with _said_as(f"{key}: the list of {settings.path} cannot be read, is the remote of DVC there?"):
            members = list(_walk(key, files, root or "/"))
        archive = archive_of(Path(key), members, lambda member: _open(key, files, *member))
        yield archive, all(by_dvc for _, _, (_, by_dvc) in members)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / Path(root).name
        if (info["size"] or 0) > MAX_BYTES:
            raise RepositoryError(
                f"{key}: {settings.path} has {info['size']} bytes, expected at most {MAX_BYTES}"
            )
        with (
            _said_as(f"{key}: {settings.path} cannot be read"),
            _open(key, files, root, not in_git) as source,
            copy.open("wb") as target,
        ):
            shutil.copyfileobj(source, target, 1 << 20)
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
            hold, is not to be had, or ``rev`` is a branch or otherwise moves.
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
