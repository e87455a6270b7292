"""Curated fakes: for each GAN a list of the training fakes to learn from, and their quality before and after.

A choice knows one GAN's fakes and the photographs, never another GAN: a GAN that is left out of a fold has no
say in what the others' fakes are.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial.distance import cdist

from fakeface.base.files import atomic_directory
from fakeface.data.image_sets import LISTED, CurationError, Folders, ImageSet, evenly_spaced
from fakeface.params import Params

# PyTorch, torch-fidelity and scikit-learn take seconds to import. They are imported by the methods that use
# them, because the default, no method, needs none.
if TYPE_CHECKING:
    import torch

    from fakeface.metrics.extractors import Features

_CHUNK = 512
PROBE_FOLDS = 5
# Of photographs, this share has another one nearer than two fakes may be to each other.
CLOSENESS = 0.01


def neighbour_distances(x: np.ndarray, k: int) -> np.ndarray:
    """Euclidean distance of each row of float (N, D) to its k-th nearest other, N above k: float64 (N,)."""
    # The nearest of all is the row itself, at distance zero.
    parts = [np.partition(cdist(part, x), k, axis=1)[:, k] for part in _chunks(x)]
    return np.concatenate(parts)


def realism(fake: np.ndarray, real: np.ndarray, k: int) -> np.ndarray:
    """Realism score: above 1 lies a fake within the neighbourhood of a photograph, the higher the deeper.

    The largest ratio, over photographs, of the radius of a photograph's neighbourhood (distance to its k-th
    nearest other) to its distance from the fake; the half of the photographs with the largest radii is left
    out (Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models", NeurIPS
    2019, equation 3).

    Args:
        fake: float (N, D).
        real: float (M, D), M above ``k``.
        k: of the neighbourhoods.

    Returns:
        float64 (N,); infinite for a fake with the features of a photograph.
    """
    radii = neighbour_distances(real, k)
    kept = radii <= np.median(radii)
    radii, real = radii[kept], real[kept]
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.nanmax(radii / cdist(part, real), axis=1) for part in _chunks(fake)]
    return np.concatenate(parts)


def probe_scores(fake: np.ndarray, real: np.ndarray, seed: int) -> np.ndarray:
    """How fake each fake looks to a logistic regression that was fitted without it, float64 (N,) of log odds.

    ``fake`` (N, D) and ``real`` (M, D) are floats, N and M at least ``PROBE_FOLDS``; ``seed`` is the folds'.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = np.vstack([real, fake])
    labels = np.repeat([0, 1], [len(real), len(fake)])
    probe = make_pipeline(
        StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced", max_iter=1000)
    )
    folds = StratifiedKFold(PROBE_FOLDS, shuffle=True, random_state=seed)
    scores = cross_val_predict(probe, x, labels, cv=folds, method="decision_function")
    return np.asarray(scores[len(real) :])


def distinct(fake: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Which fakes to keep so that no two of them are nearer to each other than photographs are.

    Photographs say how near: all but the share ``CLOSENESS`` of them are farther from their nearest other. In
    order, a fake stays if it is at least that far from all that stay before it; so of a mode on which a GAN
    has collapsed, one stays, and so of an image that comes twice. Float (N, D) and (M, D), M at least 2, to
    bool (N,).
    """
    least = float(np.quantile(neighbour_distances(real, 1), CLOSENESS))
    kept: list[int] = []
    for start in range(0, len(fake), _CHUNK):
        part = fake[start : start + _CHUNK]
        far = (cdist(part, fake[kept]) >= least).all(axis=1)
        among = cdist(part, part)
        here: list[int] = []
        for row in np.flatnonzero(far):
            if (among[row, here] >= least).all():
                here.append(int(row))
        kept += [start + row for row in here]
    result = np.zeros(len(fake), dtype=bool)
    result[kept] = True
    return result


def highest(scores: np.ndarray, share: float) -> np.ndarray:
    """The ``share`` of the rows with the highest scores, at least one; bool (N,). Of equals the first."""
    count = max(1, round(share * len(scores)))
    result = np.zeros(len(scores), dtype=bool)
    result[np.argsort(-scores, kind="stable")[:count]] = True
    return result


def _chunks(x: np.ndarray) -> list[np.ndarray]:
    return [x[start : start + _CHUNK] for start in range(0, len(x), _CHUNK)]


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
        from fakeface.metrics.extractors import extract_once, open_extractor

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
        import torch

        from fakeface.metrics.extractors import extract, extract_once
        from fakeface.metrics.quality import compare_by

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
        before, after = (
            compare_by(self.params, self._extractor, part, self._photographs) for part in (features, kept)
        )
        return keep, {"before": before, "after": after}

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


def curate(params: Params, folders: Folders) -> dict[str, Any]:
    """Write ``curated/<gan>.csv`` with name and sha256 of each training fake that is kept, in their order.

    Args:
        params: ``curation`` and ``quality`` count.
        folders: only training splits are looked at; ``curated`` appears whole or not at all.

    Returns:
        ``method`` and by GAN ``n_before`` and ``n_after``; with a method, ``before`` and ``after``, blocks of
        :func:`fakeface.metrics.quality.compare` of the training fakes against the training photographs. Of
        a GAN that is ``test_only`` there are none: ``undefined`` says so in their place.

    Raises:
        CurationError: if there are too few photographs or fakes for the method.
    """
    method = params.curation.method
    figures: dict[str, Any] = {}
    chooser = None
    if method != "none":
        from fakeface.base.runtime import make_fabric

        chooser = Chooser(params, ImageSet.read(folders.real / "train").images, make_fabric(params).device)
    with atomic_directory(folders.curated) as folder:
        for gan in params.gans:
            fakes = ImageSet.read(folders.fake / gan / "train")
            keep = np.ones(len(fakes), dtype=bool)
            figures[gan] = {"n_before": len(fakes), "n_after": len(fakes)}
            if chooser is not None and params.gans[gan].test_only:
                figures[gan]["undefined"] = f"gans.{gan}.test_only: it has no training fakes to choose from"
            elif chooser is not None:
                keep, quality = chooser.choose(gan, fakes.images)
                figures[gan] = {"n_before": len(fakes), "n_after": int(keep.sum()), **quality}
            fakes.manifest.loc[keep, LISTED].to_csv(folder / f"{gan}.csv", index=False, lineterminator="\n")
    return {"method": method, "gans": figures}
