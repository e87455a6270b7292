"""Balanced batches as a pure function of the step number.

Nothing is carried from one step to the next, so a run that resumes at step n draws what an
uninterrupted run would have drawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from fakeface.base.hashes import random_stream
from fakeface.data.image_sets import Folders, ImageSet, LeakError, Split, check_source, check_split, kept_rows
from fakeface.params import Params

# The laps of a partner that is drawn at random are random, too.
_MANY = 2**31


class Drawn(NamedTuple):
    """Images of a batch: which rows, and how often each of them was drawn before, int64 (B,) both."""

    rows: np.ndarray
    laps: np.ndarray


class BalancedBatches:
    """Half real, half fake, the fakes spread evenly over their GANs.

    Each group (the reals, or one GAN) is walked through in a random order that is drawn anew
    each time it is used up.

    Args:
        groups: int (N,), 0 for real and 1, 2, ... for the GANs; every group must have a member.
        batch_size: even number of images a batch.
        seed: decides the orders.
    """

    def __init__(self, groups: np.ndarray, batch_size: int, seed: int) -> None:
        if batch_size < 2 or batch_size % 2:
            raise ValueError(f"batch_size must be an even number >= 2, got {batch_size}")
        count = int(groups.max()) + 1 if len(groups) else 0
        self._members = [np.flatnonzero(groups == group) for group in range(count)]
        empty = [group for group, members in enumerate(self._members) if not len(members)]
        if count < 2 or empty:
            raise ValueError(f"batches need real and fake images, got groups {count}, empty {empty}")
        self.half = batch_size // 2
        self.seed = seed
        self._orders: dict[int, tuple[int, np.ndarray]] = {}

    def _draw(self, group: int, position: int) -> tuple[int, int]:
        """Member number ``position`` of the endless walk through ``group``, and how often it came before."""
        members = self._members[group]
        lap, offset = divmod(position, len(members))
        if group not in self._orders or self._orders[group][0] != lap:
            order = random_stream("batches", self.seed, group, lap).permutation(members)
            self._orders[group] = (lap, order)
        return int(self._orders[group][1][offset]), lap

    def batch(self, step: int) -> Drawn:
        """Batch ``step``: ``batch_size`` rows, first the reals, then the fakes."""
        gans = len(self._members) - 1
        start = step * self.half
        reals = [self._draw(0, start + i) for i in range(self.half)]
        fakes = [self._draw(1 + (start + i) % gans, (start + i) // gans) for i in range(self.half)]
        return Drawn(*np.array(reals + fakes, dtype=np.int64).T)

    def pairs(self, step: int) -> tuple[Drawn, Drawn]:
        """The paper's random pairs: the rows of the two branches, ``batch_size`` each.

        Half of the pairs are of one class. The left branch is a balanced batch; its partner is a
        random image of the wanted class, a fake one of a random GAN.
        """
        rng = random_stream("pairs", self.seed, step)
        left = self.batch(step)
        left_fake = np.arange(len(left.rows)) >= self.half
        # Alternating keeps both classes and both kinds of pair at exactly one half each.
        same = np.arange(len(left.rows)) % 2 == 0
        right = np.empty_like(left.rows)
        for i, partner_fake in enumerate(left_fake == same):
            group = 1 + rng.integers(len(self._members) - 1) if partner_fake else 0
            members = self._members[group]
            right[i] = members[rng.integers(len(members))]
        return left, Drawn(right, rng.integers(_MANY, size=len(right)))


# Real and fake image sets joined for training and testing, with the rules that keep them apart.


@dataclass(frozen=True)
class DetectorData:
    """Images of one split from the photographs and several GANs.

    Attributes:
        sets: image sets in order, reals first.
        groups: int (N,), 0 for real, i + 1 for ``gans[i]``.
        manifest: the sets' manifests, one below the other.
        gans: names of the GANs.
    """

    sets: tuple[ImageSet, ...]
    groups: np.ndarray
    manifest: pd.DataFrame
    gans: tuple[str, ...]

    @property
    def labels(self) -> np.ndarray:
        """int64 (N,): fake = 1 = positive."""
        return (self.groups > 0).astype(np.int64)

    def __len__(self) -> int:
        return len(self.groups)

    def images(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """uint8 (len(rows), H, W, 3), gathered from the memory maps."""
        rows = np.asarray(rows, dtype=np.int64)
        if not len(rows):
            return np.empty((0, *self.sets[0].images.shape[1:]), dtype=np.uint8)
        part_of = np.searchsorted(self._starts, rows, side="right") - 1
        return np.stack(
            [self.sets[p].images[r - self._starts[p]] for p, r in zip(part_of, rows, strict=True)]
        )

    @cached_property
    def _starts(self) -> np.ndarray:
        return np.cumsum([0] + [len(part) for part in self.sets])

    @cached_property
    def _contents(self) -> dict[int, bytes]:
        return {}

    def content(self, row: int) -> bytes:
        """SHA-256 of an image's pixels: computed from them, whatever the manifest says."""
        if row not in self._contents:
            self._contents[row] = hashlib.sha256(self.images([row])[0].tobytes()).digest()
        return self._contents[row]

    def thinned(self, photographs: int | None, fakes: int | None) -> DetectorData:
        """At most so many photographs, and fakes a GAN, evenly spaced; None for all. Pixels are copied."""
        limits = [photographs, *[fakes] * len(self.gans)]
        if all(limit is None or limit >= len(part) for limit, part in zip(limits, self.sets, strict=True)):
            return self
        sets = []
        for part, limit in zip(self.sets, limits, strict=True):
            count = len(part) if limit is None else min(limit, len(part))
            rows = np.arange(count) * len(part) // max(count, 1)
            sets.append(ImageSet(part.images[rows], part.manifest.iloc[rows].reset_index(drop=True)))
        return _joined(sets, self.gans)


