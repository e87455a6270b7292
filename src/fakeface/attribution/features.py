"""What attribution reads from a CFFN: its embedding, and what its levels put out before their heads."""

from __future__ import annotations

import numpy as np
import torch

from fakeface.detector.dataset import to_input
from fakeface.detector.features import FeatureNetwork


@torch.no_grad()
def attribution_features(
    cffn: FeatureNetwork, images: np.ndarray, device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    """Both kinds of features of prepared and laundered images, in one pass and in single precision.

    Pairs pull the fakes of all GANs together, so what tells them apart is partly gone from the embedding. The
    levels still have it: mean and standard deviation, over the picture, of each of their channels.

    Args:
        cffn: trained, in evaluation mode, on ``device``.
        images: uint8 (B, S, S, 3).
        device: where the network is.

    Returns:
        embeddings float32 (B, feature_dim) and level statistics float32 (B, 2 x channels of all levels).
    """
    blocks, maps = cffn.blocks_and_maps(to_input(np.ascontiguousarray(images), device))
    statistics = [part for block in blocks for part in (block.mean(dim=(2, 3)), block.std(dim=(2, 3)))]
    return cffn.embed_maps(maps).float().cpu().numpy(), torch.cat(statistics, dim=1).float().cpu().numpy()
