"""Balanced batches as a pure function of the step number.

Nothing is carried from one step to the next, so a run that resumes at step n draws what an
uninterrupted run would have drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from fakeface.data.collect import kept_rows
from fakeface.data.corruptions import random_corruption
from fakeface.data.image_sets import Folders, ImageSet, LeakError, Split, check_source, check_split
from fakeface.data.laundering import launder
from fakeface.data.pseudo_fakes import pseudo_fake
from fakeface.params import Params, ProtocolParams


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

    def _draw(self, group: int, position: int) -> int:
        """Member number ``position`` of the endless walk through ``group``."""
        members = self._members[group]
        lap, offset = divmod(position, len(members))
        if group not in self._orders or self._orders[group][0] != lap:
            rng = np.random.default_rng([self.seed, group, lap])
            self._orders[group] = (lap, rng.permutation(members))
        return int(self._orders[group][1][offset])

    def batch(self, step: int) -> np.ndarray:
        """Rows of batch ``step``: int64 (batch_size,), first the reals, then the fakes."""
        gans = len(self._members) - 1
        start = step * self.half
        reals = [self._draw(0, start + i) for i in range(self.half)]
        fakes = [self._draw(1 + (start + i) % gans, (start + i) // gans) for i in range(self.half)]
        return np.array(reals + fakes, dtype=np.int64)

    def pairs(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """The paper's random pairs: rows of the two branches, int64 (batch_size,) each.

        Half of the pairs are of one class. The left branch is a balanced batch; its partner is a
        random image of the wanted class, a fake one of a random GAN.
        """
        rng = np.random.default_rng([self.seed, 2**31, step])
        left = self.batch(step)
        left_fake = np.arange(len(left)) >= self.half
        # Alternating keeps both classes and both kinds of pair at exactly one half each.
        same = np.arange(len(left)) % 2 == 0
        right = np.empty_like(left)
        for i, partner_fake in enumerate(left_fake == same):
            group = 1 + rng.integers(len(self._members) - 1) if partner_fake else 0
            members = self._members[group]
            right[i] = members[rng.integers(len(members))]
        return left, right


# -------------------------------------------------------------------------------------------------
# Real and fake image sets joined for training and testing, with the rules that keep them apart.

# Keep the draws of these apart from each other and from those of laundering.
MIRROR_KEY, PSEUDO_KEY, CORRUPT_KEY, CROP_KEY = 2**30, 2**30 + 1, 2**30 + 2, 2**30 + 3


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
        starts = np.cumsum([0] + [len(part) for part in self.sets])
        part_of = np.searchsorted(starts, rows, side="right") - 1
        return np.stack([self.sets[p].images[r - starts[p]] for p, r in zip(part_of, rows, strict=True)])

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

    def laundered(
        self,
        rows: np.ndarray,
        protocols: Sequence[ProtocolParams],
        key: Sequence[int],
        *,
        mirror: bool = False,
        pseudo_fakes: float = 0.0,
        corrupted: float = 0.0,
        places: np.ndarray | None = None,
    ) -> np.ndarray:
        """Images of ``rows``, each through one of the chains; its draws depend on ``key`` and the row.

        Args:
            rows: which images.
            protocols: the chains.
            key: what the draws depend on besides the row.
            mirror: turn every second image on average left to right first, for training.
            pseudo_fakes: share of the fakes among ``rows`` in whose place pseudo-fakes of photographs among
                ``rows`` come, for training; see :mod:`fakeface.data.pseudo_fakes`.
            corrupted: probability of corruption before the chain, for training; see
                :mod:`fakeface.data.corruptions`.
            places: which of ``rows`` to give, where others are another process's; None for all. They come
                out as they would among all.

        Returns:
            uint8 (len(places), H, W, 3).
        """
        count = len(rows)
        places = np.arange(count) if places is None else places
        images = self.images(rows[places])
        if pseudo_fakes:
            self._put_pseudo_fakes(images, rows, places, pseudo_fakes, [*key, PSEUDO_KEY])
        if mirror:
            turned = np.random.default_rng([*key, MIRROR_KEY]).random(count)[places] < 0.5
            images[turned] = images[turned, :, ::-1]
        rows = rows[places]
        if corrupted:
            for number, row in enumerate(rows):
                rng = np.random.default_rng([*key, CORRUPT_KEY, row])
                if rng.random() < corrupted:
                    images[number] = random_corruption(images[number], rng)
        seeds = np.column_stack([np.tile(np.asarray(key, dtype=np.int64), (len(rows), 1)), rows])
        return launder(images, protocols, seeds)

    def _put_pseudo_fakes(
        self, images: np.ndarray, rows: np.ndarray, places: np.ndarray, share: float, key: list[int]
    ) -> None:
        rng = np.random.default_rng(key)
        photographs, fakes = (rng.permutation(np.flatnonzero(self.labels[rows] == label)) for label in (0, 1))
        count = min(round(share * len(fakes)), len(photographs))
        number_of = {place: number for number, place in enumerate(places)}
        for photograph, place in zip(photographs[:count], fakes[:count], strict=True):
            if place in number_of:
                own = np.random.default_rng([*key, place])
                images[number_of[place]] = pseudo_fake(self.images(rows[[photograph]])[0], own)


def random_crops(
    images: np.ndarray,
    side: int,
    key: Sequence[int],
    places: np.ndarray | None = None,
    count: int | None = None,
) -> np.ndarray:
    """A square of each image at a random place, for training: traces are everywhere, faces are not.

    Args:
        images: uint8 (B, H, W, 3).
        side: of the squares in pixels, at most H and W.
        key: what the draws depend on.
        places: of ``images`` in their batch, where others are another process's; None if these are all.
        count: images of that batch.

    Returns:
        uint8 (B, side, side, 3).
    """
    _, height, width, _ = images.shape
    rng = np.random.default_rng([*key, CROP_KEY])
    places = np.arange(len(images)) if places is None else places
    tops = rng.integers(height - side + 1, size=count or len(images))[places]
    lefts = rng.integers(width - side + 1, size=count or len(images))[places]
    return np.stack(
        [
            image[top : top + side, left : left + side]
            for image, top, left in zip(images, tops, lefts, strict=True)
        ]
    )


def to_input(images: np.ndarray, device: torch.device) -> torch.Tensor:
    """uint8 (B, H, W, 3) to the networks' float32 (B, 3, H, W) in [-1, 1]."""
    x = torch.from_numpy(images).to(device, non_blocking=True)
    return x.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


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
