"""Image sets of other people, prepared as a detector sees pictures."""

from __future__ import annotations

import logging
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from fakeface.base.errors import FakefaceError
from fakeface.data.archives import open_archive
from fakeface.data.faces import CELEBA, Framing, temporary_face_model
from fakeface.data.image_sets import ImageSet
from fakeface.data.workers import Prepared, Rejected, default_workers, prepare_all
from fakeface.detector.batches import DetectorData

logger = logging.getLogger(__name__)

LISTED = 5


class ExternalSetError(FakefaceError, ValueError):
    """An image set cannot be judged; the message names it."""


@dataclass(frozen=True)
class PreparedSet:
    """Pictures of one set as the detector sees them.

    Attributes:
        name: of the set.
        images: uint8 (N, S, S, 3).
        files: for each ``name`` below the set's path, ``file_sha256``, ``width`` and ``height`` in pixels,
            ``file_bytes`` and ``jpeg_step``, see :class:`fakeface.data.workers.Prepared`.
        rejected: what was left out, and why.
    """

    name: str
    images: np.ndarray
    files: pd.DataFrame
    rejected: tuple[Rejected, ...]

    def as_data(self) -> DetectorData:
        """The images as one group of a test split."""
        manifest = self.files[["name"]].assign(
            source=self.name, split="test", sha256=self.files["file_sha256"]
        )
        part = ImageSet(self.images, manifest)
        return DetectorData((part,), np.zeros(len(part), dtype=np.int64), manifest, ())


def prepare_set(
    name: str, path: str | Path, image_size: int, *, align: bool, framing: Framing = CELEBA
) -> PreparedSet:
    """Decode and prepare all pictures of a folder, zip or tar; what cannot be used is named and left out.

    Args:
        name: of the set, for messages.
        path: where it is.
        image_size: side of the prepared pictures.
        align: find the largest face of each picture first, and lay it over ``framing``.

    Raises:
        ArchiveError: if there is nothing at ``path``, or it holds no picture.
        ExternalSetError: if none of its pictures can be used.
    """
    kept: list[Prepared] = []
    rejected: list[Rejected] = []
    with open_archive(Path(path)) as archive, ExitStack() as stack:
        model = stack.enter_context(temporary_face_model()) if align else None
        workers = default_workers(len(archive), align)
        found = stack.enter_context(closing(prepare_all(archive, image_size, workers, model, framing)))
        for photograph in tqdm(found, desc=name, total=len(archive), unit="photo", disable=None):
            if isinstance(photograph, Rejected):
                logger.warning("%s: %s: left out, %s", name, photograph.name, photograph.reason)
                rejected.append(photograph)
            else:
                kept.append(photograph)
    if not kept:
        reasons = "; ".join(f"{item.name}: {item.reason}" for item in rejected[:LISTED])
        raise ExternalSetError(f"{name}: {path}: none of {len(rejected)} pictures can be used: {reasons}")
    columns = ("name", "file_sha256", "width", "height", "file_bytes", "jpeg_step")
    files = pd.DataFrame([[getattr(item, column) for column in columns] for item in kept], columns=columns)
    return PreparedSet(name, np.stack([item.pixels for item in kept]), files, tuple(rejected))
