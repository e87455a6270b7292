"""CelebA's own tables: which photograph is in which split and shows which person."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from fakeface.data.splits import Split, hash_split
from fakeface.errors import FakefaceError
from fakeface.params import SplitParams

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
    for name, key in keys.items():
        if key not in identities:
            continue
        other = first.setdefault(identities[key], name)
        if splits[other] != splits[name]:
            raise PartitionError(
                f"{raw / PARTITION_FILE}: identity {identities[key]} is in two splits: "
                f"{other} ({splits[other]}) and {name} ({splits[name]})"
            )
    return splits
