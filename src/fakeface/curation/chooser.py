"""Features of a GAN's fakes, the choice among them, and quality before and after."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch

from fakeface.curation.kept import CurationError
from fakeface.curation.methods import PROBE_FOLDS, distinct, highest, probe_scores, realism
from fakeface.params import Params
from fakeface.quality.compare import compare
from fakeface.quality.extractors import open_extractor
from fakeface.quality.features import Features, evenly_spaced, extract, extract_once

# Features of as many fakes a GAN are kept in the cache, for another method or share; they take 100 MB.
REMEMBERED = 20_000


class Chooser:
    """Chooses by ``curation.method``, in the feature space that quality is measured in.

    Args:
        params: ``curation``, ``quality`` and ``seed`` count.
        photographs: uint8 (M, S, S, 3), at most ``quality.n_images`` of which are compared with.
        device: where features are computed.

    Raises:
        CurationError: if there are too few photographs.
    """

    def __init__(self, params: Params, photographs: np.ndarray, device: torch.device) -> None:
        settings = params.quality
        self.params = params
        self._extractor = open_extractor(settings.extractor, settings.weights, device)
        some = evenly_spaced(photographs, settings.n_images)
        self._least = max(settings.neighbourhood + 1, PROBE_FOLDS)
        if len(some) < self._least:
            raise CurationError(
                f"curation.method {params.curation.method!r} needs at least {self._least} training "
                f"photographs, got {len(some)}"
            )
        self._photographs = extract_once(self._extractor, some, settings.batch_size)

    def choose(self, gan: str, images: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        """Which of a GAN's fakes to keep, bool (N,), and ``before`` and ``after``, their quality.

        Raises:
            CurationError: if there are too few fakes, or too few are left to measure.
        """
        if len(images) < self._least:
            raise CurationError(f"{gan}: {len(images)} training fakes, expected at least {self._least}")
        compute = extract_once if len(images) <= REMEMBERED else extract
        features = compute(self._extractor, np.asarray(images), self.params.quality.batch_size)
        keep = self._keep(gan, features)
        left = int(keep.sum())
        if left <= self.params.quality.neighbourhood:
            raise CurationError(
                f"{gan}: curation.method {self.params.curation.method!r} leaves {left} of {len(images)} "
                f"training fakes, expected more than {self.params.quality.neighbourhood}"
            )
        kept = {name: tensor[torch.from_numpy(keep)] for name, tensor in features.items()}
        return keep, {"before": self._quality(features), "after": self._quality(kept)}

    def _keep(self, gan: str, features: Features) -> np.ndarray:
        layer = self._extractor.layers["prc"]
        fake, real = (part[layer].double().numpy() for part in (features, self._photographs))
        method, share, seed = self.params.curation.method, self.params.curation.keep, self.params.seed
        if method == "realism":
            return highest(realism(fake, real, self.params.quality.neighbourhood), share)
        if method == "hardest":
            return highest(-probe_scores(fake, real, seed), share)
        if method == "duplicates":
            return distinct(fake, real)
        # The control. A GAN's draw does not depend on which others there are.
        own = int.from_bytes(hashlib.sha256(gan.encode()).digest()[:4], "little")
        return highest(np.random.default_rng([seed, own]).random(len(fake)), share)

    def _quality(self, features: Features) -> dict[str, Any]:
        settings = self.params.quality
        return compare(
            self._extractor,
            features,
            self._photographs,
            kid_subset_size=settings.kid_subset_size,
            kid_subsets=settings.kid_subsets,
            neighbourhood=settings.neighbourhood,
            seed=self.params.seed,
        )
