"""Features of every split for attribution, computed once, and the heads fitted on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from lightning_fabric import Fabric
from tqdm import tqdm

from fakeface.attribution.features import attribution_features
from fakeface.attribution.head import AttributionHead, fit_head
from fakeface.data.folders import Folders
from fakeface.detector.dataset import DetectorData, load_split, load_training
from fakeface.detector.features import FeatureNetwork
from fakeface.params import PROTOCOLS, Params, ProtocolParams

# Keep the random draws apart from those of trainings and tests of the detector.
TRAIN_KEY, VAL_KEY, TEST_KEY = 31, 32, 33
# Fakes a GAN, at most: more would only cost time.
TRAIN_IMAGES, VAL_IMAGES, TEST_IMAGES = 1500, 300, 500
BATCH = 200


@dataclass(frozen=True)
class Features:
    """Of some fakes.

    Attributes:
        embedding: float32 (N, feature_dim), what pairs learnt.
        levels: float32 (N, L), the backbone's own.
        gans: int64 (N,), indices into the params' GANs.
    """

    embedding: np.ndarray
    levels: np.ndarray
    gans: np.ndarray

    def of(self, kind: str) -> np.ndarray:
        """``embedding``, ``levels``, or ``joint`` for both."""
        if kind == "joint":
            return np.hstack([self.embedding, self.levels])
        return self.embedding if kind == "embedding" else self.levels


@dataclass(frozen=True)
class AttributionData:
    """Features of all splits; ``test`` by protocol."""

    train: Features
    val: Features
    test: dict[str, Features]


def extract(
    cffn: FeatureNetwork,
    data: DetectorData,
    chains: list[ProtocolParams],
    key: list[int],
    fabric: Fabric,
    limit: int,
) -> Features:
    """Features of at most ``limit`` fakes a GAN, each through one of the chains."""
    rows = np.concatenate(
        [
            found[np.arange(min(limit, len(found))) * len(found) // max(1, min(limit, len(found)))]
            for found in (np.flatnonzero(data.groups == index + 1) for index in range(len(data.gans)))
        ]
    )
    parts = []
    for start in tqdm(range(0, len(rows), BATCH), desc="attribution", disable=None):
        images = data.laundered(rows[start : start + BATCH], chains, key)
        parts.append(attribution_features(cffn, images, fabric.device))
    embedding, levels = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Features(embedding, levels, data.groups[rows] - 1)


def attribution_data(
    params: Params, cffn: FeatureNetwork, folders: Folders, fabric: Fabric
) -> AttributionData:
    """Features of fakes of all GANs, of the training's those that are kept.

    Training and validation draw one of the protocols for each image.
    """
    cffn = cffn.to(fabric.device).eval()
    gans = list(params.gans)
    chains = [getattr(params.protocols, name) for name in PROTOCOLS]
    seed = params.seed
    splits = {split: load_split(folders.real, folders.fake, gans, split) for split in ("val", "test")}
    splits["train"] = load_training(folders, gans)
    return AttributionData(
        extract(cffn, splits["train"], chains, [seed, TRAIN_KEY], fabric, TRAIN_IMAGES),
        extract(cffn, splits["val"], chains, [seed, VAL_KEY], fabric, VAL_IMAGES),
        {
            name: extract(cffn, splits["test"], [chain], [seed, TEST_KEY, number], fabric, TEST_IMAGES)
            for number, (name, chain) in enumerate(zip(PROTOCOLS, chains, strict=True))
        },
    )


def head_for(data: AttributionData, kind: str, names: list[str], known: list[str]) -> AttributionHead:
    """A head that knows only some GANs.

    Args:
        data: features.
        kind: see :meth:`Features.of`.
        names: of all GANs, as the features number them.
        known: the ones that the head may learn.
    """
    place = np.full(len(names), -1)
    place[[names.index(gan) for gan in known]] = np.arange(len(known))

    def part(features: Features) -> tuple[np.ndarray, np.ndarray]:
        rows = place[features.gans] >= 0
        return features.of(kind)[rows], place[features.gans[rows]]

    return fit_head(*part(data.train), *part(data.val), tuple(known))
