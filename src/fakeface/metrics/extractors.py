"""Feature extractors of torch-fidelity: EfficientNet-Lite0 and Inception-v3, and features of many images."""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.utils.data import Dataset
from torch_fidelity import register_feature_extractor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY
from torch_fidelity.utils import create_feature_extractor, get_featuresdict_from_dataset

from fakeface.base import lite0
from fakeface.base.downloads import FetchError, default_cache_dir, fetch, sha256_of
from fakeface.base.errors import MissingFileError
from fakeface.base.lite0 import (
    LITE0,
    NetworkWeightsError,
    build_network,
    default_weights,
    fuse,
    read_state_dict,
)
from fakeface.base.tensors import save_tensors
from fakeface.data.image_sets import pixels_sha256

INCEPTION = "inception-v3-compat"
METRICS = ("isc", "fid", "kid", "prc")
Features = dict[str, torch.Tensor]

logger = logging.getLogger(__name__)

INPUT_SIDE = 224
# Activations of eight images stay in a CPU's cache; larger batches run at half the speed.
CPU_BATCH = 8


def to_lite0_input(images: torch.Tensor) -> torch.Tensor:
    """uint8 (B, 3, H, W) in [0, 255] to float32 (B, 3, 224, 224), ``(x - 127) / 128``.

    Smaller images are enlarged bilinearly, larger ones reduced with antialiasing, both without rounding.
    """
    x, size = images.float(), (INPUT_SIDE, INPUT_SIDE)
    if x.shape[2:] != size:
        x = F.interpolate(x, size=size, mode="bilinear", align_corners=False, antialias=True)
    return (x - 127) / 128


