"""What every variant of the common fake feature network has: level maps, an embedding, a joint map."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

LEVEL_CHANNELS = 128


class FeatureNetwork(nn.Module):
    """Images to embeddings whose distances say whether two pictures are of one kind.

    Args:
        feature_levels: which of the four levels (1-4, ascending) feed the embedding, 128 numbers each.
        unit_norm: divide each embedding by its length, so that distances lie in [0, 2].
    """

    variant: str

    def __init__(self, feature_levels: Sequence[int] = (2, 3, 4), unit_norm: bool = False) -> None:
        super().__init__()
        self.feature_levels = tuple(feature_levels)
        self.unit_norm = unit_norm
        self.feature_dim = LEVEL_CHANNELS * len(self.feature_levels)

    def _initialise(self, heads: nn.ModuleDict) -> None:
        for module in self.modules():
            # Frozen weights were learnt elsewhere.
            if isinstance(module, nn.Conv2d) and module.weight.requires_grad:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        # Embeddings that begin many margins apart leave the hinge idle: nothing pushes reals from fakes,
        # every pair contracts to distance margin / 2, and training stays there, at a loss of margin^2 / 8.
        # So each joined number begins with a variance of about 1 / feature_dim.
        with torch.no_grad():
            for module in heads.modules():
                if isinstance(module, nn.Conv2d):
                    module.weight.div_(math.sqrt(self.feature_dim))

    def blocks_and_maps(self, x: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """(B, 3, S, S) in [-1, 1] to what each feature level's block puts out, and the level maps made of it.

        Returns:
            One (B, C, s, s) a feature level before its head, finest first, where Grad-CAM looks; and
            :meth:`level_maps` of the same pass.
        """
        raise NotImplementedError

    def level_maps(self, x: torch.Tensor) -> list[torch.Tensor]:
        """(B, 3, S, S) in [-1, 1] to one (B, 128, s, s) map a feature level, finest first."""
        return self.blocks_and_maps(x)[1]

    def embed_maps(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Level maps to embeddings (B, feature_dim): pooled over the picture and joined."""
        embedding = torch.cat([level.mean(dim=(2, 3)) for level in maps], dim=1)
        return F.normalize(embedding, dim=1) if self.unit_norm else embedding

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, S, S) in [-1, 1] to embeddings (B, feature_dim)."""
        return self.embed_maps(self.level_maps(x))

    @staticmethod
    def joint_map(maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Level maps averaged to the coarsest level's side and joined: (B, feature_dim, s, s).

        This is what the classification network reads: the same 128 numbers a level as the
        embedding, but with their position.
        """
        side = (maps[-1].shape[-2], maps[-1].shape[-1])
        return torch.cat([F.adaptive_avg_pool2d(level, side) for level in maps], dim=1)