def load_split(real_dir: Path, fake_dir: Path, gans: Sequence[str], split: Split) -> DetectorData:
    """Photographs and the named GANs' images of one split; no other folder is touched.

    Args:
        real_dir: folder with one image set a split.
        fake_dir: folder with ``<gan>/<split>`` image sets.
        gans: which GANs, in order; those left out are not even opened.
        split: ``train``, ``val`` or ``test``.

    Raises:
        LeakError: if a set holds images of another split or GAN.
        ImageSetError: if a set is missing or damaged.
    """
    folders: list[tuple[Path, str | None]] = [(Path(real_dir) / split, None)]
    folders += [(Path(fake_dir) / gan / split, gan) for gan in gans]
    sets = []
    for folder, source in folders:
        part = ImageSet.read(folder)
        check_split(part, source, split, folder, gans)
        sets.append(part)
    return _joined(sets, tuple(gans))


def load_training(folders: Folders, gans: Sequence[str]) -> DetectorData:
    """The training split of :func:`load_split` without the fakes that are not kept.

    Pixels are copied only of a GAN of which some are not kept.

    Raises:
        CurationError: if there is no list, or it does not fit.
        LeakError, ImageSetError: as there.
    """
    data = load_split(folders.real, folders.fake, gans, "train")
    sets = [data.sets[0]]
    for gan, part in zip(data.gans, data.sets[1:], strict=True):
        keep = kept_rows(part.manifest, gan, folders.curated)
        if not keep.all():
            part = ImageSet(part.images[keep], part.manifest[keep].reset_index(drop=True))
        sets.append(part)
    return _joined(sets, data.gans)


def refuse_held_out(data: DetectorData, params: Params) -> None:
    """Refuse data that holds an image of a GAN that ``params`` does not train on, under whatever name.

    Raises:
        LeakError: naming the GANs, or the first image whose manifest says that it was made by another one.
    """
    unexpected = set(data.gans) - set(params.training_gans)
    if unexpected:
        raise LeakError(f"held-out GANs in training data: {sorted(unexpected)}")
    for part, source in zip(data.sets, (None, *data.gans), strict=True):
        check_source(part, source, "training data", params.gans)


def _joined(sets: Sequence[ImageSet], gans: tuple[str, ...]) -> DetectorData:
    groups = np.concatenate([np.full(len(part), group) for group, part in enumerate(sets)])
    manifest = pd.concat([part.manifest for part in sets], ignore_index=True)
    return DetectorData(tuple(sets), groups, manifest, gans)
