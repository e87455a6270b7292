"""Pseudo-fakes: photographs that carry the traces of an upsampler which no generator of ours has.

A generator's layers double the side of their maps, and each way of doing so leaves its grid in the picture
(Odena et al., "Deconvolution and Checkerboard Artifacts", Distill 2016; Zhang et al., WIFS 2019). Few
generators have few such grids. Here a photograph is averaged down by 2 or 4 and brought up again by an
upsampler drawn at random, kernel and all, then blended with the photograph. What is photographed stays as it
is, so only the traces are left to tell the two apart.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

FACTORS = (2, 2, 4)  # a last layer doubles; the grid of the one before it is weaker but there
LEAST_BLEND = 0.4


def _transposed(coarse: torch.Tensor, factor: int, rng: np.random.Generator) -> torch.Tensor:
    """Transposed convolution; each weight of its kernel is off the bilinear one by some per cent."""
    ramp = torch.arange(1, 2 * factor, 2, dtype=torch.float32)
    line = torch.cat([ramp, ramp.flip(0)]) / (2 * factor)
    kernel = line[:, None] * line[None, :]
    kernel = kernel * (1 + float(rng.uniform(0.02, 0.25)) * _normal(rng, tuple(kernel.shape)))
    padded = F.pad(coarse, (1, 1, 1, 1), mode="replicate")
    return F.conv_transpose2d(
        padded, kernel.expand(3, 1, -1, -1), stride=factor, padding=factor + factor // 2, groups=3
    )


def _nearest(coarse: torch.Tensor, factor: int, rng: np.random.Generator) -> torch.Tensor:
    """Repeated pixels, then a 3x3 convolution near the binomial one."""
    binomial = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    return _filtered(F.interpolate(coarse, scale_factor=factor, mode="nearest"), binomial, rng)


def _bilinear(coarse: torch.Tensor, factor: int, rng: np.random.Generator) -> torch.Tensor:
    """Linear interpolation, then a 3x3 convolution near the identity."""
    identity = torch.zeros(3, 3)
    identity[1, 1] = 1
    up = F.interpolate(coarse, scale_factor=factor, mode="bilinear", align_corners=False)
    return _filtered(up, identity, rng)


def _periodic(coarse: torch.Tensor, factor: int, rng: np.random.Generator) -> torch.Tensor:
    """Cubic interpolation, then a gain for each place in the grid, as shuffled pixels have."""
    up = F.interpolate(coarse, scale_factor=factor, mode="bicubic", align_corners=False)
    gain = 1 + float(rng.uniform(0.01, 0.06)) * _normal(rng, (factor, factor))
    height, width = coarse.shape[-2:]
    return up * gain.repeat(height, width)


UPSAMPLERS = (_transposed, _nearest, _bilinear, _periodic)


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.from_numpy(rng.standard_normal(shape)).float()


def _filtered(image: torch.Tensor, centre: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A 3x3 convolution around ``centre`` that keeps the mean."""
    kernel = centre + float(rng.uniform(0.02, 0.1)) * _normal(rng, (3, 3))
    kernel = kernel / kernel.sum()
    return F.conv2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), kernel.expand(3, 1, -1, -1), groups=3)


def pseudo_fake(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A photograph, uint8 (H, W, 3), sides multiples of 4, with a random upsampler's traces; a new array."""
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float()
    factor = FACTORS[int(rng.integers(len(FACTORS)))]
    upsample = UPSAMPLERS[int(rng.integers(len(UPSAMPLERS)))]
    up = upsample(F.avg_pool2d(pixels, factor), factor, rng)
    blended = torch.lerp(pixels, up, float(rng.uniform(LEAST_BLEND, 1)))
    return blended[0].clamp(0, 255).round().byte().permute(1, 2, 0).numpy()
