"""Losses and gradient penalty against formulas written out in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fakeface.zoo.trainer import LOSSES, gradient_penalty, r1_penalty

Formula = Callable[[np.ndarray], float]

LOGITS = st.lists(st.floats(-20, 20), min_size=1, max_size=8).map(lambda values: np.array(values))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


# name: (loss on reals, loss on fakes, the generator's loss on fakes)
FORMULAS: dict[str, tuple[Formula, Formula, Formula]] = {
    "non_saturating": (
        lambda real: -np.log(_sigmoid(real)).mean(),
        lambda fake: -np.log(_sigmoid(-fake)).mean(),
        lambda fake: -np.log(_sigmoid(fake)).mean(),
    ),
    "least_squares": (
        lambda real: ((real - 1) ** 2).mean() / 2,
        lambda fake: (fake**2).mean() / 2,
        lambda fake: ((fake - 1) ** 2).mean() / 2,
    ),
    "wasserstein": (lambda real: -real.mean(), lambda fake: fake.mean(), lambda fake: -fake.mean()),
    "hinge": (
        lambda real: np.maximum(0, 1 - real).mean(),
        lambda fake: np.maximum(0, 1 + fake).mean(),
        lambda fake: -fake.mean(),
    ),
}


def test_every_loss_has_its_formula() -> None:
    assert set(FORMULAS) == set(LOSSES)


@pytest.mark.parametrize("name", FORMULAS)
@given(real=LOGITS, fake=LOGITS)
def test_losses(name: str, real: np.ndarray, fake: np.ndarray) -> None:
    on_real, on_fake, of_generator = FORMULAS[name]
    loss = LOSSES[name]
    d = loss.discriminator(torch.from_numpy(real), torch.from_numpy(fake))
    assert float(d) == pytest.approx(on_real(real) + on_fake(fake), abs=1e-9)
    assert float(loss.generator(torch.from_numpy(fake))) == pytest.approx(of_generator(fake), abs=1e-9)


def test_penalty_of_a_linear_critic_is_its_norm() -> None:
    torch.manual_seed(0)
    w = torch.randn(3, 4, 4, requires_grad=True)
    real, fake, mix = torch.randn(5, 3, 4, 4), torch.randn(5, 3, 4, 4), torch.rand(5)
    penalty = gradient_penalty(lambda x: (x * w).sum(dim=(1, 2, 3)), real, fake, mix)
    norm = w.detach().norm()
    assert float(penalty.detach()) == pytest.approx(float((norm - 1) ** 2), rel=1e-5)
    penalty.backward()
    expected = 2 * (norm - 1) * w.detach() / norm
    torch.testing.assert_close(w.grad, expected, rtol=1e-4, atol=1e-6)


def test_r1_of_a_linear_critic_is_half_its_squared_norm() -> None:
    torch.manual_seed(0)
    w = torch.randn(3, 4, 4, requires_grad=True)
    penalty = r1_penalty(lambda x: (x * w).sum(dim=(1, 2, 3)), torch.randn(5, 3, 4, 4))
    assert float(penalty.detach()) == pytest.approx(0.5 * float(w.detach().square().sum()), rel=1e-5)
    penalty.backward()
    torch.testing.assert_close(w.grad, w.detach())


def test_penalty_against_finite_differences() -> None:
    torch.manual_seed(1)
    w = torch.randn(3, 2, 2, dtype=torch.float64)

    def critic(x: torch.Tensor) -> torch.Tensor:
        return ((x * w).sum(dim=(1, 2, 3)).sin() + x.pow(3).sum(dim=(1, 2, 3))).exp().log1p()

    real, fake = (torch.randn(4, 3, 2, 2, dtype=torch.float64) for _ in range(2))
    mix = torch.rand(4, dtype=torch.float64)
    probes = mix.view(-1, 1, 1, 1) * real + (1 - mix.view(-1, 1, 1, 1)) * fake
    step, norms = 1e-6, []
    for probe in probes:
        slopes = []
        for index in np.ndindex(3, 2, 2):
            delta = torch.zeros_like(probe)
            delta[index] = step
            slopes.append(float(critic((probe + delta)[None]) - critic((probe - delta)[None])) / (2 * step))
        norms.append(np.linalg.norm(slopes))
    expected = np.mean((np.array(norms) - 1) ** 2)
    assert float(gradient_penalty(critic, real, fake, mix).detach()) == pytest.approx(expected, rel=1e-5)
