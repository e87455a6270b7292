"""The detector as one network: bytes of prepared images in, scores out."""

from __future__ import annotations

import torch
from torch import nn

from fakeface.detector.calibration import Calibration
from fakeface.detector.cn import ClassificationNetwork
from fakeface.detector.features import FeatureNetwork


class WholeDetector(nn.Module):
    """Normalisation, CFFN, CN and calibration.

    Args:
        cffn, cn: trained networks.
        calibration: from the CN's logits to scores.
    """

    def __init__(self, cffn: FeatureNetwork, cn: ClassificationNetwork, calibration: Calibration) -> None:
        super().__init__()
        self.cffn, self.cn = cffn.eval(), cn.eval()
        self.slope, self.bias = calibration.slope, calibration.bias

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """uint8 (N, S, S, 3), RGB, to P(fake) float32 (N,) and embeddings float32 (N, feature_dim)."""
        x = images.permute(0, 3, 1, 2).float() / 127.5 - 1.0
        maps = self.cffn.level_maps(x)
        logits = self.cn(FeatureNetwork.joint_map(maps))
        margin = logits[:, 1] - logits[:, 0]
        return torch.sigmoid(self.slope * margin + self.bias), self.cffn.embed_maps(maps)
