"""Differentiable augmentation for training on few photographs.

Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training", NeurIPS 2020: the same
random family of transforms is applied to reals and fakes, in front of the discriminator only, and
gradients pass through it to the generator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F


def _uniform(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(x.shape[0], 1, 1, 1, generator=generator, device=generator.device).to(x)


def colour(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Brightness by up to +-0.5, saturation by 0-2, contrast by 0.5-1.5, one draw an image."""
    x = x + (_uniform(x, generator) - 0.5)
    grey = x.mean(dim=1, keepdim=True)
    x = (x - grey) * (_uniform(x, generator) * 2) + grey
    level = x.mean(dim=(1, 2, 3), keepdim=True)
    return (x - level) * (_uniform(x, generator) + 0.5) + level


def translation(x: torch.Tensor, generator: torch.Generator, ratio: float = 0.125) -> torch.Tensor:
    """Shift each image by up to ``ratio`` of its side on both axes, zeros coming in."""
    batch, _, height, width = x.shape
    reach_y, reach_x = int(height * ratio + 0.5), int(width * ratio + 0.5)
    device = generator.device
    dy = torch.randint(0, 2 * reach_y + 1, (batch,), generator=generator, device=device).tolist()
    dx = torch.randint(0, 2 * reach_x + 1, (batch,), generator=generator, device=device).tolist()
    padded = F.pad(x, (reach_x, reach_x, reach_y, reach_y))
    shifted = [image[:, y : y + height, z : z + width] for image, y, z in zip(padded, dy, dx, strict=True)]
    return torch.stack(shifted)


AUGMENTATIONS: dict[str, Callable[[torch.Tensor, torch.Generator], torch.Tensor]] = {
    "colour": colour,
    "translation": translation,
}


def augment(x: torch.Tensor, policy: Sequence[str], generator: torch.Generator) -> torch.Tensor:
    """Apply the named augmentations in order to (B, 3, H, W) in [-1, 1]; same shape and dtype."""
    for name in policy:
        x = AUGMENTATIONS[name](x, generator)
    return x
