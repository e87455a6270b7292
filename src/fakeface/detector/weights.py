"""CFFN and CN weights as safetensors, with what is needed to rebuild the network in the header."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from fakeface.detector.cn import ClassificationNetwork
from fakeface.detector.features import FeatureNetwork
from fakeface.detector.variants import VARIANTS, build_cffn
from fakeface.errors import FakefaceError
from fakeface.tensorfile import save_tensors


class DetectorWeightsError(FakefaceError, ValueError):
    """A weights file is damaged or belongs to another network."""


def _save(path: Path, module: nn.Module, header: dict[str, Any]) -> None:
    save_tensors(path, module.state_dict(), {key: json.dumps(value) for key, value in header.items()})


def _load(path: Path, kind: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as stored:
            header = {key: json.loads(value) for key, value in (stored.metadata() or {}).items()}
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (SafetensorError, FileNotFoundError, json.JSONDecodeError) as error:
        raise DetectorWeightsError(f"{path}: cannot be read as safetensors ({error})") from error
    if header.get("network") != kind:
        raise DetectorWeightsError(f"{path}: network must be {kind!r}, got {header.get('network')!r}")
    return tensors, header


def _fill(path: Path, module: nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise DetectorWeightsError(f"{path}: {error}") from error


def save_cffn(path: str | Path, cffn: FeatureNetwork, image_size: int) -> None:
    """Write a CFFN and the side of the images that it was trained on."""
    header = {
        "network": "cffn",
        "variant": cffn.variant,
        "feature_levels": list(cffn.feature_levels),
        "unit_norm": cffn.unit_norm,
        "image_size": image_size,
    }
    _save(Path(path), cffn, header)


def load_cffn(path: str | Path) -> tuple[FeatureNetwork, int]:
    """The CFFN of a file, in evaluation mode, and its image size.

    Raises:
        DetectorWeightsError: if the file is absent, damaged or of another network.
    """
    path = Path(path)
    tensors, header = _load(path, "cffn")
    if header["variant"] not in VARIANTS:
        known = ", ".join(VARIANTS)
        raise DetectorWeightsError(f"{path}: variant must be one of {known}, got {header['variant']!r}")
    cffn = build_cffn(header["variant"], header["feature_levels"], header["unit_norm"])
    _fill(path, cffn, tensors)
    return cffn.eval(), int(header["image_size"])


def save_cn(path: str | Path, cn: ClassificationNetwork, threshold: float) -> None:
    """Write a CN together with its frozen decision threshold on P(fake)."""
    _save(Path(path), cn, {"network": "cn", "threshold": threshold})


def load_cn(path: str | Path) -> tuple[ClassificationNetwork, float]:
    """The CN of a file, in evaluation mode, and its threshold.

    Raises:
        DetectorWeightsError: if the file is absent, damaged or of another network.
    """
    path = Path(path)
    tensors, header = _load(path, "cn")
    if "conv.weight" not in tensors:
        raise DetectorWeightsError(f"{path}: conv.weight is missing")
    cn = ClassificationNetwork(tensors["conv.weight"].shape[1])
    _fill(path, cn, tensors)
    return cn.eval(), float(header["threshold"])
