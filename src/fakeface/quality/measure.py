"""The quality stage: one GAN's fakes against the training photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from fakeface.data.imageset import ImageSet
from fakeface.params import Params
from fakeface.provenance import provenance
from fakeface.quality.compare import compare
from fakeface.quality.extractors import open_extractor
from fakeface.quality.features import evenly_spaced, extract, extract_once
from fakeface.runtime import device_name


def measure(
    gan: str,
    params: Params,
    real: Path,
    fake: Path,
    device: torch.device,
    cache_dir: Path | None = None,
) -> dict[str, Any]:
    """Content of ``metrics/quality/<gan>.json``.

    Args:
        gan: name in params.yaml.
        real: folder of the photographs' training set.
        fake: folder of the GAN's test set, the images that the detector is judged by.
        device: where the extractor runs.
        cache_dir: where features of the photographs are remembered, see :mod:`fakeface.quality.features`.

    Returns:
        Provenance keys and the block of :func:`fakeface.quality.compare.compare`. At most
        ``quality.n_images`` of each set, evenly spaced, are compared; ``n_real`` and ``n_fake`` say how many.
    """
    settings = params.quality
    extractor = open_extractor(settings.extractor, settings.weights, device)
    photographs = evenly_spaced(ImageSet.read(real).images, settings.n_images)
    fakes = evenly_spaced(ImageSet.read(fake).images, settings.n_images)
    block = compare(
        extractor,
        extract(extractor, fakes, settings.batch_size),
        extract_once(extractor, photographs, settings.batch_size, cache_dir),
        kid_subset_size=settings.kid_subset_size,
        kid_subsets=settings.kid_subsets,
        neighbourhood=settings.neighbourhood,
        seed=params.seed,
    )
    return {"gan": gan} | provenance(params, device_name(device)) | block
