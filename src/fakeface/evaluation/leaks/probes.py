"""The image sets of an experiment, as the probes look at them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
from tqdm import tqdm

from fakeface.data.archives import open_archive
from fakeface.data.faces import FaceFinder, temporary_face_model
from fakeface.data.image_sets import SPLITS, ImageSet, ImageSetError, Split, evenly_spaced
from fakeface.data.laundering import launder
from fakeface.data.sources import IMAGES_ARCHIVE
from fakeface.evaluation.leaks.duplicates import (
    count_near,
    equal_pixels,
    identities_across_splits,
    near_duplicates,
)
from fakeface.evaluation.leaks.metadata import RECORD_COLUMNS, metadata_probe, storage_probe
from fakeface.evaluation.leaks.route import (
    PROBE_KEY,
    fakes_route,
    native_squares,
    pixel_change,
    route_probe,
    shuffled_labels_probe,
)
from fakeface.params import Params, ProtocolName


@dataclass(frozen=True)
class ProbedData:
    """Every image set of an experiment.

    Attributes:
        raw: folder of the downloaded photographs.
        real: photographs by split.
        fake: the fakes of each GAN by split.
    """

    raw: Path
    real: dict[Split, ImageSet]
    fake: dict[str, dict[Split, ImageSet]]

    @classmethod
    def read(cls, raw: Path, real_dir: Path, fake_dir: Path, gans: Sequence[str]) -> ProbedData:
        """Open the sets; pixels are mapped, not loaded.

        Raises:
            ImageSetError: if a set is missing or damaged.
        """

        def splits(folder: Path) -> dict[Split, ImageSet]:
            return {split: ImageSet.read(folder / split) for split in SPLITS}

        return cls(raw, splits(real_dir), {gan: splits(fake_dir / gan) for gan in gans})

    def sets(self) -> Iterator[tuple[Split, str, ImageSet]]:
        """Split, source and set of each; the source of photographs is ``real``."""
        for source, by_split in [("real", self.real), *self.fake.items()]:
            for split, part in by_split.items():
                yield split, source, part

    def photographs(self, count: int) -> tuple[np.ndarray, pd.DataFrame]:
        """At most ``count`` of all splits, evenly spaced: uint8 (N, S, S, 3) and their manifest."""
        views = [image for part in self.real.values() for image in part.images]
        manifest = pd.concat([part.manifest for part in self.real.values()], ignore_index=True)
        rows = evenly_spaced(np.arange(len(views)), count)
        return np.stack([views[row] for row in rows]), manifest.iloc[rows]


# -------------------------------------------------------------------------------------------------
# All probes on the data of the pipeline: the figures of metrics/leaks.json.

# At most so many images of a class, evenly spaced. More would sharpen the figures and cost minutes:
# with 1,000 photographs the standard error of the route probe is 0.01, a fifth of the usual tolerance.
ROUTED = 1000
SHUFFLED = 500
MANIFEST_ROWS = 500
# Forests take long to grow, and a column that tells the class needs no more.
MANIFEST_FOLDS = 2


def _storage(params: Params, data: ProbedData) -> dict[str, Any]:  # noqa: ARG001
    return storage_probe({f"{source}/{split}": part for split, source, part in data.sets()})


def _metadata(params: Params, data: ProbedData) -> dict[str, Any]:
    """Each split on its own, because the shares of the splits differ between the classes by design.

    Images that a generator repeats count once: their common checksum would tell that they are fakes.
    """

    def rows(parts: Sequence[ImageSet]) -> pd.DataFrame:
        manifest = pd.concat([part.manifest for part in parts], ignore_index=True).drop_duplicates("sha256")
        return manifest.iloc[evenly_spaced(np.arange(len(manifest)), MANIFEST_ROWS)]

    return {
        split: metadata_probe(
            rows([data.real[split]]),
            rows([by_split[split] for by_split in data.fake.values()]),
            aside=RECORD_COLUMNS,
            folds=MANIFEST_FOLDS,
            seed=params.seed,
        )
        for split in SPLITS
    }


def _route(params: Params, data: ProbedData) -> dict[str, Any]:
    """From the downloaded photographs, so that what was done to the prepared ones alone shows, too.

    ``unscaled`` is what the way of the fakes does to photographs that are already small: nothing at all.
    """
    photographs, manifest = data.photographs(ROUTED)
    size = params.image_size
    with open_archive(data.raw / IMAGES_ARCHIVE) as archive, ExitStack() as stack:
        unknown = sorted(set(manifest["name"]) - set(archive.names))
        if unknown:
            raise ImageSetError(
                f"{archive.path}: lacks {unknown[0]}, which is among the prepared photographs"
            )
        aligned = params.data.align
        finder = FaceFinder(stack.enter_context(temporary_face_model())) if aligned else None
        squares = native_squares(archive, manifest["name"], size, finder)
        routed = fakes_route(squares, len(manifest), size)
    protocols = {name: getattr(params.protocols, name) for name in get_args(ProtocolName)}
    return {
        **route_probe(photographs, routed, protocols, halvings=params.leaks.halvings, seed=params.seed),
        "unscaled": pixel_change(photographs, fakes_route([photographs], len(photographs), size)),
    }


def _shuffled_labels(params: Params, data: ProbedData) -> dict[str, Any]:
    """Photographs and test fakes, evenly spread over the GANs, laundered."""
    real, _ = data.photographs(SHUFFLED)
    tests = [by_split["test"].images for by_split in data.fake.values()]
    fakes = [evenly_spaced(test, SHUFFLED // len(tests)) for test in tests]
    images = np.concatenate([real, *fakes])
    seeds = np.array([[params.seed, PROBE_KEY, 1, row] for row in range(len(images))])
    return shuffled_labels_probe(
        launder(images, [params.protocols.laundered], seeds),
        np.repeat([0, 1], [len(real), len(images) - len(real)]),
        seed=params.seed,
    )


def _equal_pixels(params: Params, data: ProbedData) -> dict[str, Any]:  # noqa: ARG001
    sets: dict[str, dict[str, ImageSet]] = {split: {} for split in SPLITS}
    for split, source, part in data.sets():
        sets[split][source] = part
    return equal_pixels(sets)


def _near_duplicates(params: Params, data: ProbedData) -> dict[str, Any]:  # noqa: ARG001
    """Of photographs, each pair with the ``names``; of the ``fakes`` of each GAN the number of pairs alone.

    A GAN of little variety makes near duplicates out of any latents; that is its quality, not a leak.
    """
    result = near_duplicates({split: part.images for split, part in data.real.items()})
    for pair in result["pairs"]:
        places = zip(pair["splits"], pair["rows"], strict=True)
        pair["names"] = [str(data.real[split].manifest["name"].iloc[row]) for split, row in places]
    fakes = {
        gan: count_near({split: part.images for split, part in by_split.items()})
        for gan, by_split in data.fake.items()
    }
    return result | {"fakes": fakes}


def _identities(params: Params, data: ProbedData) -> dict[str, Any]:  # noqa: ARG001
    return identities_across_splits({split: part.manifest for split, part in data.real.items()})


PROBES: dict[str, Callable[[Params, ProbedData], dict[str, Any]]] = {
    "storage": _storage,
    "metadata": _metadata,
    "route": _route,
    "shuffled_labels": _shuffled_labels,
    "equal_pixels": _equal_pixels,
    "near_duplicates": _near_duplicates,
    "identities": _identities,
}


def run_probes(params: Params, data: ProbedData) -> dict[str, dict[str, Any]]:
    """The figures of every probe by its name.

    Raises:
        ArchiveError, CorruptImageError: if the downloaded photographs cannot be read.
        ImageSetError: if they are not those that were prepared.
    """
    return {name: PROBES[name](params, data) for name in tqdm(PROBES, desc="leak probes", disable=None)}
