"""Published detectors that ours is compared with: same images, laundering and rule for the threshold.

A baseline sees the training split and nothing else: none of them picks a checkpoint, so validation is left to
the threshold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from lightning_fabric import Fabric
from scipy.fft import dctn, fft2
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC
from tqdm import tqdm

from fakeface.base.errors import FakefaceError
from fakeface.base.lite0 import LITE0
from fakeface.base.runtime import device_name
from fakeface.data.image_sets import Folders, evenly_spaced
from fakeface.data.preprocess import LUMA
from fakeface.detector.activations import Activations
from fakeface.detector.batches import DetectorData, refuse_held_out
from fakeface.detector.views import GivenPixels, ViewKind, Views, every_view, threshold_kinds
from fakeface.evaluation.folds import Fold, FoldScores
from fakeface.evaluation.leave_one_out import Method, Trained, score_fold, with_cffn
from fakeface.metrics.extractors import extract, open_extractor
from fakeface.metrics.thresholds import choose_threshold
from fakeface.params import Params

# uint8 (N, S, S, 3) to float64 (N,): P(fake) in [0, 1]. Works in batches, so memory does not grow with N.
Scorer = Callable[[np.ndarray], np.ndarray]
# A scorer from the training split; the seed and the laundering are in the params.
Fit = Callable[[Params, DetectorData, Fabric], Scorer]
# uint8 (B, S, S, 3) to (B, D): the features of a baseline.
Describe = Callable[[np.ndarray], np.ndarray]

BATCH = 256


class BaselineDataError(FakefaceError, ValueError):
    """A baseline cannot be trained on these images; the message says what is missing."""


def baseline_kind(params: Params) -> ViewKind:
    """Training views through the protocols of our own detector's training."""
    return ViewKind("baseline", tuple(params.training_protocols))


