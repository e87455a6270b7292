"""Baseline: logistic regression on the features of a network that has seen no GAN.

The linear probe of Ojha, Li and Lee, "Towards Universal Fake Image Detectors that Generalize Across
Generative Models", CVPR 2023, with EfficientNet-Lite0 trained on ImageNet in the place of CLIP.
"""

from __future__ import annotations

import numpy as np
from lightning_fabric import Fabric

from fakeface.baselines.base import Scorer, in_batches, training_views
from fakeface.baselines.logistic import fit_logistic
from fakeface.detector.dataset import DetectorData
from fakeface.lite0 import NAME
from fakeface.params import Params
from fakeface.quality.extractors import open_extractor
from fakeface.quality.features import extract

# From 0.001 to 1 the AUROC on validation images stayed within 0.003.
INVERSE_STRENGTH = 1e-2
# The network takes a minute for 4,000 to 6,000 images on two CPU cores, and this is done in every fold.
MAX_IMAGES = 1500
# Images a forward pass; on a CPU the extractor divides them further.
FORWARD_BATCH = 64


def fit(params: Params, data: DetectorData, fabric: Fabric, limit: int = MAX_IMAGES) -> Scorer:
    """Train on one laundered view of each training image, of at most ``limit`` images.

    Beyond the limit a balanced subset is taken, see :func:`fakeface.baselines.base.balanced_subset`.

    Raises:
        LeakError, BaselineDataError: see :func:`fakeface.baselines.base.training_views`.
    """
    extractor = open_extractor(NAME, None, fabric.device)
    layer = extractor.layers["fid"]

    def pooled(images: np.ndarray) -> np.ndarray:
        return extract(extractor, images, FORWARD_BATCH)[layer].numpy()

    views = training_views(params, data, 1, limit)
    features = views.features(pooled, "EfficientNet-Lite0")
    model = fit_logistic(features, views.labels, views.weights, INVERSE_STRENGTH)
    return in_batches(views.image_shape, lambda images: model.probability(pooled(images)))
