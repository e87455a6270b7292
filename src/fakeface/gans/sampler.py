"""A loaded generator: latents in, 8-bit photographs out, the same bytes whatever the caller's batch."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from fakeface.errors import FakefaceError

# Convolutions may round differently for another batch shape, so every forward has this one.
SAMPLE_BATCH = 50
# How far beyond [-1, 1] rounding may carry a network that ends in tanh.
RANGE_SLACK = 1e-3


class GeneratorOutputError(FakefaceError, RuntimeError):
    """A generator returned something that is no batch of images."""


class Generator:
    """A pretrained network that maps latents to square RGB images.

    Args:
        name: the GAN's name in params.yaml, for messages.
        network: maps z (B, z_dim) float32 to (B, 3, S, S) in [-1, 1].
        z_dim: length of a latent vector.
    """

    def __init__(self, name: str, network: nn.Module, z_dim: int) -> None:
        self.name = name
        self.z_dim = z_dim
        self.network = network.eval().requires_grad_(False)

    @torch.inference_mode()
    def sample(self, z: np.ndarray) -> np.ndarray:
        """Images of ``z``; the value v in [-1, 1] becomes ``round(127.5 * (v + 1))``.

        Latents go through the network ``SAMPLE_BATCH`` at a time, the last batch padded with zeros, so
        calls that split ``z`` at multiples of that size give the bytes of a single call.

        Args:
            z: float32 (B, z_dim), B >= 1.

        Returns:
            uint8 (B, S, S, 3), RGB.

        Raises:
            ValueError: if ``z`` has another shape.
            GeneratorOutputError: if the network's output has another shape, is not finite or leaves [-1, 1].
        """
        if z.ndim != 2 or z.shape[1] != self.z_dim or len(z) == 0:
            raise ValueError(f"{self.name}: latents must be (B, {self.z_dim}) with B >= 1, got {z.shape}")
        padded = np.zeros((-(-len(z) // SAMPLE_BATCH) * SAMPLE_BATCH, self.z_dim), dtype=np.float32)
        padded[: len(z)] = z
        batches = [
            self._forward(torch.from_numpy(batch)) for batch in padded.reshape(-1, SAMPLE_BATCH, self.z_dim)
        ]
        return np.concatenate(batches)[: len(z)]

    def _forward(self, z: torch.Tensor) -> np.ndarray:
        x = self.network(z)
        if x.ndim != 4 or x.shape[1] != 3 or x.shape[2] != x.shape[3]:
            raise GeneratorOutputError(f"{self.name}: output must be (B, 3, S, S), got {tuple(x.shape)}")
        if not bool(torch.isfinite(x).all()):
            raise GeneratorOutputError(f"{self.name}: output has NaN or infinite pixels, expected [-1, 1]")
        low, high = float(x.min()), float(x.max())
        if low < -1 - RANGE_SLACK or high > 1 + RANGE_SLACK:
            raise GeneratorOutputError(
                f"{self.name}: output must lie in [-1, 1], got [{low:.4g}, {high:.4g}]"
            )
        pixels = x.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
        return pixels.permute(0, 2, 3, 1).contiguous().numpy()
