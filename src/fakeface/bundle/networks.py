"""A bundle's networks in PyTorch: for GPUs, heatmaps and export."""

from __future__ import annotations

from pathlib import Path

import torch
from lightning_fabric import Fabric

from fakeface.base.runtime import FABRIC_PRECISION
from fakeface.bundle.bundle import (
    CFFN_FILE,
    CN_FILE,
    NO_GPU,
    Bundle,
    BundleError,
    check_files,
    find_detector,
    joined,
    read_manifest,
)
from fakeface.detector.detector import Detector


def load_networks(folder: str | Path, device: str = "auto", threads: int | None = None) -> Bundle[Detector]:
    """As :func:`fakeface.bundle.bundle.load_bundle`, but always in PyTorch.

    Args:
        folder: as there.
        device: ``auto`` (a GPU where there is one), ``cpu`` or ``cuda``.
        threads: of PyTorch in this process; None leaves their number.

    Raises:
        BundleError, DetectorWeightsError: as there.
    """
    folder = find_detector(folder)
    manifest = read_manifest(folder)
    check_files(folder, manifest)
    if device == "cuda" and not torch.cuda.is_available():
        raise BundleError(NO_GPU)
    if threads is not None:
        torch.set_num_threads(threads)
    cuda = torch.cuda.is_available() and device != "cpu"
    # A CPU has no half precision; in full precision it computes the same, but for rounding.
    precision = "fp32" if manifest.precision == "fp16" and not cuda else manifest.precision
    fabric = Fabric(accelerator=device, devices=1, precision=FABRIC_PRECISION[precision])
    detector = Detector.load(folder / CFFN_FILE, folder / CN_FILE, fabric)
    return joined(folder, manifest, detector)
