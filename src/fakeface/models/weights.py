"""Weights as safetensors, with what is needed to rebuild the network in the header; the CFFN's own file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fakeface.base.tensors import DetectorWeightsError, load_tensors, save_tensors
from fakeface.models.cffn import VARIANTS, FeatureNetwork, PretrainedCFFN, build_cffn

CFFN_KEYS = ("variant", "feature_levels", "unit_norm", "image_size", "frozen_sha256")
# Tensors of frozen layers, which come from their own package.
FROZEN = "levels."


def save_module(
    path: str | Path, module: nn.Module, header: dict[str, Any], without: Collection[str] = ()
) -> None:
    """Write the tensors of a module, and a header of values that JSON knows; ``network`` names its kind.

    Tensors whose names are in ``without`` are left out.
    """
    tensors = {name: tensor for name, tensor in module.state_dict().items() if name not in without}
    save_tensors(path, tensors, {key: json.dumps(value) for key, value in header.items()})


def frozen_tensors(cffn: FeatureNetwork) -> dict[str, torch.Tensor]:
    """Tensors of the layers that no training changes, by name; none of a network that learns all of them."""
    if not isinstance(cffn, PretrainedCFFN):
        return {}
    return {name: tensor for name, tensor in cffn.state_dict().items() if name.startswith(FROZEN)}


def frozen_sha256(cffn: FeatureNetwork) -> str | None:
    """Over the frozen layers' names and values; None without any."""
    tensors = frozen_tensors(cffn)
    if not tensors:
        return None
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def fill_module(path: Path, module: nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    """Put tensors into a module.

    Raises:
        DetectorWeightsError: if they are not those that it has.
    """
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise DetectorWeightsError(f"{path}: {' '.join(str(error).split())}") from error


def save_cffn(path: str | Path, cffn: FeatureNetwork, image_size: int) -> None:
    """Write what a CFFN learnt, and the side of the images that it was trained on.

    Frozen layers stand for themselves by their checksum.
    """
    header = {
        "network": "cffn",
        "variant": cffn.variant,
        "feature_levels": list(cffn.feature_levels),
        "unit_norm": cffn.unit_norm,
        "image_size": image_size,
        "frozen_sha256": frozen_sha256(cffn),
    }
    save_module(path, cffn, header, without=frozen_tensors(cffn))


def load_cffn(path: str | Path) -> tuple[FeatureNetwork, int]:
    """The CFFN of a file, in evaluation mode, and its image size.

    Raises:
        DetectorWeightsError: if the file is absent, damaged or of another network, or the frozen layers here
            are not those that it was trained on.
    """
    path = Path(path)
    tensors, header = load_tensors(path, "cffn", CFFN_KEYS)
    if header["variant"] not in VARIANTS:
        known = ", ".join(VARIANTS)
        raise DetectorWeightsError(f"{path}: variant must be one of {known}, got {header['variant']!r}")
    cffn = build_cffn(header["variant"], header["feature_levels"], header["unit_norm"])
    if (found := frozen_sha256(cffn)) != header["frozen_sha256"]:
        raise DetectorWeightsError(
            f"{path}: trained on frozen layers of sha256 {header['frozen_sha256']}, the installed ones have "
            f"{found}"
        )
    fill_module(path, cffn, tensors | frozen_tensors(cffn))
    return cffn.eval(), int(header["image_size"])
