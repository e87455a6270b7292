"""Adversarial losses: each takes logits (B,) of the discriminator and returns a scalar."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F

Logits = torch.Tensor


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
WASSERSTEIN = AdversarialLoss(
    lambda real, fake: fake.mean() - real.mean(),
    lambda fake: -fake.mean(),
)
# Lim and Ye 2017; Miyato et al. 2018.
HINGE = AdversarialLoss(
    lambda real, fake: F.relu(1 - real).mean() + F.relu(1 + fake).mean(),
    lambda fake: -fake.mean(),
)

LOSSES: dict[str, AdversarialLoss] = {
    "non_saturating": NON_SATURATING,
    "least_squares": LEAST_SQUARES,
    "wasserstein": WASSERSTEIN,
    "hinge": HINGE,
}


def gradient_penalty(
    critic: Callable[[torch.Tensor], torch.Tensor],
    real: torch.Tensor,
    fake: torch.Tensor,
    mix: torch.Tensor,
) -> torch.Tensor:
    """Two-sided penalty ``mean((||grad|| - 1)^2)`` of Gulrajani et al. 2017.

    Args:
        critic: maps (B, C, H, W) to (B,).
        real, fake: (B, C, H, W), detached.
        mix: (B,) in [0, 1], the position of each probe between its real and its fake.
    """
    weight = mix.view(-1, 1, 1, 1)
    probe = (weight * real + (1 - weight) * fake).detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(probe).sum(), probe, create_graph=True)
    norm = gradient.float().flatten(1).norm(dim=1)
    return (norm - 1).square().mean()


def r1_penalty(critic: Callable[[torch.Tensor], torch.Tensor], real: torch.Tensor) -> torch.Tensor:
    """``0.5 * mean(||grad||^2)`` at the photographs: Mescheder et al. 2018, equation 9 over gamma.

    Args:
        critic: maps (B, C, H, W) to (B,).
        real: (B, C, H, W), detached.
    """
    probe = real.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(probe).sum(), probe, create_graph=True)
    return 0.5 * gradient.float().square().sum(dim=(1, 2, 3)).mean()
