"""Quality of image sets: FID, KID, Inception Score, precision and recall by torch-fidelity."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
import torch_fidelity
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_featuresdict_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, KEY_METRIC_ISC_STD, isc_featuresdict_to_metric
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_featuresdict_to_metric
from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_featuresdict_to_metric

from fakeface.data.image_sets import ImageSet, evenly_spaced
from fakeface.metrics.extractors import INCEPTION, Extractor, Features, extract, extract_once, open_extractor
from fakeface.params import Params

IS_SPLITS = 10

logger = logging.getLogger(__name__)


def metric_names(extractor: str) -> tuple[str, str]:
    """Keys of the Frechet distance and of the score; the plain names are Inception's alone."""
    if extractor == INCEPTION:
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
    splits = min(IS_SPLITS, n_fake)
    sizes = {"kid_subset_size": subset, "kid_subsets": kid_subsets}
    quiet: dict[str, Any] = {"verbose": False}
    figures = {
        **fid_statistics_to_metric(*statistics, **quiet),
        **isc_featuresdict_to_metric(fake, layers["isc"], isc_splits=splits, rng_seed=seed, **quiet),
        **kid_featuresdict_to_metric(fake, real, layers["kid"], **sizes, rng_seed=seed, **quiet),
        **prc_featuresdict_to_metric(fake, real, layers["prc"], prc_neighborhood=neighbourhood, **quiet),
    }
    distance, score = metric_names(extractor.name)
    return {
        "extractor": extractor.name,
        "extractor_weights_sha256": extractor.weights_sha256,
        "torch_fidelity_version": torch_fidelity.__version__,
        "n_fake": n_fake,
        "n_real": n_real,
        distance: figures[KEY_METRIC_FID],
        score: figures[KEY_METRIC_ISC_MEAN],
        f"{score}_std": figures[KEY_METRIC_ISC_STD],
        "kid": figures[KEY_METRIC_KID_MEAN],
        "kid_std": figures[KEY_METRIC_KID_STD],
        **sizes,
        "precision": figures[KEY_METRIC_PRECISION],
        "recall": figures[KEY_METRIC_RECALL],
    }


def compare_by(params: Params, extractor: Extractor, fake: Features, real: Features) -> dict[str, Any]:
    """:func:`compare` with the settings of ``params.quality`` and the seed of the params."""
    settings = params.quality
    return compare(
        extractor,
        fake,
        real,
        kid_subset_size=settings.kid_subset_size,
        kid_subsets=settings.kid_subsets,
        neighbourhood=settings.neighbourhood,
        seed=params.seed,
    )


def measure(
    gan: str, params: Params, real: Path, fake: Path, device: torch.device, cache_dir: Path | None = None
) -> dict[str, Any]:
    """Content of ``reports/quality/<gan>.json``, but for what made it.

    Args:
        gan: name in params.yaml.
        real: folder of the photographs' training set.
        fake: folder of the GAN's test set, the images that the detector is judged by.
        device: where the extractor runs.
        cache_dir: where features of the photographs are remembered, see ``extract_once``.

    Returns:
        The block of :func:`compare`. At most ``quality.n_images`` of each set, evenly spaced, are compared;
        ``n_real`` and ``n_fake`` say how many.
    """
    settings = params.quality
    extractor = open_extractor(settings.extractor, settings.weights, device)
    photographs = evenly_spaced(ImageSet.read(real).images, settings.n_images)
    fakes = evenly_spaced(ImageSet.read(fake).images, settings.n_images)
    of_photographs = extract_once(extractor, photographs, settings.batch_size, cache_dir)
    return {"gan": gan} | compare_by(
        params, extractor, extract(extractor, fakes, settings.batch_size), of_photographs
    )


def quality_headline(report: dict[str, Any]) -> dict[str, Any]:
    """Content of ``metrics/quality/<gan>.json``: distances to the photographs, and the Inception Score."""
    kept = ("fid", "inception_score", "kid", "precision", "recall")
    return {
        name: value
        for name, value in report.items()
        if name in kept or (name.startswith(("fd_", "is_")) and not name.endswith("_std"))
    }
