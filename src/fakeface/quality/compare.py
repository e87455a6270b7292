"""Frechet distance, score, KID, precision and recall of fakes against photographs, by torch-fidelity."""

from __future__ import annotations

import logging
from typing import Any

import torch_fidelity
from torch_fidelity.metric_fid import (
    KEY_METRIC_FID,
    fid_featuresdict_to_statistics,
    fid_statistics_to_metric,
)
from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, KEY_METRIC_ISC_STD, isc_featuresdict_to_metric
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_featuresdict_to_metric
from torch_fidelity.metric_prc import (
    KEY_METRIC_PRECISION,
    KEY_METRIC_RECALL,
    prc_featuresdict_to_metric,
)

from fakeface.quality import inception
from fakeface.quality.extractors import Extractor
from fakeface.quality.features import Features

IS_SPLITS = 10

logger = logging.getLogger(__name__)


def metric_names(extractor: str) -> tuple[str, str]:
    """Keys of the Frechet distance and of the score; the plain names are Inception's alone."""
    if extractor == inception.NAME:
        return "fid", "inception_score"
    suffix = extractor.replace("-", "_")
    return f"fd_{suffix}", f"is_{suffix}"


def compare(
    extractor: Extractor,
    fake: Features,
    real: Features,
    *,
    kid_subset_size: int = 500,
    kid_subsets: int = 100,
    neighbourhood: int = 3,
    seed: int = 0,
) -> dict[str, Any]:
    """All measures of one fake set.

    Args:
        extractor: the one that made both sets of features.
        fake, real: features by layer name, (N, D).
        kid_subset_size: images drawn from each set for one estimate; reduced to the smaller set's size.
        kid_subsets: how many estimates are averaged.
        neighbourhood: k of precision and recall (Kynkaanniemi et al., NeurIPS 2019).
        seed: of KID's subsets and of the order in which the score's ten parts are formed.

    Returns:
        The quality block of a metrics file: extractor, counts, distances, score, precision, recall.

    Raises:
        ValueError: if either set has no more than ``neighbourhood`` images.
    """
    layers = extractor.layers
    # In single precision KID's sums of half a million kernel values keep only three digits.
    fake = {name: tensor.double() for name, tensor in fake.items()}
    real = {name: tensor.double() for name, tensor in real.items()}
    n_fake, n_real = len(fake[layers["fid"]]), len(real[layers["fid"]])
    if min(n_fake, n_real) <= neighbourhood:
        raise ValueError(
            f"quality.neighbourhood must be below the number of images, got {neighbourhood} with "
            f"{n_fake} fakes and {n_real} photographs"
        )
    subset = min(kid_subset_size, n_fake, n_real)
    if subset < kid_subset_size:
        logger.warning(
            "quality.kid_subset_size reduced from %d to %d: there are %d fakes and %d photographs",
            kid_subset_size, subset, n_fake, n_real,
        )  # fmt: skip
    statistics = [fid_featuresdict_to_statistics(features, layers["fid"]) for features in (fake, real)]
    distance = fid_statistics_to_metric(*statistics, verbose=False)
    score = isc_featuresdict_to_metric(
        fake, layers["isc"], isc_splits=min(IS_SPLITS, n_fake), rng_seed=seed, verbose=False
    )
    kid = kid_featuresdict_to_metric(
        fake,
        real,
        layers["kid"],
        kid_subset_size=subset,
        kid_subsets=kid_subsets,
        rng_seed=seed,
        verbose=False,
    )
    overlap = prc_featuresdict_to_metric(
        fake, real, layers["prc"], prc_neighborhood=neighbourhood, verbose=False
    )
    distance_name, score_name = metric_names(extractor.name)
    return {
        "extractor": extractor.name,
        "extractor_weights_sha256": extractor.weights_sha256,
        "torch_fidelity_version": torch_fidelity.__version__,
        "n_fake": n_fake,
        "n_real": n_real,
        distance_name: distance[KEY_METRIC_FID],
        score_name: score[KEY_METRIC_ISC_MEAN],
        f"{score_name}_std": score[KEY_METRIC_ISC_STD],
        "kid": kid[KEY_METRIC_KID_MEAN],
        "kid_std": kid[KEY_METRIC_KID_STD],
        "kid_subset_size": subset,
        "kid_subsets": kid_subsets,
        "precision": overlap[KEY_METRIC_PRECISION],
        "recall": overlap[KEY_METRIC_RECALL],
    }
