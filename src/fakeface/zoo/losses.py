"""Losses and augmentation of the generators' training.

Augmentation for training on few photographs: Zhao et al., "Differentiable Augmentation for Data-Efficient GAN
Training", NeurIPS 2020. The same random family of transforms is applied to reals and fakes, in front of the
discriminator only, and gradients pass through it to the generator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F

Logits = torch.Tensor
Critic = Callable[[torch.Tensor], Logits]  # (B, C, H, W) to (B,)


class AdversarialLoss(NamedTuple):
    """``discriminator(real_logits, fake_logits)`` and ``generator(fake_logits)``, both minimised."""

    discriminator: Callable[[Logits, Logits], torch.Tensor]
    generator: Callable[[Logits], torch.Tensor]


# Goodfellow et al. 2014, non-saturating form.
NON_SATURATING = AdversarialLoss(
    lambda real, fake: F.softplus(-real).mean() + F.softplus(fake).mean(),
    lambda fake: F.softplus(-fake).mean(),
)
# Mao et al. 2017 with targets b = c = 1 for real and a = 0 for fake.
LEAST_SQUARES = AdversarialLoss(
    lambda real, fake: 0.5 * ((real - 1).square().mean() + fake.square().mean()),
    lambda fake: 0.5 * (fake - 1).square().mean(),
)
# Arjovsky et al. 2017; the Lipschitz constraint (clipping or penalty) is the trainer's.
WASSERSTEIN = AdversarialLoss(lambda real, fake: fake.mean() - real.mean(), lambda fake: -fake.mean())
# Lim and Ye 2017; Miyato et al. 2018.
HINGE = AdversarialLoss(
    lambda real, fake: F.relu(1 - real).mean() + F.relu(1 + fake).mean(), lambda fake: -fake.mean()
)

LOSSES: dict[str, AdversarialLoss] = {
    "non_saturating": NON_SATURATING,
    "least_squares": LEAST_SQUARES,
    "wasserstein": WASSERSTEIN,
    "hinge": HINGE,
}


def gradient_penalty(
    critic: Critic, real: torch.Tensor, fake: torch.Tensor, mix: torch.Tensor
) -> torch.Tensor:
    """Two-sided penalty ``mean((||grad|| - 1)^2)`` of Gulrajani et al. 2017 on detached (B, C, H, W).

    ``mix`` (B,) in [0, 1] is the position of each probe between its real and its fake.
    """
    weight = mix.view(-1, 1, 1, 1)
    probe = (weight * real + (1 - weight) * fake).detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(probe).sum(), probe, create_graph=True)
    norm = gradient.float().flatten(1).norm(dim=1)
    return (norm - 1).square().mean()


def r1_penalty(critic: Critic, real: torch.Tensor) -> torch.Tensor:
    """``0.5 * mean(||grad||^2)`` at real (B, C, H, W): Mescheder et al. 2018, equation 9 over gamma."""
    probe = real.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(probe).sum(), probe, create_graph=True)
    return 0.5 * gradient.float().square().sum(dim=(1, 2, 3)).mean()


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
