"""Is there a GPU? Asked of its driver, because PyTorch takes seconds to import."""

from __future__ import annotations

import ctypes
import sys


def _driver_devices() -> int:
    """How many GPUs the CUDA driver offers this process; 0 without a driver."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return 0
    return count.value


def gpu_count() -> int:
    """How many CUDA GPUs PyTorch can use; it is imported only if a driver offers one."""
    if not _driver_devices():
        return 0
    import torch

    return torch.cuda.device_count()
