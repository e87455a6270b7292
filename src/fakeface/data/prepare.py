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
from fakeface.data.archives import Archive, open_archive
from fakeface.data.faces import FRAMINGS, temporary_face_model
from fakeface.data.image_sets import SPLITS, ImageSetWriter, Split
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


class _Sorter:
    """Puts prepared photographs into the sets of their splits; counts what is left out and says why."""

    def __init__(
        self, writers: dict[Split, ImageSetWriter], source: str, raw: Path, split_of: dict[str, Split]
    ):
        self.writers, self.source, self.split_of = writers, source, split_of
        self.identities = read_identities(raw / IDENTITY_FILE)
        self.rejected: list[Rejected] = []
        self.n_duplicates = 0
        # Names of the photographs that were kept, by the bytes of the file and by those of the pixels.
        self._kept: dict[bytes, str] = {}

    def put(self, photograph: Prepared | Rejected) -> None:
        if isinstance(photograph, Rejected):
            logger.warning("%s: left out, %s", photograph.name, photograph.reason)
            self.rejected.append(photograph)
            return
        name = photograph.name
        keys = (bytes.fromhex(photograph.file_sha256), bytes.fromhex(photograph.sha256))
        if twin := next((self._kept[key] for key in keys if key in self._kept), None):
            logger.info("%s: left out, the same photograph as %s", name, twin)
            self.n_duplicates += 1
            return
        self._kept.update(dict.fromkeys(keys, name))
        split, identity = self.split_of[name], self.identities.get(PurePosixPath(name).name, "")
        size = (photograph.width, photograph.height)
        row = (name, self.source, photograph.sha256, split, *size, photograph.file_sha256, identity)
        self.writers[split].append(photograph.pixels, row)

    def counts(self, archive: Archive, limit: float) -> dict[str, int]:
        """How many photographs went where; PrepareError if too many are unusable or a split is empty."""
        total, rejected = len(archive), self.rejected
        if len(rejected) > limit * total:
            shown = [f"  {item.name}: {item.reason}" for item in rejected[:_NAMED_IN_ERROR]]
            if len(rejected) > _NAMED_IN_ERROR:
                shown.append(f"  and {len(rejected) - _NAMED_IN_ERROR} more")
            raise PrepareError(
                f"{archive.path}: {len(rejected)} of {total} photographs cannot be used, "
                f"more than data.max_corrupt_fraction = {limit} allows:\n" + "\n".join(shown)
            )
        written = {split: len(writer) for split, writer in self.writers.items()}
        if empty := [split for split, count in written.items() if count == 0]:
            raise PrepareError(
                f"{archive.path}: no photograph for {' and '.join(empty)} among {sum(written.values())}, "
                "give more photographs or larger data.splits"
            )
        kinds = Counter(item.kind for item in rejected)
        return {
            "n_photographs": total,
            **{f"n_{split}": count for split, count in written.items()},
            **{f"n_{kind}": kinds[kind] for kind in ("corrupt", "too_small", "without_face")},
            "n_duplicates": self.n_duplicates,
        }


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
    raw, size, data = Path(raw), params.image_size, params.data
    source = _read_source(raw, params)
    with open_archive(raw / IMAGES_ARCHIVE) as archive, atomic_directory(out) as folder, ExitStack() as stack:
        split_of = assign_splits(archive.names, raw, data.splits)
        writers = {
            split: stack.enter_context(ImageSetWriter(folder / split, size, COLUMNS)) for split in SPLITS
        }
        sorter = _Sorter(writers, source, raw, split_of)
        workers = workers or default_workers(len(archive), data.align)
        face_model = stack.enter_context(temporary_face_model()) if data.align else None
        prepared = stack.enter_context(
            closing(prepare_all(archive, size, workers, face_model, FRAMINGS[data.framing]))
        )
        for photograph in tqdm(prepared, desc="prepare", total=len(archive), unit="photo", disable=None):
            sorter.put(photograph)
        return {"source": source, **sorter.counts(archive, data.max_corrupt_fraction)}