def balanced_weights(groups: np.ndarray) -> np.ndarray:
    """Weights with which each class counts one half and, among the fakes, each GAN the same.

    From int (N,), 0 for real and 1, 2, ... for the GANs, to float64 (N,), positive, of sum 1.

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

    From int (N,) as in :func:`balanced_weights` to int64 (min(N, count),), ascending.

    Raises:
        ValueError: if a group has no member, there are no fakes, or ``count`` is less than twice the number
            of GANs, so that not each would have a member.
    """
    sizes = _group_sizes(groups)
    least = 2 * (len(sizes) - 1)
    if count < least:
        raise ValueError(f"count must be at least {least} for {len(sizes) - 1} GANs, got {count}")
    real, fake = _even_shares(np.array([sizes[0], sizes[1:].sum()]), count)
    shares = [real, *_even_shares(sizes[1:], fake)]
    rows = [evenly_spaced(np.flatnonzero(groups == group), share) for group, share in enumerate(shares)]
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

    Each view draws one protocol; its draws depend on the seed, its image and number alone. ``chosen`` is
    int64 (M,), ascending; ``views * i + v`` stands for view ``v`` of image ``i``.
    """

    data: DetectorData
    kind: ViewKind
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
                numbers = np.full(len(rows), view)
                yield batch, Views(self.data, rows, numbers, self.kind, self.seed).pixels

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
    return TrainingViews(data, baseline_kind(params), params.seed, views, chosen)


def in_batches(image_shape: tuple[int, ...], probability: Scorer) -> Scorer:
    """A scorer for any number of images from one for at most :data:`BATCH`.

    Images of another shape than ``image_shape``, (S, S, 3), are refused with a ValueError.
    """

    def score(images: np.ndarray) -> np.ndarray:
        if images.dtype != np.uint8 or images.shape[1:] != image_shape:
            expected = ", ".join(map(str, image_shape))
            raise ValueError(f"images must be uint8 (N, {expected}), got {images.dtype} {images.shape}")
        parts = [probability(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
        return np.concatenate([np.empty(0), *parts])

    return score


_ROWS = 1024
# Less spread than this, relative to the mean, is rounding of a constant.
_CONSTANT = 1e-6


@dataclass(frozen=True)
class Standardiser:
    """Features brought to weighted mean 0 and standard deviation 1, in place and in little memory.

    The matrix can be a gigabyte; scikit-learn's StandardScaler with sample weights makes copies of all of it.

    Attributes:
        mean: float32 (D,).
        scale: float32 (D,), positive; 1 for a feature that is constant in training.
    """

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, weights: np.ndarray) -> Standardiser:
        """Moments of float32 (N, D) ``features`` with ``weights``, float64 (N,) of sum 1."""
        parts = [slice(start, start + _ROWS) for start in range(0, len(features), _ROWS)]
        zero = np.zeros(features.shape[1])
        mean = sum((weights[rows] @ features[rows].astype(np.float64) for rows in parts), zero)
        scale = np.sqrt(sum((weights[rows] @ (features[rows] - mean) ** 2 for rows in parts), zero))
        scale[scale <= _CONSTANT * np.maximum(1, np.abs(mean))] = 1
        return cls(mean.astype(np.float32), scale.astype(np.float32))

    def apply(self, features: np.ndarray) -> np.ndarray:
        """Standardise float32 (N, D) in place and return it."""
        features -= self.mean
        features /= self.scale
        return features


@dataclass(frozen=True)
class LogisticModel:
    """P(fake) = sigmoid(w . z + b) of standardised features z; w are the coefficients, float64 (D,)."""

    standardiser: Standardiser
    coefficients: np.ndarray
    intercept: float

    def probability(self, features: np.ndarray) -> np.ndarray:
        """float32 (B, D), overwritten, to float64 (B,) in [0, 1]."""
        return expit(self.standardiser.apply(features) @ self.coefficients + self.intercept)


def fit_logistic(
    features: np.ndarray, labels: np.ndarray, weights: np.ndarray, inverse_strength: float
) -> LogisticModel:
    """Minimise ``sum_i weights_i log-loss_i + |w|^2 / (2 C N)`` over w and b.

    With weights of mean 1 instead of sum 1 that is scikit-learn's objective, C its ``C``. Its L-BFGS keeps a
    float32 matrix as it is, so fitting takes no memory beyond the features.

    Features are float32 (N, D), overwritten with their standardised values; labels 0 and 1 both occur;
    weights are float64 (N,) of sum 1; C is the inverse strength.
    """
    standardiser = Standardiser.fit(features, weights)
    model = LogisticRegression(C=inverse_strength, max_iter=1000)
    model.fit(standardiser.apply(features), labels, sample_weight=weights * len(weights))
    return LogisticModel(standardiser, model.coef_[0].astype(np.float64), float(model.intercept_[0]))


# Keeps the logarithm finite, and is below what rounding pixels to integers leaves in a coefficient.
DCT_FLOOR = 1e-3
# Strong, as there are about as many features as views.
DCT_INVERSE_STRENGTH = 1e-3
# The features lie in memory: at 64 pixels this is room for 21,845 views of 48 KiB. 30,000 measured no better.
MAX_FEATURE_BYTES = 2**30


def log_dct(images: np.ndarray) -> np.ndarray:
    """Log magnitudes of the orthonormal DCT-II of each channel over the whole image.

    From uint8 (B, S, S, 3), transformed as 0..255, to float32 (B, 3 S^2), ``log(|DCT| + 0.001)``, row
    frequency first, then column frequency, then channel.
    """
    # Double precision: in single precision the rounding of the largest coefficient would show in the others.
    coefficients = dctn(images.astype(np.float64), axes=(1, 2), norm="ortho")
    return np.log(np.abs(coefficients) + DCT_FLOOR).astype(np.float32).reshape(len(images), -1)


def fit_dct(params: Params, data: DetectorData, _: Fabric) -> Scorer:
    """Logistic regression on the log magnitudes of each laundered view's 2-D cosine transform.

    Frank, Eisenhofer, Schoenherr, Fischer, Kolossa and Holz, "Leveraging Frequency Analysis for Deep Fake
    Image Recognition", ICML 2020: upsampling leaves traces in the spectrum that a linear model finds.

    Raises:
        LeakError, BaselineDataError: see :func:`training_views`.
    """
    image_bytes = 4 * math.prod(data.sets[0].images.shape[1:])
    views = training_views(params, data, params.cn.views, MAX_FEATURE_BYTES // image_bytes)
    features = views.features(log_dct, "DCT")
    model = fit_logistic(features, views.labels, views.weights, DCT_INVERSE_STRENGTH)
    return in_batches(views.image_shape, lambda images: model.probability(log_dct(images)))


# Keeps the logarithm finite, and is below the power that rounding pixels to integers adds, about 0.04.
SPECTRUM_FLOOR = 1e-3
# Fitting is quadratic in the number of views: on one core 30,000 take 68 s and 12,000 take 14 s, for an AUROC
# that is lower by 0.01.
MAX_VIEWS = 20_000


@lru_cache(maxsize=4)
def _rings(side: int) -> np.ndarray:
    """float64 (side^2, R): column r is 1 / n at the n frequencies whose radius rounds to r, 0 elsewhere."""
    frequency = np.fft.fftfreq(side, 1 / side)
    radius = np.rint(np.hypot(frequency[:, None], frequency)).astype(np.int64).ravel()
    rings = np.eye(radius.max() + 1)[radius]
    return rings / rings.sum(axis=0)


def radial_spectrum(images: np.ndarray) -> np.ndarray:
    """Mean log power at each radius, the corners of the spectrum included.

    From uint8 (B, S, S, 3) to float32 (B, R), R = round(S / sqrt 2) + 1 for even S: the mean of
    ``log(|F|^2 + 0.001)`` over the frequencies, in cycles an image, whose radius rounds to 0, 1, ...; F is
    the orthonormal 2-D Fourier transform of the luminance in 0..255.
    """
    power = np.abs(fft2(images @ LUMA, norm="ortho")) ** 2
    flat = np.log(power + SPECTRUM_FLOOR).reshape(len(images), -1)
    return (flat @ _rings(images.shape[1])).astype(np.float32)


def fit_spectrum(params: Params, data: DetectorData, _: Fabric) -> Scorer:
    """Support vector machine with Gaussian kernel on the log power spectrum, averaged over directions.

    Durall, Keuper and Keuper, "Watch Your Up-Convolution: CNN Based Generative Deep Neural Networks Are
    Failing to Reproduce Spectral Distributions", CVPR 2020. An SVM knows no probability: scores here are the
    sigmoid of the decision value, standardised by the training views', a monotone map into [0, 1] that leaves
    every ranking as it is. They are not calibrated.

    Raises:
        LeakError, BaselineDataError: see :func:`training_views`.
    """
    views = training_views(params, data, params.cn.views, MAX_VIEWS)
    features = views.features(radial_spectrum, "spectrum")
    weights = views.weights
    standardiser = Standardiser.fit(features, weights)
    # scikit-learn's defaults: C = 1 for each view of average weight, a kernel width of sqrt(D / 2).
    machine = SVC().fit(standardiser.apply(features), views.labels, sample_weight=weights * len(weights))
    decisions = machine.decision_function(features)
    centre = float(weights @ decisions)
    # Where the features tell nothing apart, all decision values may be equal.
    spread = float(np.sqrt(weights @ (decisions - centre) ** 2)) or 1.0

    def probability(images: np.ndarray) -> np.ndarray:
        decision = machine.decision_function(standardiser.apply(radial_spectrum(images)))
        return expit((decision - centre) / spread)

    return in_batches(views.image_shape, probability)


# From 0.001 to 1 the AUROC on validation images stayed within 0.003.
PROBE_INVERSE_STRENGTH = 1e-2
# The network takes a minute for 4,000 to 6,000 images on two CPU cores, and this is done in every fold.
MAX_IMAGES = 1500
# Images a forward pass, a multiple of those that the extractor takes at once on a CPU.
FORWARD_BATCH = 32


class _PooledFeatures:
    """The network's pooled activations, 1280 float16 an image."""

    module = __name__

    def __init__(self, device: torch.device) -> None:
        self.extractor = open_extractor(LITE0, None, device)
        self.identity = {"weights": self.extractor.weights_sha256, "device": device_name(device)}

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (B, S, S, 3) to records uint8 (B, 2560)."""
        # Always as many at once: another number of images may round otherwise.
        padded = np.concatenate([pixels, np.repeat(pixels[-1:], -len(pixels) % FORWARD_BATCH, axis=0)])
        features = extract(self.extractor, padded, FORWARD_BATCH)[self.extractor.layers["fid"]]
        return features[: len(pixels)].half().numpy().view(np.uint8)


def fit_lite0_probe(params: Params, data: DetectorData, fabric: Fabric, limit: int = MAX_IMAGES) -> Scorer:
    """Logistic regression on the features of a network that has seen no GAN, a view of each training image.

    The linear probe of Ojha, Li and Lee, "Towards Universal Fake Image Detectors that Generalize Across
    Generative Models", CVPR 2023, with EfficientNet-Lite0 trained on ImageNet in the place of CLIP. Beyond
    ``limit`` images a balanced subset is taken.

    Raises:
        LeakError, BaselineDataError: see :func:`training_views`.
    """
    activations = Activations(_PooledFeatures(fabric.device), params.activations, quiet=True)

    def pooled(images: np.ndarray) -> np.ndarray:
        given = GivenPixels(images, "EfficientNet-Lite0")
        activations.prepare(given, fabric)
        return activations.records(given).view(np.float16).astype(np.float32)

    views = training_views(params, data, 1, limit)
    features = views.features(pooled, "EfficientNet-Lite0")
    model = fit_logistic(features, views.labels, views.weights, PROBE_INVERSE_STRENGTH)
    return in_batches(views.image_shape, lambda images: model.probability(pooled(images)))


# Baselines and what our detector is compared with, by the names that tables and commands use.
BASELINES: dict[str, Fit] = {"dct": fit_dct, "spectrum": fit_spectrum, "lite0": fit_lite0_probe}


def with_frozen_threshold(fit: Fit) -> Method:
    """A baseline as a method: its threshold is chosen on validation photographs, by the detector's rule."""

    def train_baseline(
        params: Params, train: DetectorData, val: DetectorData, fabric: Fabric, seed: int
    ) -> Trained:
        # All that is random about a baseline is which views it trains on.
        score = fit(params.model_copy(update={"seed": seed}), train, fabric)
        photographs = np.flatnonzero(val.groups == 0)
        thresholds = [
            choose_threshold(
                score(every_view(val, kind, params.seed, photographs).pixels), params.cn.target_fpr
            )
            for kind in threshold_kinds(params)
        ]
        return Trained(lambda views: score(views.pixels), max(thresholds))

    return train_baseline


