"""Photographs to three image sets: preprocessed, split, free of duplicates."""

from __future__ import annotations

import json
import logging
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path, PurePosixPath
from typing import Any

from tqdm import tqdm

from fakeface.base.errors import FakefaceError
from fakeface.base.files import atomic_directory
from fakeface.data.archives import open_archive
from fakeface.data.faces import temporary_face_model
from fakeface.data.image_sets import SPLITS, ImageSetWriter
from fakeface.data.sources import IDENTITY_FILE, IMAGES_ARCHIVE, SOURCE_FILE, assign_splits, read_identities
from fakeface.data.workers import Prepared, Rejected, default_workers, prepare_all
from fakeface.params import Params

logger = logging.getLogger(__name__)

COLUMNS = ("name", "source", "sha256", "split", "width", "height", "file_sha256", "identity")
_NAMED_IN_ERROR = 10


class PrepareError(FakefaceError, ValueError):
    """The photographs cannot make up three splits; the message says which and why."""


def _read_source(raw: Path, params: Params) -> str:
    path = raw / SOURCE_FILE
    try:
        source = json.loads(path.read_text(encoding="utf-8"))["source"]
    except FileNotFoundError:
        raise PrepareError(f"{path}: no such file, run the download stage first") from None
    except (ValueError, KeyError, TypeError) as error:
        raise PrepareError(f"{path}: not a description of a download: {error!r}") from error
    if source != params.data.source:
        raise PrepareError(
            f"{path}: holds {source!r} but data.source is {params.data.source!r}, run the download stage"
        )
    return str(source)


class _Duplicates:
    """Remembers what was kept, by the bytes of the file and by the prepared pixels."""

    def __init__(self) -> None:
        self.count = 0
        self._kept: dict[bytes, str] = {}

    def is_new(self, photograph: Prepared) -> bool:
        """False, with a line in the log, if the same file or the same pixels were seen before."""
        keys = (bytes.fromhex(photograph.file_sha256), bytes.fromhex(photograph.sha256))
        for key in keys:
            if key in self._kept:
                logger.info("%s: left out, the same photograph as %s", photograph.name, self._kept[key])
                self.count += 1
                return False
        self._kept.update(dict.fromkeys(keys, photograph.name))
        return True


def _check_rejected(rejected: list[Rejected], total: int, limit: float, archive: Path) -> None:
    if len(rejected) <= limit * total:
        return
    shown = [f"  {item.name}: {item.reason}" for item in rejected[:_NAMED_IN_ERROR]]
    if len(rejected) > _NAMED_IN_ERROR:
        shown.append(f"  and {len(rejected) - _NAMED_IN_ERROR} more")
    raise PrepareError(
        f"{archive}: {len(rejected)} of {total} photographs cannot be used, "
        f"more than data.max_corrupt_fraction = {limit} allows:\n" + "\n".join(shown)
    )


def prepare(
    raw: str | Path, out: str | Path, params: Params, *, workers: int | None = None
) -> dict[str, Any]:
    """Write ``out/{train,val,test}``, which appear together or not at all.

    Splits follow CelebA's partition where ``raw`` has one, else a hash of the file name. Of photographs with
    the same bytes or the same prepared pixels, the first by name stays. Rows are in the order of their names.

    Args:
        raw: what the download stage wrote.
        out: folder of three image sets with the manifest columns ``COLUMNS``; width and height are those
            of the photograph in pixels, identity is empty where unknown.
        params: ``image_size`` and ``data`` count.
        workers: number of processes; default: by the number of photographs and cores.

    Returns:
        source, n_photographs, n_train, n_val, n_test, n_corrupt, n_too_small, n_without_face, n_duplicates;
        the last seven sum to n_photographs.

    Raises:
        PrepareError: if too many photographs are unusable or a split would be empty.
        PartitionError: if the official tables contradict the photographs or each other.
        ArchiveError: if the archive of photographs is missing or damaged.
    """
    raw = Path(raw)
    source = _read_source(raw, params)
    identities = read_identities(raw / IDENTITY_FILE)
    rejected: list[Rejected] = []
    duplicates = _Duplicates()
    with open_archive(raw / IMAGES_ARCHIVE) as archive, atomic_directory(out) as folder, ExitStack() as stack:
        split_of = assign_splits(archive.names, raw, params.data.splits)
        writers = {
            split: stack.enter_context(ImageSetWriter(folder / split, params.image_size, COLUMNS))
            for split in SPLITS
        }
        workers = workers or default_workers(len(archive), params.data.align)
        face_model = stack.enter_context(temporary_face_model()) if params.data.align else None
        prepared = prepare_all(archive, params.image_size, workers, face_model)
        results = stack.enter_context(closing(prepared))
        for photograph in tqdm(results, desc="prepare", total=len(archive), unit="photo", disable=None):
            if isinstance(photograph, Rejected):
                logger.warning("%s: left out, %s", photograph.name, photograph.reason)
                rejected.append(photograph)
            elif duplicates.is_new(photograph):
                split = split_of[photograph.name]
                identity = identities.get(PurePosixPath(photograph.name).name, "")
                writers[split].append(
                    photograph.pixels,
                    (
                        photograph.name,
                        source,
                        photograph.sha256,
                        split,
                        photograph.width,
                        photograph.height,
                        photograph.file_sha256,
                        identity,
                    ),
                )
        _check_rejected(rejected, len(archive), params.data.max_corrupt_fraction, archive.path)
        counts = {split: len(writer) for split, writer in writers.items()}
        empty = [split for split, count in counts.items() if count == 0]
        if empty:
            raise PrepareError(
                f"{archive.path}: no photograph for {' and '.join(empty)} among {sum(counts.values())}, "
                "give more photographs or larger data.splits"
            )
        total = len(archive)
    kinds = Counter(item.kind for item in rejected)
    return {
        "source": source,
        "n_photographs": total,
        **{f"n_{split}": count for split, count in counts.items()},
        "n_corrupt": kinds["corrupt"],
        "n_too_small": kinds["too_small"],
        "n_without_face": kinds["without_face"],
        "n_duplicates": duplicates.count,
    }
