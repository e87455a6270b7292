"""Where and how the networks run: device and precision."""

from __future__ import annotations

import torch
from lightning_fabric import Fabric

from fakeface.params import Params, ParamsError

FABRIC_PRECISION = {"fp32": "32-true", "bf16": "bf16-mixed"}


def make_fabric(params: Params) -> Fabric:
    """Lightning Fabric on the device and in the precision that the params ask for.

    Raises:
        ParamsError: if a GPU is asked for and there is none.
    """
    if params.device == "cuda" and not torch.cuda.is_available():
        raise ParamsError("device must be 'auto' or 'cpu' on a machine without a CUDA GPU, got 'cuda'")
    accelerator = "auto" if params.device == "auto" else params.device
    fabric = Fabric(accelerator=accelerator, devices=1, precision=FABRIC_PRECISION[params.precision])
    fabric.launch()
    return fabric


def device_name(device: torch.device) -> str:
    """``cpu``, or the GPU's model name: figures made on two kinds of device are not compared blindly."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
