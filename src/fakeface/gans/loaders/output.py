"""How a network's images become RGB in a known range."""

from __future__ import annotations

import torch
from torch import nn


class Shown(nn.Module):
    """A network whose images are shown as its publisher shows them.

    Args:
        network: maps z to (B, 3, S, S).
        bgr: the network's first channel is blue.
        clip: values beyond it are cut off, for networks without a last activation; None: nothing is.
    """

    def __init__(
        self, network: nn.Module, *, bgr: bool = False, clip: tuple[float, float] | None = (-1.0, 1.0)
    ) -> None:
        super().__init__()
        self.network, self.bgr, self.clip = network, bgr, clip

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """z (B, z_dim) to (B, 3, S, S) RGB."""
        x = self.network(z)
        x = x.flip(1) if self.bgr else x
        return x if self.clip is None else x.clamp(*self.clip)
