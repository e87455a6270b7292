"""When a progressively growing GAN is how large: Karras et al. 2018, section 2 and appendix A."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import nn


class Growth(NamedTuple):
    """``level``: 0 is 4x4, each further one doubles the side; ``alpha``: how far the last is blended in."""

    level: int
    alpha: float

    @property
    def side(self) -> int:
        """Of the images at this point."""
        return 4 * 2**self.level


def growth_at(images_shown: int, phase_images: int, last_level: int) -> Growth:
    """One phase at 4x4, then for each level one that blends it in and one on it; the last level stays."""
    phase, offset = divmod(images_shown, phase_images)
    level = (phase + 1) // 2
    if level > last_level:
        return Growth(last_level, 1.0)
    return Growth(level, offset / phase_images if phase % 2 == 1 else 1.0)


class _Growing(nn.Module):
    """What the networks of a progressively growing GAN have beyond others."""

    level: int
    alpha: float


def set_growth(network: nn.Module, growth: Growth) -> None:
    """Set how much of ``network`` is used.

    Raises:
        ValueError: if the architecture cannot grow.
    """
    if not hasattr(network, "level"):
        raise ValueError(f"{type(network).__name__} cannot grow, recipes with growth need pggan networks")
    growing = cast(_Growing, network)
    growing.level, growing.alpha = growth.level, growth.alpha


def shrink(real: torch.Tensor, growth: Growth) -> torch.Tensor:
    """Photographs (B, 3, H, W) at the side of ``growth``, mixed with coarser ones while it fades in."""
    x = F.avg_pool2d(real, real.shape[-1] // growth.side)
    if growth.alpha == 1:
        return x
    coarse = F.interpolate(F.avg_pool2d(x, 2), scale_factor=2, mode="nearest")
    return coarse.lerp(x, growth.alpha)
