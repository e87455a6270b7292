"""Does every image of a set belong there? Manifests say which split and which source an image is of."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from fakeface.data.imageset import ImageSet
from fakeface.data.splits import Split
from fakeface.errors import FakefaceError


class LeakError(FakefaceError, ValueError):
    """An image is where it must not be; the message names it."""


def check_source(part: ImageSet, source: str | None, where: str | Path, gans: Collection[str] = ()) -> None:
    """Refuse a set that holds an image of another source.

    Args:
        part: the set.
        source: the GAN that made it; None for photographs, whose source may be anything but one of ``gans``.
        where: what the message calls it.
        gans: names that no photograph may have as its source.

    Raises:
        LeakError: naming the first offending image.
    """
    made_by = part.manifest["source"]
    wrong = part.manifest[made_by.isin(list(gans)) if source is None else made_by != source]
    if len(wrong):
        row = wrong.iloc[0]
        expected = "a photograph" if source is None else repr(source)
        raise LeakError(f"{where}: {row['name']} was made by {row['source']!r}, expected {expected}")


def check_split(
    part: ImageSet, source: str | None, split: Split, folder: Path, gans: Collection[str] = ()
) -> None:
    """Refuse a set that holds an image of another split, or of another source (see :func:`check_source`).

    Raises:
        LeakError: naming the folder and the first offending image.
    """
    wrong = part.manifest[part.manifest["split"] != split]
    if len(wrong):
        row = wrong.iloc[0]
        raise LeakError(f"{folder}: {row['name']} belongs to split {row['split']!r}, expected {split!r}")
    check_source(part, source, folder, gans)
