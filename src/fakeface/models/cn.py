"""The classification network (CN) of Hsu, Zhuang and Lee 2020, Table 1."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn


class ClassificationNetwork(nn.Module):
    """Conv 3x3 to two channels, global average pooling, fully connected layer to two logits.

    Args:
        feature_dim: channels of the joint CFFN map.
    """

    def __init__(self, feature_dim: int = 384) -> None:
        super().__init__()
        self.conv = nn.Conv2d(feature_dim, 2, 3, padding=1)
        self.fc = nn.Linear(2, 2)

    def forward(self, joint_map: torch.Tensor) -> torch.Tensor:
        """(B, feature_dim, s, s) to logits (B, 2), column 1 for fake; softmax is the caller's."""
        return self.fc(self.conv(joint_map).mean(dim=(2, 3)))


def margins_of(logits: torch.Tensor) -> np.ndarray:
    """Logits (N, 2), column 1 for fake, to margins float64 (N,)."""
    pairs = logits.detach().double().cpu().numpy()
    return pairs[:, 1] - pairs[:, 0]
