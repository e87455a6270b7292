"""What attribution reads from a CFFN: its embedding, and what its levels put out before their heads."""

from __future__ import annotations

import numpy as np
import torch

from fakeface.models.cffn import FeatureNetwork, NetworkInput


@torch.no_grad()
def attribution_features(cffn: FeatureNetwork, x: NetworkInput) -> tuple[np.ndarray, np.ndarray]:
    """Both kinds of features of a batch, in one pass.

    Pairs pull the fakes of all GANs together, so what tells them apart is partly gone from the embedding. The
    levels still have it: mean and standard deviation, over the picture, of each of their channels.

    Args:
        cffn: trained, in evaluation mode.
        x: images or activations, in single precision, on its device.

    Returns:
        embeddings float32 (B, feature_dim) and level statistics float32 (B, 2 x channels of all levels).
    """
    blocks, maps = cffn.blocks_and_maps(x)
    statistics = [part for block in blocks for part in cffn.block_statistics(block)]
    return cffn.embed_maps(maps).float().cpu().numpy(), torch.cat(statistics, dim=1).float().cpu().numpy()
