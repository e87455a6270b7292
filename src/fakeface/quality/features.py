"""Features of image sets, computed once for each content.

Features of the photographs are wanted by every GAN's quality stage. They are kept in a memo outside DVC's
outs, one file named by a hash of everything that decides them: pixels, extractor, weights, the extractor's
source and the torch version. A hit is therefore right by construction and needs no stage of its own;
deleting the folder costs one recomputation; and because the folder is the user's cache and not the
workspace, the copies of the workspace in which ``dvc exp run --queue`` works share it. Files are safetensors
(torch-fidelity's own cache unpickles) and appear whole, so concurrent runs at worst compute the same twice.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.utils.data import Dataset
from torch_fidelity.utils import get_featuresdict_from_dataset

from fakeface import lite0
from fakeface.quality.extractors import Extractor
from fakeface.tensorfile import save_tensors
from fakeface.wheels import default_cache_dir

Features = dict[str, torch.Tensor]

logger = logging.getLogger(__name__)


class _Images(Dataset):
    """uint8 (N, H, W, 3) as the uint8 (3, H, W) tensors that torch-fidelity reads."""

    def __init__(self, images: np.ndarray) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(np.array(self.images[index])).permute(2, 0, 1)


def evenly_spaced(images: np.ndarray, count: int) -> np.ndarray:
    """``count`` of the images at equal distances, all of them if there are no more: no seed to agree on."""
    if len(images) <= count:
        return np.asarray(images)
    return np.asarray(images[np.arange(count) * len(images) // count])


def extract(extractor: Extractor, images: np.ndarray, batch_size: int) -> Features:
    """Features by layer name, float32 (N, D) on the CPU, of uint8 images (N, H, W, 3)."""
    cuda = any(parameter.is_cuda for parameter in extractor.network.parameters())
    return get_featuresdict_from_dataset(
        _Images(images),
        extractor.network,
        batch_size,
        cuda,
        save_cpu_ram=True,  # no worker processes: the images are in memory already
        verbose=sys.stderr.isatty(),
    )


def _key(extractor: Extractor, images: np.ndarray) -> str:
    modules = (sys.modules[type(extractor.network).__module__], lite0)
    sources = "".join(inspect.getsource(module) for module in modules)
    cuda = any(parameter.is_cuda for parameter in extractor.network.parameters())
    identity = {
        "pixels": hashlib.sha256(np.ascontiguousarray(images).data).hexdigest(),
        "shape": list(images.shape),
        "extractor": extractor.name,
        "weights": extractor.weights_sha256,
        "source": hashlib.sha256(sources.encode("utf-8")).hexdigest(),
        "torch": torch.__version__,
        "cuda": cuda,
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode("utf-8")).hexdigest()


def extract_once(
    extractor: Extractor, images: np.ndarray, batch_size: int, cache_dir: Path | None = None
) -> Features:
    """Like :func:`extract`, remembered in ``<cache>/features``; a damaged file is computed anew.

    Args:
        cache_dir: defaults to :func:`fakeface.wheels.default_cache_dir`.
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
