"""EfficientNet-Lite0 as a feature extractor of torch-fidelity.

Its input is 224x224. Smaller images are enlarged bilinearly, larger ones reduced with antialiasing, both
without rounding in between.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch_fidelity import register_feature_extractor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

from fakeface.lite0 import NAME, build_network, default_weights, fuse

INPUT_SIDE = 224
# Activations of eight images stay in a CPU's cache; larger batches run at half the speed.
CPU_BATCH = 8


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
        network = fuse(build_network(feature_extractor_weights_path or default_weights()))
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
