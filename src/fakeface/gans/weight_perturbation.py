"""More varied training fakes from one generator: copies with each convolution weight off by some per cent.

A detector that is trained on one set of weights learns what that set leaves behind. Copies with perturbed
weights show much the same faces with other traces. They cost no training, and only the training split has
them: validation and test images are those of the generator as it is.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from fakeface.data.image_sets import Split
from fakeface.gans.sampler import SAMPLE_BATCH, Generator, Source, draw_seeds, latent_batches

# Standard deviation of the factors, drawn anew for every copy. At 0.2 the faces begin to fall apart.
SPREAD = (0.05, 0.2)
# Part of the seeds: another word would make other fakes than the published ones.
_STREAM = "disturbed"


class PerturbedGenerator:
    """A source whose last training images, a ``share`` in [0, 1] of them, come from perturbed copies."""

    def __init__(self, generator: Generator, share: float) -> None:
        self.generator = generator
        self.share = share

    @property
    def name(self) -> str:
        return self.generator.name

    def batches(self, split: Split, count: int, seed: int, batch_size: int) -> Iterator[np.ndarray]:
        """``count`` images of ``split``; a copy makes ``SAMPLE_BATCH`` of them: uint8 (B, S, S, 3)."""
        plain = count - round(self.share * count) if split == "train" else count
        if plain:
            yield from self.generator.batches(split, plain, seed, batch_size)
        source = self.generator
        parts = latent_batches(
            self.name, split, count, source.z_dim, seed, source.distribution, size=SAMPLE_BATCH, skip=plain
        )
        copies = draw_seeds(f"{self.name} {_STREAM}", split, -(-(count - plain) // SAMPLE_BATCH), seed)
        for part, copy_seed in zip(parts, copies, strict=True):
            with _Perturbation(source.network, int(copy_seed)):
                yield source.sample(part, clip=True)


class _Perturbation:
    """Multiplies each weight of the convolutions by 1 + spread * normal, and puts the weights back."""

    def __init__(self, network: nn.Module, seed: int) -> None:
        self.weights = [weight for weight in network.parameters() if weight.ndim == 4]
        self.seed = seed

    @torch.no_grad()
    def __enter__(self) -> None:
        stream = np.random.RandomState(np.random.MT19937(np.random.SeedSequence(self.seed)))
        spread = stream.uniform(*SPREAD)
        self.before = [weight.clone() for weight in self.weights]
        for weight in self.weights:
            factors = 1 + spread * torch.from_numpy(stream.standard_normal(tuple(weight.shape)))
            weight.mul_(factors.to(weight))

    @torch.no_grad()
    def __exit__(self, *_: object) -> None:
        for weight, before in zip(self.weights, self.before, strict=True):
            weight.copy_(before)


def with_perturbed(source: Source, share: float) -> Source:
    """``source`` with that share of its training images perturbed, where its weights can be reached at all.

    Folders, ONNX files and diffusion pipelines stay as they are.
    """
    return PerturbedGenerator(source, share) if share and isinstance(source, Generator) else source
