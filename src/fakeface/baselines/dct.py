"""Baseline: logistic regression on the log magnitudes of an image's 2-D cosine transform.

Frank, Eisenhofer, Schoenherr, Fischer, Kolossa and Holz, "Leveraging Frequency Analysis for Deep Fake Image
Recognition", ICML 2020: upsampling leaves traces in the spectrum that a linear model finds.
"""

from __future__ import annotations

import math

import numpy as np
from lightning_fabric import Fabric
from scipy.fft import dctn

from fakeface.baselines.base import Scorer, in_batches, training_views
from fakeface.baselines.logistic import fit_logistic
from fakeface.detector.dataset import DetectorData
from fakeface.params import Params

# Keeps the logarithm finite, and is below what rounding pixels to integers leaves in a coefficient.
FLOOR = 1e-3
# Strong, as there are about as many features as views.
INVERSE_STRENGTH = 1e-3
# The features lie in memory: at 64 pixels this is room for 21,845 views of 48 KiB. 30,000 measured no better.
MAX_FEATURE_BYTES = 2**30


def log_dct(images: np.ndarray) -> np.ndarray:
    """Log magnitudes of the orthonormal DCT-II of each channel over the whole image.

    Args:
        images: uint8 (B, S, S, 3), transformed as 0..255.

    Returns:
        float32 (B, 3 S^2), ``log(|DCT| + 0.001)``, row frequency first, then column frequency, then channel.
    """
    # Double precision: in single precision the rounding of the largest coefficient would show in the others.
    coefficients = dctn(images.astype(np.float64), axes=(1, 2), norm="ortho")
    return np.log(np.abs(coefficients) + FLOOR).astype(np.float32).reshape(len(images), -1)


def fit(params: Params, data: DetectorData, _: Fabric) -> Scorer:
    """Train on the laundered views of the training split.

    Raises:
        LeakError, BaselineDataError: see :func:`fakeface.baselines.base.training_views`.
    """
    image_bytes = 4 * math.prod(data.sets[0].images.shape[1:])
    views = training_views(params, data, params.cn.views, MAX_FEATURE_BYTES // image_bytes)
    features = views.features(log_dct, "DCT")
    model = fit_logistic(features, views.labels, views.weights, INVERSE_STRENGTH)
    return in_batches(views.image_shape, lambda images: model.probability(log_dct(images)))
