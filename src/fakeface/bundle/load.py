"""Read a bundle and check that nothing in it was changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from lightning_fabric import Fabric

from fakeface.attribution.head import AttributionHead
from fakeface.attribution.head_file import load_head
from fakeface.bundle.manifest import (
    ATTRIBUTION_FILE,
    CFFN_FILE,
    CN_FILE,
    FACES_FILE,
    BundleError,
    Manifest,
    read_manifest,
)
from fakeface.detector.scoring import Detector
from fakeface.runtime import FABRIC_PRECISION
from fakeface.wheels import sha256_of

_NEEDED = (CFFN_FILE, CN_FILE, ATTRIBUTION_FILE, FACES_FILE)


@dataclass(frozen=True)
class Bundle:
    """A detector that is ready for use.

    Attributes:
        manifest: what it says of itself.
        detector: the networks with thresholds and calibration.
        attribution: which GAN made a fake.
        faces: ONNX file of the face detector.
    """

    manifest: Manifest
    detector: Detector
    attribution: AttributionHead
    faces: Path


def check_files(folder: Path, manifest: Manifest) -> None:
    """Compare every file with the checksum in the manifest.

    Raises:
        BundleError: naming the files that are missing or altered.
    """
    problems = [f"{name} is not listed" for name in _NEEDED if name not in manifest.files]
    for name, expected in manifest.files.items():
        path = folder / name
        if Path(name).name != name:
            problems.append(f"{name!r} is no plain file name")
        elif not path.is_file():
            problems.append(f"{name} is missing")
        elif (actual := sha256_of(path)) != expected:
            problems.append(f"{name} was altered: its sha256 is {actual}, expected {expected}")
    if problems:
        raise BundleError(f"{folder}: {'; '.join(problems)}")


def load_bundle(folder: str | Path, device: str = "auto") -> Bundle:
    """A bundle's networks, on a device.

    Args:
        folder: as :func:`fakeface.bundle.write.write_bundle` made it.
        device: ``auto`` (a GPU where there is one), ``cpu`` or ``cuda``.

    Raises:
        BundleError: if it is no bundle, damaged, altered, contradictory or of a newer format.
        DetectorWeightsError: if weights do not fit their network.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    check_files(folder, manifest)
    if device == "cuda" and not torch.cuda.is_available():
        raise BundleError("device must be 'auto' or 'cpu' on a machine without a CUDA GPU, got 'cuda'")
    cuda = torch.cuda.is_available() and device != "cpu"
    # A CPU has no half precision; in full precision it computes the same, but for rounding.
    precision = "fp32" if manifest.precision == "fp16" and not cuda else manifest.precision
    fabric = Fabric(accelerator=device, devices=1, precision=FABRIC_PRECISION[precision])
    detector = Detector.load(folder / CFFN_FILE, folder / CN_FILE, fabric)
    said = {"image_size": manifest.preprocessing.image_size, **manifest.decision.model_dump(mode="json")}
    own = {
        "image_size": detector.image_size,
        "threshold": detector.threshold,
        "lower_threshold": detector.lower_threshold,
        "reference": detector.reference.numbers(),
        "calibration": detector.calibration.numbers(),
    }
    if own != said:
        raise BundleError(
            f"{folder}: image size and decision are {said} in detector.json, {own} in the weights"
        )
    attribution = load_head(folder / ATTRIBUTION_FILE)
    if attribution.gans != manifest.attribution.gans:
        raise BundleError(
            f"{folder}: attribution names {', '.join(manifest.attribution.gans)} in detector.json, "
            f"{', '.join(attribution.gans)} in the weights"
        )
    return Bundle(manifest, detector, attribution, folder / FACES_FILE)
