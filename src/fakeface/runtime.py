"""Where and how the networks run: device, precision, provenance of the figures."""

from __future__ import annotations

from typing import Any

import torch
from lightning_fabric import Fabric

from fakeface import __version__
from fakeface.params import Params, ParamsError

_FABRIC_PRECISION = {"fp32": "32-true", "bf16": "bf16-mixed"}


def make_fabric(params: Params) -> Fabric:
    """Lightning Fabric on the device and in the precision that the params ask for.

    Raises:
        ParamsError: if a GPU is asked for and there is none.
    """
    if params.device == "cuda" and not torch.cuda.is_available():
        raise ParamsError("device must be 'auto' or 'cpu' on a machine without a CUDA GPU, got 'cuda'")
    accelerator = "auto" if params.device == "auto" else params.device
    fabric = Fabric(accelerator=accelerator, devices=1, precision=_FABRIC_PRECISION[params.precision])
    fabric.launch()
    return fabric


def device_name(device: torch.device) -> str:
    """``cpu``, or the GPU's model name: figures made on two kinds of device are not compared blindly."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def provenance(params: Params, device: torch.device | None = None) -> dict[str, Any]:
    """The keys that every metrics file carries."""
    return {
        "fakeface_version": __version__,
        "torch_version": torch.__version__.split("+")[0],
        "seed": params.seed,
        "device": device_name(device or torch.device("cpu")),
    }
