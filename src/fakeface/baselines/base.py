"""What the baselines share: their two types, the images that they train on, and scoring in batches.

A baseline sees the training split and nothing else: none of them picks a checkpoint, so validation is left
to the threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from lightning_fabric import Fabric
from tqdm import tqdm

from fakeface.detector.dataset import DetectorData, refuse_held_out
from fakeface.errors import FakefaceError
from fakeface.params import Params, ProtocolParams

# uint8 (N, S, S, 3) to float64 (N,): P(fake) in [0, 1]. Works in batches, so memory does not grow with N.
Scorer = Callable[[np.ndarray], np.ndarray]
# A scorer from the training split; the seed and the laundering are in the params.
Fit = Callable[[Params, DetectorData, Fabric], Scorer]
# uint8 (B, S, S, 3) to (B, D): the features of a baseline.
Describe = Callable[[np.ndarray], np.ndarray]

# Keeps the draws of the training views apart from those of the other trainings and of the test.
VIEWS_KEY = 6
BATCH = 256


class BaselineDataError(FakefaceError, ValueError):
    """A baseline cannot be trained on these images; the message says what is missing."""


def training_chains(params: Params) -> Sequence[ProtocolParams]:
    """The laundering chains of the training views: those of our own detector's training."""
    return params.augmentation


def balanced_weights(groups: np.ndarray) -> np.ndarray:
    """Weights with which each class counts one half and, among the fakes, each GAN the same.

    Args:
        groups: int (N,), 0 for real and 1, 2, ... for the GANs, each with a member.

    Returns:
        float64 (N,), positive, of sum 1.

    Raises:
        ValueError: if a group has no member, or there are no fakes.
    """
    sizes = _group_sizes(groups)
    gans = len(sizes) - 1
    share = np.array([0.5, *[0.5 / gans] * gans])
    return (share / sizes)[groups]


def balanced_subset(groups: np.ndarray, count: int) -> np.ndarray:
    """At most ``count`` rows, half of them real, the fakes spread evenly over the GANs.

    Members of a group are taken at equal distances. A group that is too small for its share is taken whole
    and leaves the rest to the others.

    Args:
        groups: int (N,) as in :func:`balanced_weights`.
        count: upper limit, at least twice the number of GANs so that each has a member.

    Returns:
        int64 (min(N, count),), ascending.

    Raises:
        ValueError: if a group has no member, there are no fakes, or ``count`` is too small.
    """
    sizes = _group_sizes(groups)
    least = 2 * (len(sizes) - 1)
    if count < least:
        raise ValueError(f"count must be at least {least} for {len(sizes) - 1} GANs, got {count}")
    real, fake = _even_shares(np.array([sizes[0], sizes[1:].sum()]), count)
    shares = [real, *_even_shares(sizes[1:], fake)]
    rows = []
    for group, share in enumerate(shares):
        members = np.flatnonzero(groups == group)
        rows.append(members[np.arange(share) * len(members) // share])
    return np.sort(np.concatenate(rows))


def _group_sizes(groups: np.ndarray) -> np.ndarray:
    """Members of each group, int64 (gans + 1,), none of them 0."""
    sizes = np.bincount(groups, minlength=2)
    if not sizes.all():
        raise ValueError(f"groups need real and fake images, got {sizes.tolist()} members")
    return sizes


def _even_shares(sizes: np.ndarray, total: int) -> np.ndarray:
    """``total`` divided evenly among parts, none of which gets more than its size; int64 like ``sizes``."""
    shares = np.zeros_like(sizes)
    # Smallest first: what a small part cannot take is then divided among all that can.
    for position, part in enumerate(np.argsort(sizes, kind="stable")):
        shares[part] = min(sizes[part], total // (len(sizes) - position))
        total -= int(shares[part])
    return shares


@dataclass(frozen=True)
class TrainingViews:
    """Laundered views of training images, in a fixed order.

    Attributes:
        data: the training split.
        chains: laundering chains; each view draws one of them.
        seed: of the draws.
        views: how many views an image has; a view's draws depend on its image and number alone.
        chosen: int64 (M,), ascending; ``views * i + v`` stands for view ``v`` of image ``i``.
    """

    data: DetectorData
    chains: Sequence[ProtocolParams]
    seed: int
    views: int
    chosen: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """int64 (M,): fake = 1."""
        return self.data.labels[self.chosen // self.views]

    @property
    def weights(self) -> np.ndarray:
        """float64 (M,), see :func:`balanced_weights`."""
        return balanced_weights(self.data.groups[self.chosen // self.views])

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(S, S, 3)"""
        return self.data.sets[0].images.shape[1:]

    def batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Positions in ``chosen``, int64 (B,), and their images, uint8 (B, S, S, 3); each position once."""
        for view in range(self.views):
            positions = np.flatnonzero(self.chosen % self.views == view)
            for start in range(0, len(positions), BATCH):
                batch = positions[start : start + BATCH]
                rows = self.chosen[batch] // self.views
                yield batch, self.data.laundered(rows, self.chains, [self.seed, VIEWS_KEY, view])

    def features(self, describe: Describe, name: str) -> np.ndarray:
        """Features of all views, float32 (M, D); ``name`` labels the progress bar."""
        width = describe(self.data.images([0])).shape[1]
        features = np.empty((len(self.chosen), width), dtype=np.float32)
        with tqdm(total=len(features), unit="img", desc=name, disable=None) as bar:
            for positions, images in self.batches():
                features[positions] = describe(images)
                bar.update(len(positions))
        return features


def training_views(params: Params, data: DetectorData, views: int, limit: int) -> TrainingViews:
    """At most ``limit`` views of the training images, ``views`` an image where they fit.

    Beyond the limit a balanced subset is taken (:func:`balanced_subset`): first fewer views of each image,
    then fewer images.

    Raises:
        LeakError: if the data holds images of a GAN that params holds out.
        BaselineDataError: if there are no photographs, no fakes, or a GAN has none.
    """
    refuse_held_out(data, params)
    sizes = np.bincount(data.groups, minlength=1 + len(data.gans))
    empty = [name for name, size in zip(("photographs", *data.gans), sizes, strict=True) if not size]
    if empty or not data.gans:
        raise BaselineDataError(
            f"training needs photographs and fakes of each GAN, got none of {', '.join(empty or ['any GAN'])}"
        )
    # All views of an image stand side by side, so that equal distances thin out views before images.
    chosen = balanced_subset(np.repeat(data.groups, views), limit)
    return TrainingViews(data, training_chains(params), params.seed, views, chosen)


def in_batches(image_shape: tuple[int, ...], probability: Scorer) -> Scorer:
    """A scorer for any number of images from one for few.

    Args:
        image_shape: (S, S, 3) of the training images; others are refused with a ValueError.
        probability: uint8 (B, S, S, 3) to float64 (B,), for 1 <= B <= :data:`BATCH`.
    """

    def score(images: np.ndarray) -> np.ndarray:
        if images.dtype != np.uint8 or images.shape[1:] != image_shape:
            expected = ", ".join(map(str, image_shape))
            raise ValueError(f"images must be uint8 (N, {expected}), got {images.dtype} {images.shape}")
        parts = [probability(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
        return np.concatenate([np.empty(0), *parts])

    return score
