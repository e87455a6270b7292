"""The feature extractors that params.yaml can name, opened with weights that have been checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY
from torch_fidelity.utils import create_feature_extractor

from fakeface.errors import MissingFileError
from fakeface.lite0 import NAME, default_weights
from fakeface.quality import inception, lite0
from fakeface.wheels import sha256_of

METRICS = ("isc", "fid", "kid", "prc")


@dataclass(frozen=True)
class Extractor:
    """A network that turns images into features.

    Attributes:
        name: its name in params.yaml and in torch-fidelity's registry.
        network: maps uint8 (B, 3, H, W) to a tuple of feature tensors.
        weights_sha256: of the weights file.
        layers: for each of :data:`METRICS` the name of the feature that it is computed from.
    """

    name: str
    network: FeatureExtractorBase
    weights_sha256: str
    layers: dict[str, str]


def open_extractor(name: str, weights: str | Path | None, device: torch.device) -> Extractor:
    """Build the extractor ``name`` on ``device``.

    Args:
        name: ``efficientnet-lite0`` or ``inception-v3-compat``.
        weights: local weights file; None takes the installed package's (efficientnet-lite0) or downloads
            torch-fidelity's own (inception-v3-compat).

    Raises:
        MissingFileError, NetworkWeightsError: if the weights are absent, refused or do not fit.
        ValueError: if the name is unknown.
    """
    if weights is not None and not Path(weights).is_file():
        raise MissingFileError(f"quality.weights: {weights}: no such file; null takes {name}'s own")
    if name == NAME:
        lite0.register()
        path = Path(weights) if weights is not None else default_weights()
        network = _create(name, path, device)
    elif name == inception.NAME:
        path = Path(weights) if weights is not None else inception.fetch_weights()
        with inception.trusted_copy(path) as copy:
            network = _create(name, copy, device)
    else:
        raise ValueError(f"extractor must be {NAME} or {inception.NAME}, got {name!r}")
    layers = {metric: network.get_default_feature_layer_for_metric(metric) for metric in METRICS}
    return Extractor(name, network, sha256_of(path), layers)


def _create(name: str, weights: Path, device: torch.device) -> FeatureExtractorBase:
    kind = FEATURE_EXTRACTORS_REGISTRY[name]
    features = sorted({kind.get_default_feature_layer_for_metric(metric) for metric in METRICS})
    cuda = device.type == "cuda"
    return create_feature_extractor(
        name, features, cuda=cuda, feature_extractor_weights_path=str(weights), verbose=False
    )