class EfficientNetLite0(FeatureExtractorBase):
    """Provides ``1280`` (pooled activations before the classifier) and ``logits`` (ImageNet classes)."""

    def __init__(
        self, name: str, features_list: list[str], feature_extractor_weights_path: str | None = None, **_: Any
    ) -> None:
        super().__init__(name, features_list)
        network = fuse(build_network(feature_extractor_weights_path or default_weights()))
        self.network = network.to(memory_format=torch.channels_last)
        self.requires_grad_(False).eval()

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        return "1280", "logits"

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return {"isc": "logits", "fid": "1280", "kid": "1280", "prc": "1280"}[metric]

    @staticmethod
    def can_be_compiled() -> bool:
        return True

    @staticmethod
    def get_dummy_input_for_compile() -> torch.Tensor:
        return torch.zeros(1, 3, 64, 64, dtype=torch.uint8)

    def _pooled(self, images: torch.Tensor) -> torch.Tensor:
        x = to_lite0_input(images).contiguous(memory_format=torch.channels_last)
        return self.network.extract_features(x).mean(dim=(2, 3))  # type: ignore[operator]  # (B, 1280)

    def forward(self, input: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """uint8 (B, 3, H, W) to a tuple of float32 (B, 1280) and (B, 1000), as requested."""
        if input.dtype != torch.uint8 or input.ndim != 4 or input.shape[1] != 3:
            raise ValueError(f"images must be uint8 (B, 3, H, W), got {input.dtype} {tuple(input.shape)}")
        chunks = input.split(CPU_BATCH) if input.device.type == "cpu" else (input,)
        pooled = torch.cat([self._pooled(chunk) for chunk in chunks])
        features = {"1280": pooled}
        if "logits" in self.features_list:
            features["logits"] = self.network._fc(pooled)  # type: ignore[operator]
        return tuple(features[name] for name in self.features_list)


def fetch_weights(url: str = URL_INCEPTION_V3, cache_dir: Path | None = None) -> Path:
    """The file that torch-fidelity itself would download (91 MB), once, checked by the hash in its name.

    Raises:
        NetworkWeightsError: if it cannot be downloaded or is another file.
    """
    path = (cache_dir or default_cache_dir()) / url.rsplit("/", 1)[1]
    try:
        return fetch(url, path, sha256=path.stem.rsplit("-", 1)[1], retries=2)
    except FetchError as error:
        raise NetworkWeightsError(
            f"{INCEPTION}: cannot download its weights from {url} ({error}); put that file at {path}, or "
            "name a local copy in quality.weights, or use quality.extractor: efficientnet-lite0"
        ) from error


@contextmanager
def trusted_copy(weights: Path) -> Iterator[Path]:
    """A temporary copy of ``weights`` that this process wrote from tensors alone.

    torch-fidelity unpickles without restrictions, so it is never given a file from elsewhere.

    Raises:
        FileNotFoundError, NetworkWeightsError: if the file is absent or holds anything but tensors.
    """
    state = read_state_dict(weights)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "weights.pth"
        torch.save(state, copy)
        yield copy


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


def _named_weights(name: str, weights: str | Path | None) -> Path | None:
    """The weights file that params name, or torch-fidelity's own in the folder that they name."""
    if weights is None:
        return None
    path = Path(weights)
    if path.is_dir():
        path /= URL_INCEPTION_V3.rsplit("/", 1)[1]
        return path if name == INCEPTION and path.is_file() else None
    if not path.is_file():
        raise MissingFileError(f"quality.weights: {path}: no such file or folder")
    return path


def open_extractor(name: str, weights: str | Path | None, device: torch.device) -> Extractor:
    """Build the extractor ``name`` on ``device``.

    Args:
        name: ``efficientnet-lite0`` or ``inception-v3-compat``.
        weights: local weights file, or a folder that may hold torch-fidelity's Inception. Without,
            the installed package's (efficientnet-lite0), or a download of torch-fidelity's (Inception).

    Raises:
        MissingFileError, NetworkWeightsError: if the weights are absent, refused or do not fit.
        ValueError: if the name is unknown.
    """
    named = _named_weights(name, weights)
    if name == LITE0:
        if FEATURE_EXTRACTORS_REGISTRY.get(LITE0) is not EfficientNetLite0:
            register_feature_extractor(LITE0, EfficientNetLite0)
        path = named or default_weights()
        network = _create(name, path, device)
    elif name == INCEPTION:
        path = named or fetch_weights()
        with trusted_copy(path) as copy:
            network = _create(name, copy, device)
    else:
        raise ValueError(f"extractor must be {LITE0} or {INCEPTION}, got {name!r}")
    return Extractor(name, network, sha256_of(path), _layers(network))


def _layers(network: FeatureExtractorBase | type[FeatureExtractorBase]) -> dict[str, str]:
    return {metric: network.get_default_feature_layer_for_metric(metric) for metric in METRICS}


def _create(name: str, weights: Path, device: torch.device) -> FeatureExtractorBase:
    features = sorted(set(_layers(FEATURE_EXTRACTORS_REGISTRY[name]).values()))
    cuda = device.type == "cuda"
    return create_feature_extractor(
        name, features, cuda=cuda, feature_extractor_weights_path=str(weights), verbose=False
    )


class _Images(Dataset):
    """uint8 (N, H, W, 3) as the uint8 (3, H, W) tensors that torch-fidelity reads."""

    def __init__(self, images: np.ndarray) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(np.array(self.images[index])).permute(2, 0, 1)


def _on_gpu(extractor: Extractor) -> bool:
    return any(parameter.is_cuda for parameter in extractor.network.parameters())


def extract(extractor: Extractor, images: np.ndarray, batch_size: int) -> Features:
    """Features by layer name, float32 (N, D) on the CPU, of uint8 images (N, H, W, 3)."""
    return get_featuresdict_from_dataset(
        _Images(images),
        extractor.network,
        batch_size,
        _on_gpu(extractor),
        save_cpu_ram=True,  # no worker processes: the images are in memory already
        verbose=sys.stderr.isatty(),
    )


def _key(extractor: Extractor, images: np.ndarray) -> str:
    modules = (sys.modules[type(extractor.network).__module__], lite0)
    sources = "".join(inspect.getsource(module) for module in modules)
    identity = {
        "pixels": pixels_sha256(images),
        "shape": list(images.shape),
        "extractor": extractor.name,
        "weights": extractor.weights_sha256,
        "source": hashlib.sha256(sources.encode("utf-8")).hexdigest(),
        "torch": torch.__version__,
        "cuda": _on_gpu(extractor),
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode("utf-8")).hexdigest()


def extract_once(
    extractor: Extractor, images: np.ndarray, batch_size: int, cache_dir: Path | None = None
) -> Features:
    """Like :func:`extract`, remembered in ``<cache>/features``; a damaged file is computed anew.

    Every GAN's quality stage wants the features of the photographs. Each file is named by a hash of all that
    decides them, so a hit is right by construction and deleting the folder costs one recomputation. It is
    the user's cache (``cache_dir``, by default ``default_cache_dir()``), not the workspace, so the copies in
    which ``dvc exp run --queue`` works share it. Files are safetensors (torch-fidelity's own cache unpickles)
    and appear whole, so concurrent runs at worst compute the same twice.
    """
    path = (cache_dir or default_cache_dir()) / "features" / f"{_key(extractor, images)}.safetensors"
    if path.is_file():
        try:
            return load_file(path)
        except SafetensorError as error:
            logger.warning("%s: damaged, computing the features again (%s)", path, error)
    features = extract(extractor, images, batch_size)
    save_tensors(path, features, {})
    return features
