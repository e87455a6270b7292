"""Which of the known GANs made a fake, or none of them: the head and its file.

Its features are those of :func:`fakeface.detector.detector.attribution_features`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fakeface.base.errors import FakefaceError
from fakeface.base.tensors import DetectorWeightsError, load_arrays, save_tensors

# The attribution head: one Gaussian a GAN, all of one shape, and a limit beyond which a fake is of none.
#
# Discriminant analysis with a common covariance, shrunk as in Ledoit and Wolf, "A well-conditioned estimator
# for large-dimensional covariance matrices", 2004. An image belongs to the GAN whose centre is nearest by
# Mahalanobis distance. It is of no known GAN if it is far from all of them (Lee et al., "A Simple Unified
# Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks", NeurIPS 2018), or about as
# near to a second one as to the nearest (Lowe, "Distinctive Image Features from Scale-Invariant Keypoints",
# 2004, has a ratio of distances for that). Both, as standard scores among validation fakes of known GANs, add
# up to one number.

UNKNOWN = "unknown"
# Share of validation fakes of known GANs that are called unknown.
REFUSED = 0.05


class AttributionError(FakefaceError, ValueError):
    """There is nothing to attribute to, or features do not fit the head."""


@dataclass(frozen=True)
class AttributionHead:
    """A fitted head.

    Attributes:
        gans: names of the K known GANs.
        whitening: float64 (F, F); whitened features have the identity as covariance within a GAN.
        centres: float64 (K, F), whitened.
        reference: float64 (2, 2), mean and standard deviation of the two parts of the unknown score.
        limit: an image whose unknown score is above is of no known GAN.
    """

    gans: tuple[str, ...]
    whitening: np.ndarray
    centres: np.ndarray
    reference: np.ndarray
    limit: float

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Squared Mahalanobis distances float64 (N, K) of features (N, F) to the GANs' centres."""
        if features.ndim != 2 or features.shape[1] != len(self.whitening):
            raise AttributionError(
                f"features must have shape (N, {len(self.whitening)}), got {features.shape}"
            )
        whitened = features.astype(np.float64) @ self.whitening
        return np.stack([np.square(whitened - centre).sum(axis=1) for centre in self.centres], axis=1)

    def unknown_scores(self, features: np.ndarray) -> np.ndarray:
        """float64 (N,), the higher, the less the image is like those of any known GAN."""
        mean, deviation = self.reference
        return ((unknown_parts(self.distances(features)) - mean) / deviation).sum(axis=1)

    def nearest(self, features: np.ndarray) -> np.ndarray:
        """int64 (N,), index of the most similar known GAN, however unlike it is."""
        return self.distances(features).argmin(axis=1)

    def names(self, features: np.ndarray) -> list[str]:
        """Name of the GAN that made each image, or :data:`UNKNOWN`."""
        known = self.unknown_scores(features) <= self.limit
        return [
            self.gans[index] if is_known else UNKNOWN
            for index, is_known in zip(self.nearest(features), known, strict=True)
        ]


def unknown_parts(distances: np.ndarray) -> np.ndarray:
    """Two signs of an unknown GAN, float64 (N, 2): far from the nearest, and the second hardly farther.

    Args:
        distances: squared distances float64 (N, K), K at least 2.
    """
    two = np.partition(distances, 1, axis=1)[:, :2]
    # Distances may be equal or 0 to the last bit; their logarithms must still be numbers.
    gap = np.maximum(two[:, 1] - two[:, 0], np.finfo(np.float64).tiny)
    return np.stack([np.log(np.maximum(two[:, 0], np.finfo(np.float64).tiny)), -np.log(gap)], axis=1)


# Of a detector that learnt from fewer than two GANs: it names none.
NO_NAMES = AttributionHead((), np.zeros((0, 0)), np.zeros((0, 0)), np.zeros((2, 2)), 0.0)


def fit_head(
    train: np.ndarray, train_gans: np.ndarray, val: np.ndarray, val_gans: np.ndarray, gans: tuple[str, ...]
) -> AttributionHead:
    """Fit centres and covariance on training images, and the limit on validation images.

    Args:
        train, val: features (N, F).
        train_gans, val_gans: int (N,), indices into ``gans``.
        gans: names of the known GANs, at least two.

    Raises:
        AttributionError: with less than two GANs, or without images of one of them.
    """
    if len(gans) < 2:
        raise AttributionError(f"attribution needs at least two GANs, got {', '.join(gans) or 'none'}")
    for name, labels in (("training", train_gans), ("validation", val_gans)):
        if absent := [gan for index, gan in enumerate(gans) if not (labels == index).any()]:
            raise AttributionError(f"no {name} images of {', '.join(absent)}")
    from sklearn.covariance import LedoitWolf  # two seconds to import, and only fitting needs it

    train = train.astype(np.float64)
    centres = np.stack([train[train_gans == index].mean(axis=0) for index in range(len(gans))])
    residuals = train - centres[train_gans]
    # A channel that never changes has no scale of its own.
    scale = residuals.std(axis=0)
    scale[scale == 0] = 1.0
    precision = LedoitWolf(assume_centered=True).fit(residuals / scale).precision_
    whitening = np.linalg.cholesky(precision) / scale[:, None]
    head = AttributionHead(gans, whitening, centres @ whitening, np.array([[0.0, 0.0], [1.0, 1.0]]), np.inf)
    parts = unknown_parts(head.distances(val))
    reference = np.stack([parts.mean(axis=0), np.maximum(parts.std(axis=0), 1e-12)])
    scores = ((parts - reference[0]) / reference[1]).sum(axis=1)
    return AttributionHead(gans, whitening, head.centres, reference, float(np.quantile(scores, 1 - REFUSED)))


# The attribution head's file: safetensors.

KIND = "attribution"
_TENSORS = ("whitening", "centres", "reference")


def save_head(path: str | Path, head: AttributionHead) -> None:
    """Write a head; single precision is enough for it and half the size."""
    import torch  # whoever only names GANs does without

    tensors = {name: torch.from_numpy(getattr(head, name)).float() for name in _TENSORS}
    header = {"network": KIND, "gans": list(head.gans), "limit": head.limit}
    save_tensors(path, tensors, {key: json.dumps(value) for key, value in header.items()})


def load_head(path: str | Path) -> AttributionHead:
    """The head of a file.

    Raises:
        DetectorWeightsError: if the file is absent, damaged or something else.
    """
    path = Path(path)
    tensors, header = load_arrays(path, KIND, ("gans", "limit"))
    if missing := [name for name in _TENSORS if name not in tensors]:
        raise DetectorWeightsError(f"{path}: {', '.join(missing)} missing")
    values = {name: tensors[name].astype(np.float64) for name in _TENSORS}
    count, width = len(header["gans"]), len(values["whitening"])
    shapes = {"whitening": (width, width), "centres": (count, width), "reference": (2, 2)}
    for name, shape in shapes.items():
        if values[name].shape != shape:
            raise DetectorWeightsError(f"{path}: {name} must have shape {shape}, got {values[name].shape}")
    return AttributionHead(gans=tuple(header["gans"]), limit=float(header["limit"]), **values)
