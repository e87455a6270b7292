"""Weights of torch-fidelity's Inception-v3, the standard extractor of FID and Inception Score."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

import torch
from torch.hub import download_url_to_file
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

from fakeface.lite0 import NetworkWeightsError, read_state_dict
from fakeface.wheels import default_cache_dir

NAME = "inception-v3-compat"


def fetch_weights(url: str = URL_INCEPTION_V3, cache_dir: Path | None = None) -> Path:
    """The file that torch-fidelity itself would download (91 MB), once, checked by the hash in its name.

    Raises:
        NetworkWeightsError: if it cannot be downloaded or is another file.
    """
    path = (cache_dir or default_cache_dir()) / url.rsplit("/", 1)[1]
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Writes beside the destination and renames after the checksum.
        download_url_to_file(url, str(path), hash_prefix=path.stem.rsplit("-", 1)[1])
    except (URLError, OSError, RuntimeError) as error:
        raise NetworkWeightsError(
            f"{NAME}: cannot download its weights from {url} ({error}); put that file at {path}, or name a "
            "local copy in quality.weights, or use quality.extractor: efficientnet-lite0"
        ) from error
    return path


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
