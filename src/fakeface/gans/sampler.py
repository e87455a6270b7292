"""Where fakes come from: latents, disjoint by split and by GAN, and networks that make images of them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Literal, Protocol

import numpy as np
import torch
from torch import nn

from fakeface.base.errors import FakefaceError
from fakeface.data.image_sets import SPLITS, Split

Distribution = Literal["normal", "uniform"]

# Convolutions may round differently for another batch shape, so every forward on a CPU has this one.
SAMPLE_BATCH = 50
# How far beyond its range rounding may carry a network that ends in tanh, as a share of half of the range.
RANGE_SLACK = 1e-3


def _stream(gan: str, split: Split, seed: int) -> np.random.RandomState:
    sequence = np.random.SeedSequence([seed, zlib.crc32(gan.encode("utf-8")), SPLITS.index(split)])
    # RandomState, because NEP 19 freezes its streams for all versions of numpy and Generator's not.
    return np.random.RandomState(np.random.MT19937(sequence))


def latent_batches(
    gan: str,
    split: Split,
    count: int,
    z_dim: int,
    seed: int,
    distribution: Distribution = "normal",
    *,
    size: int,
    skip: int = 0,
) -> Iterator[np.ndarray]:
    """Latents of one split of one GAN, standard normal or uniform in [-1, 1): float32 (B, z_dim).

    The stream is seeded with ``SeedSequence([seed, crc32(gan), index of split])``, so no two splits and no
    two GANs share one, adding a GAN moves no other, and asking for more images keeps the first ones. Of
    ``count`` latents, the first ``skip`` are left out; the rest comes ``size`` at a time.
    """
    stream = _stream(gan, split, seed)

    def draw(rows: int) -> np.ndarray:
        if distribution == "normal":
            return stream.standard_normal((rows, z_dim)).astype(np.float32)
        return stream.uniform(-1, 1, (rows, z_dim)).astype(np.float32)

    for start in range(0, skip, size):
        draw(min(size, skip - start))
    for start in range(skip, count, size):
        yield draw(min(size, count - start))


def draw_seeds(gan: str, split: Split, count: int, seed: int) -> np.ndarray:
    """One seed an image from the same streams, int64 (count,) >= 0, for samplers with noise of their own."""
    return _stream(gan, split, seed).randint(0, 2**63 - 1, count, dtype=np.int64)


class GeneratorOutputError(FakefaceError, RuntimeError):
    """A generator returned something that is no batch of images."""


class Source(Protocol):
    """Whatever the fakes of one entry of ``gans:`` come from."""

    @property
    def name(self) -> str:
        """The entry's name."""

    def batches(self, split: Split, count: int, seed: int, batch_size: int) -> Iterator[np.ndarray]:
        """At most ``count`` images of ``split``, whatever the ``batch_size``: uint8 (B, H, W, 3), RGB."""


class Generator:
    """A pretrained network that maps latents to square RGB images.

    Args:
        name: the GAN's name in params.yaml, for messages.
        network: maps z (B, z_dim) float32 to (B, 3, S, S).
        z_dim: length of a latent vector.
        value_range: the values that stand for black and white.
        distribution: what latents are drawn from.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        z_dim: int,
        value_range: tuple[float, float] = (-1.0, 1.0),
        distribution: Distribution = "normal",
    ) -> None:
        self.name = name
        self.z_dim = z_dim
        self.value_range = value_range
        self.distribution: Distribution = distribution
        self.network = network.eval().requires_grad_(False)
        self.device, self.forward_batch = torch.device("cpu"), SAMPLE_BATCH

    def to(self, device: torch.device, forward_batch: int) -> Generator:
        """This generator on another device, with so many latents a pass: other rounding, other bytes."""
        self.network.to(device)
        self.device, self.forward_batch = device, forward_batch
        return self

    def batches(self, split: Split, count: int, seed: int, batch_size: int) -> Iterator[np.ndarray]:
        """``count`` images of ``split``; ``batch_size`` is rounded up to a multiple of the network's own."""
        size = -(-batch_size // self.forward_batch) * self.forward_batch
        for z in latent_batches(self.name, split, count, self.z_dim, seed, self.distribution, size=size):
            yield self.sample(z)

    @torch.inference_mode()
    def sample(self, z: np.ndarray, *, clip: bool = False) -> np.ndarray:
        """Images of ``z``; v in [black, white] becomes ``round(255 * (v - black) / (white - black))``.

        Latents go through the network ``forward_batch`` at a time, the last batch padded with zeros, so
        calls that split ``z`` at multiples of that size give the bytes of a single call.

        Args:
            z: float32 (B, z_dim), B >= 1.
            clip: cut values beyond black and white off in place of refusing them.

        Returns:
            uint8 (B, S, S, 3), RGB.

        Raises:
            ValueError: if ``z`` has another shape.
            GeneratorOutputError: if the network's output has another shape, is not finite or out of range.
        """
        if z.ndim != 2 or z.shape[1] != self.z_dim or len(z) == 0:
            raise ValueError(f"{self.name}: latents must be (B, {self.z_dim}) with B >= 1, got {z.shape}")
        step = self.forward_batch
        padded = np.zeros((-(-len(z) // step) * step, self.z_dim), dtype=np.float32)
        padded[: len(z)] = z
        batches = [
            self._forward(torch.from_numpy(batch).to(self.device), clip)
            for batch in padded.reshape(-1, step, self.z_dim)
        ]
        return np.concatenate(batches)[: len(z)]

    def _forward(self, z: torch.Tensor, clip: bool) -> np.ndarray:
        x = self.network(z)
        if not isinstance(x, torch.Tensor):
            raise GeneratorOutputError(f"{self.name}: output must be a tensor, got {type(x).__name__}")
        if x.ndim != 4 or x.shape[1] != 3 or x.shape[2] != x.shape[3]:
            raise GeneratorOutputError(f"{self.name}: output must be (B, 3, S, S), got {tuple(x.shape)}")
        black, white = self.value_range
        expected = f"[{black:g}, {white:g}]"
        if not bool(torch.isfinite(x).all()):
            raise GeneratorOutputError(f"{self.name}: output has NaN or infinite pixels, expected {expected}")
        low, high = float(x.min()), float(x.max())
        slack = RANGE_SLACK * (white - black) / 2
        if not clip and (low < black - slack or high > white + slack):
            raise GeneratorOutputError(
                f"{self.name}: output must lie in {expected}, got [{low:.4g}, {high:.4g}]"
            )
        pixels = x.float().add(-black).mul(255 / (white - black)).round().clamp(0, 255).to(torch.uint8)
        return pixels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
