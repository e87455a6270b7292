"""Where the evidence for a verdict lies: Grad-CAM on the levels of the CFFN.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", ICCV
2017, equations 1 and 2: with A_k the maps that a block puts out and y the score of a class,

    alpha_k = mean over positions of dy / dA_k        L = ReLU(sum over k of alpha_k A_k)

The class is the one that the detector decided for, and y is how far its logit is above the other's: all that
a softmax over two classes reads.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from fakeface.detector.detector import Detector
from fakeface.models.cffn import FeatureNetwork, to_input
from fakeface.models.cn import ClassificationNetwork

# Aligned faces fill the middle: a square of 60 % of the side, 36 % of the area.
CENTRAL_SIDE = 0.6


def level_cams(
    cffn: FeatureNetwork, cn: ClassificationNetwork, x: torch.Tensor, called_fake: torch.Tensor
) -> list[torch.Tensor]:
    """Grad-CAM of every feature level.

    The networks are in evaluation mode, so that images of a batch do not touch each other; ``x`` is
    (B, 3, S, S) in [-1, 1]; ``called_fake``, bool (B,), the class whose evidence is asked for: fake, or else
    real. Gives (B, s, s) a level, finest first, at its own side, >= 0, in units of the logit.
    """
    with torch.enable_grad():
        # Frozen weights record no graph unless the input asks for one.
        blocks, maps = cffn.blocks_and_maps(x.detach().requires_grad_())
        logits = cn(FeatureNetwork.joint_map(maps))
        towards = torch.where(called_fake, 1.0, -1.0).to(logits)
        score = (logits[:, 1] - logits[:, 0]) * towards
        gradients = torch.autograd.grad(score.sum(), blocks)
    return [
        F.relu((gradient.mean(dim=(2, 3), keepdim=True) * block).sum(dim=1)).detach()
        for block, gradient in zip(blocks, gradients, strict=True)
    ]


def grad_cam(detector: Detector, images: np.ndarray, called_fake: np.ndarray, batch_size: int) -> np.ndarray:
    """One heatmap an image: the Grad-CAMs of the feature levels, enlarged and added up.

    A cell of a coarse level stands for many pixels; its evidence is spread over them, so that levels keep the
    weights that they have in the logit. Computed in float32, whatever the precision of the scores.

    Images are uint8 (N, S, S, 3), preprocessed and laundered, with the verdicts to explain, bool (N,).
    Gives float32 (N, S, S), >= 0; all 0 where no position speaks for the verdict.
    """
    heatmaps = [np.empty((0, *images.shape[1:3]), dtype=np.float32)]
    for start in range(0, len(images), batch_size):
        part = slice(start, start + batch_size)
        x = to_input(np.ascontiguousarray(images[part]), detector.fabric.device)
        verdicts = torch.from_numpy(np.ascontiguousarray(called_fake[part])).to(x.device)
        total = torch.zeros_like(x[:, 0])
        for cam in level_cams(detector.cffn, detector.cn, x, verdicts):
            enlarged = F.interpolate(cam[:, None], x.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
            total += enlarged * (cam[0].numel() / x[0, 0].numel())
        heatmaps.append(total.cpu().numpy())
    return np.concatenate(heatmaps)


def central_share(heatmaps: np.ndarray) -> np.ndarray:
    """Share of each heatmap's mass inside the central square of :data:`CENTRAL_SIDE` of the side.

    float (N, S, S), >= 0, to float64 (N,) in [0, 1], NaN for a heatmap that is 0 everywhere. An even heatmap
    has 0.36.
    """
    side = heatmaps.shape[-1]
    low, high = side * (1 - CENTRAL_SIDE) / 2, side * (1 + CENTRAL_SIDE) / 2
    edges = np.arange(side)
    # How much of each row of pixels lies in the square; its edges cut through pixels.
    inside = np.clip(np.minimum(edges + 1, high) - np.maximum(edges, low), 0, 1)
    maps = heatmaps.astype(np.float64)
    total = maps.sum(axis=(1, 2))
    return np.divide(inside @ maps @ inside, total, out=np.full(len(maps), np.nan), where=total > 0)
