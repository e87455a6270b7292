"""What a generator was trained on, for its card: models of processor and GPU, no host name."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

import torch


def describe_hardware(device: torch.device) -> dict[str, str | int]:
    """``{device, name, cores}`` of the GPU or the processor that ``device`` names."""
    if device.type == "cuda":
        return {"device": "cuda", "name": torch.cuda.get_device_name(device), "cores": os.cpu_count() or 1}
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.is_file() else ""
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    name = model.group(1).strip() if model else platform.processor() or platform.machine()
    return {"device": device.type, "name": name, "cores": os.cpu_count() or 1}


def computes_in_bf16(device: torch.device) -> bool:
    """Whether ``device`` multiplies bfloat16 in hardware; where it does not, fp32 is many times faster."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # Absent before torch 2.10.
    features: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(features.get("amx_bf16") or features.get("avx512_bf16"))