def train_random_pairs(
    params: Params, train: DetectorData, val: DetectorData, fabric: Fabric, seed: int
) -> Trained:
    """Our detector by the paper's random pairs: as many images a step, each of them in one pair only."""
    pairs = max(4, params.cffn.batch_size // 4 * 2)
    method = with_cffn(loss="contrastive", pairing="sampled", batch_size=pairs)
    return method(params, train, val, fabric, seed)


# `paper`: Hsu, Zhuang and Lee's network, loss and margin, whatever the params say of ours.
# The next four are our network, shown as many images as ours: `cross_entropy` without pairs, a linear layer
# classifies its embedding; `supervised_contrastive` with another loss of all pairs; `random_pairs` with the
# paper's, two branches of half a batch each; `own_pairs` with a quarter of the fakes in a batch made of its
# photographs.
COMPARED: dict[str, Method] = {
    "paper": with_cffn(
        score_offset="none",
        margin=0.5,
        variant="paper",
        loss="contrastive",
        unit_norm=False,
        feature_levels=(2, 3, 4),
        pairing="batch",
        pseudo_fakes=0.0,
        corrupted=0.0,
        reuploaded=0.0,
        crop=None,
    ),
    "cross_entropy": with_cffn(loss="cross_entropy", pairing="batch"),
    "supervised_contrastive": with_cffn(loss="supervised_contrastive", pairing="batch"),
    "random_pairs": train_random_pairs,
    "own_pairs": with_cffn(pseudo_fakes=0.25),
    **{name: with_frozen_threshold(fit) for name, fit in BASELINES.items()},
}


def score_compared(params: Params, fold: Fold, folders: Folders, fabric: Fabric) -> FoldScores:
    """The methods of ``leave_one_out.compared`` on a fold, once a seed of ``baseline_seeds``."""
    settings = params.leave_one_out
    seeds = range(params.seed, params.seed + settings.baseline_seeds)
    methods: dict[str, Method] = {name: COMPARED[name] for name in settings.compared}
    return score_fold(params, fold, methods, seeds, folders, fabric)
