"""The curation stage: for each GAN a list of the training fakes to learn from, and their quality."""

from __future__ import annotations

from typing import Any

import numpy as np

from fakeface.atomic import atomic_directory
from fakeface.curation.kept import LISTED
from fakeface.data.folders import Folders
from fakeface.data.imageset import ImageSet
from fakeface.params import Params


def curate(params: Params, folders: Folders) -> dict[str, Any]:
    """Write ``curated/<gan>.csv`` with name and sha256 of each training fake that is kept, in their order.

    Args:
        params: ``curation`` and ``quality`` count.
        folders: only training splits are looked at; ``curated`` appears whole or not at all.

    Returns:
        ``method`` and by GAN ``n_before`` and ``n_after``; with a method, ``before`` and ``after``, blocks of
        :func:`fakeface.quality.compare.compare` of the training fakes against the training photographs.

    Raises:
        CurationError: if there are too few photographs or fakes for the method.
    """
    method = params.curation.method
    figures: dict[str, Any] = {}
    chooser = None
    if method != "none":
        # torch and torch-fidelity take seconds to import, and without a method nothing needs them.
        from fakeface.curation.chooser import Chooser
        from fakeface.runtime import make_fabric

        chooser = Chooser(params, ImageSet.read(folders.real / "train").images, make_fabric(params).device)
    with atomic_directory(folders.curated) as folder:
        for gan in params.gans:
            fakes = ImageSet.read(folders.fake / gan / "train")
            keep = np.ones(len(fakes), dtype=bool)
            figures[gan] = {"n_before": len(fakes), "n_after": len(fakes)}
            if chooser is not None:
                keep, quality = chooser.choose(gan, fakes.images)
                figures[gan] = {"n_before": len(fakes), "n_after": int(keep.sum()), **quality}
            fakes.manifest.loc[keep, LISTED].to_csv(folder / f"{gan}.csv", index=False, lineterminator="\n")
    return {"method": method, "gans": figures}
