"""The attribution head's file: safetensors."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from fakeface.attribution.head import AttributionHead
from fakeface.detector.weights import DetectorWeightsError, load_tensors
from fakeface.tensorfile import save_tensors

KIND = "attribution"
_TENSORS = ("whitening", "centres", "reference")


def save_head(path: str | Path, head: AttributionHead) -> None:
    """Write a head; single precision is enough for it and half the size."""
    tensors = {name: torch.from_numpy(getattr(head, name)).float() for name in _TENSORS}
    header = {"network": KIND, "gans": list(head.gans), "limit": head.limit}
    save_tensors(path, tensors, {key: json.dumps(value) for key, value in header.items()})


def load_head(path: str | Path) -> AttributionHead:
    """The head of a file.

    Raises:
        DetectorWeightsError: if the file is absent, damaged or something else.
    """
    path = Path(path)
    tensors, header = load_tensors(path, KIND, ("gans", "limit"))
    if missing := [name for name in _TENSORS if name not in tensors]:
        raise DetectorWeightsError(f"{path}: {', '.join(missing)} missing")
    values = {name: tensors[name].double().numpy() for name in _TENSORS}
    count, width = len(header["gans"]), len(values["whitening"])
    shapes = {"whitening": (width, width), "centres": (count, width), "reference": (2, 2)}
    for name, shape in shapes.items():
        if values[name].shape != shape:
            raise DetectorWeightsError(f"{path}: {name} must have shape {shape}, got {values[name].shape}")
    return AttributionHead(gans=tuple(header["gans"]), limit=float(header["limit"]), **values)
