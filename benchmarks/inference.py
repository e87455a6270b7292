"""From the bytes of a JPEG file to a score, against the networks of other detectors.

Pictures are aligned faces of 178x218 pixels; each network gets them at its own input size. The others have
random weights, which cost as much as trained ones: ResNet-50 is CNNDetection's network (Wang et al. 2020),
ViT-L UniversalFakeDetect's size (Ojha et al. 2023), Xception DeepfakeBench's default (Yan et al. 2023).
"""

from __future__ import annotations

import io
import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from PIL import Image
from timing import Section, rates_in_turns
from torch import nn

from fakeface.base.onnx_session import open_session
from fakeface.base.runtime import FABRIC_PRECISION
from fakeface.bundle.bundle import load_networks
from fakeface.bundle.export import INPUT, OUTPUTS, write_onnx
from fakeface.data.archives import open_archive
from fakeface.data.preprocess import decode, preprocess
from fakeface.detector.decision import DecisionRule
from fakeface.detector.detector import Detector
from fakeface.models.cffn import build_cffn
from fakeface.models.cn import ClassificationNetwork

BATCH, LARGE_BATCH = 64, 8
# ONNX Runtime keeps more images' activations than fit a CPU's cache otherwise.
ONNX_BATCH = 8
RESNET = "ResNet-50, 224"


def files(archive: Path, count: int) -> list[bytes]:
    """The archive's first photographs."""
    with open_archive(archive) as opened:
        return [content for _, content in itertools.islice(opened, count)]


def ours(detector: Detector, contents: list[bytes]) -> Callable[[], int]:
    """Decoding, preprocessing and both networks, in PyTorch."""

    def work() -> int:
        images = np.stack([preprocess(decode(content), detector.image_size) for content in contents])
        detector.score_and_embed(images, len(images))
        return len(contents)

    return work


def in_precision(detector: Detector, precision: str) -> Detector:
    """The same networks in another precision."""
    fabric = Fabric(accelerator=detector.fabric.device.type, devices=1, precision=FABRIC_PRECISION[precision])
    return Detector(
        detector.cffn,
        detector.cn,
        detector.rule,
        detector.image_size,
        fabric,
    )


def with_onnx(detector: Detector, path: Path, contents: list[bytes]) -> Callable[[], int]:
    """The exported file in ONNX Runtime."""
    write_onnx(detector, path)
    session = open_session(path, torch.get_num_threads())

    def work() -> int:
        images = np.stack([preprocess(decode(content), detector.image_size) for content in contents])
        for start in range(0, len(images), ONNX_BATCH):
            session.run([OUTPUTS[0]], {INPUT: images[start : start + ONNX_BATCH]})
        return len(contents)

    return work


def theirs(network: nn.Module, side: int, contents: list[bytes], device: torch.device) -> Callable[[], int]:
    """Decoding, scaling to the network's input and the network."""
    network = network.eval().to(device)

    @torch.no_grad()
    def work() -> int:
        pictures = [
            Image.open(io.BytesIO(content)).convert("RGB").resize((side, side)) for content in contents
        ]
        x = torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures])).to(device)
        network(x.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)).sum().item()
        return len(contents)

    return work


def measure(bundle: str, archive: Path, device: str, seconds: float, repeats: int) -> dict[str, Section]:
    """Images a second, and how many times as many as ResNet-50."""
    import timm
    from torchvision.models import resnet50, vit_l_16

    detector = load_networks(bundle, device).detector
    where = detector.fabric.device
    contents, few = files(archive, BATCH), files(archive, LARGE_BATCH)
    paper = Detector(
        build_cffn("paper", (2, 3, 4), False),
        ClassificationNetwork(),
        DecisionRule.at(0.5),
        64,
        detector.fabric,
    )
    with tempfile.TemporaryDirectory() as folder:
        works = {
            "this detector, fp32": ours(in_precision(detector, "fp32"), contents),
            "this detector, bf16": ours(in_precision(detector, "bf16"), contents),
            "the paper's networks, fp32": ours(in_precision(paper, "fp32"), contents),
            "the paper's networks, bf16": ours(in_precision(paper, "bf16"), contents),
            RESNET: theirs(resnet50(weights=None), 224, few, where),
            "Xception, 256": theirs(timm.create_model("legacy_xception", num_classes=1), 256, few, where),
            "ViT-L/16, 224": theirs(vit_l_16(weights=None), 224, few, where),
        }
        if where.type == "cpu":
            works["this detector, ONNX Runtime"] = with_onnx(
                detector, Path(folder) / "detector.onnx", contents
            )
        rows = rates_in_turns(works, seconds, repeats)
    ratios = {
        f"{name}, times ResNet-50": figures["median"] / rows[RESNET]["median"]
        for name, figures in rows.items()
        if name != RESNET
    }
    note = (
        "From the bytes of an aligned JPEG of 178x218 to a score; each network at its own input size. "
        "ResNet-50 is CNNDetection's network, ViT-L UniversalFakeDetect's size, Xception DeepfakeBench's "
        "default; they have random weights."
    )
    return {"Scoring": Section("images/s", rows, ratios, note)}
