"""The detector as one network: bytes of prepared images in, scores out."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from fakeface.detector.calibration import Calibration
from fakeface.detector.cn import ClassificationNetwork
from fakeface.detector.features import FeatureNetwork
from fakeface.detector.reference import BLOCK, FINE, FLOOR, LUMA, SCALE, PhotographReference


def fine_filters() -> torch.Tensor:
    """Filters for a block's fine coefficients, orthonormal cosine transform: float32 (16, 1, 8, 8)."""
    k, n = torch.arange(FINE, BLOCK).double(), torch.arange(BLOCK).double()
    waves = math.sqrt(2 / BLOCK) * torch.cos(math.pi * k[:, None] * (2 * n + 1) / (2 * BLOCK))
    return torch.einsum("uy,vx->uvyx", waves, waves).reshape(-1, 1, BLOCK, BLOCK).float()


class MissingDetail(nn.Module):
    """:func:`fakeface.detector.reference.missing_detail` in tensors."""

    filters: torch.Tensor
    luma: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filters", fine_filters())
        self.register_buffer("luma", torch.tensor(LUMA))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """float32 (N, 3, S, S) in [0, 255] to float32 (N,)."""
        luma = torch.einsum("nchw,c->nhw", images, self.luma)[:, None]
        fine = F.conv2d(luma, self.filters, stride=BLOCK)
        return torch.log(torch.exp(-((fine / SCALE) ** 2)).mean(dim=(1, 2, 3)) + FLOOR)


class WholeDetector(nn.Module):
    """Normalisation, CFFN, CN, reference and calibration.

    Args:
        cffn, cn: trained networks.
        calibration: from margins to scores.
        reference: taken off the margins before.
    """

    def __init__(
        self,
        cffn: FeatureNetwork,
        cn: ClassificationNetwork,
        calibration: Calibration,
        reference: PhotographReference,
    ) -> None:
        super().__init__()
        self.cffn, self.cn, self.traces = cffn.eval(), cn.eval(), MissingDetail()
        self.slope, self.bias = calibration.slope, calibration.bias
        self.reference = reference

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """uint8 (N, S, S, 3), RGB, to P(fake) float32 (N,) and embeddings float32 (N, feature_dim)."""
        pixels = images.permute(0, 3, 1, 2).float()
        maps = self.cffn.level_maps(pixels / 127.5 - 1.0)
        logits = self.cn(FeatureNetwork.joint_map(maps))
        t = self.traces(pixels).clamp(self.reference.lowest, self.reference.highest)
        constant, linear, square = self.reference.coefficients
        margin = logits[:, 1] - logits[:, 0] - (constant + linear * t + square * t * t)
        return torch.sigmoid(self.slope * margin + self.bias), self.cffn.embed_maps(maps)
