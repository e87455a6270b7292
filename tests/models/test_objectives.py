"""The losses that params can choose from, against loops in float64 and by what they must do."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fakeface.models.losses import (
    BatchHardTriplet,
    Contrastive,
    CrossEntropy,
    Objective,
    SupervisedContrastive,
    all_pairs_loss,
    balanced_pairs_loss,
    balanced_subset,
    build_objective,
)
from fakeface.params import Params, ParamsError, validate

MARGIN, TEMPERATURE = 0.5, 0.1
# Both classes at least twice, so that each image has a partner and an opponent.
LABELS = st.lists(st.integers(0, 1), min_size=4, max_size=10).filter(lambda y: 2 <= sum(y) <= len(y) - 2)


def supervised_contrastive(x: np.ndarray, y: list[int]) -> float:
    """Equation 2 of Khosla et al. by loops."""
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    values = []
    for i in range(len(y)):
        others = [j for j in range(len(y)) if j != i]
        total = sum(math.exp(unit[i] @ unit[a] / TEMPERATURE) for a in others)
        same = [j for j in others if y[j] == y[i]]
        values.append(-np.mean([math.log(math.exp(unit[i] @ unit[p] / TEMPERATURE) / total) for p in same]))
    return float(np.mean(values))


def triplet(x: np.ndarray, y: list[int]) -> float:
    """Equation 5 of Hermans et al. by loops."""
    values = []
    for i in range(len(y)):
        distance = [float(np.linalg.norm(x[i] - x[j])) for j in range(len(y))]
        farthest = max(d for d, label in zip(distance, y, strict=True) if label == y[i])
        nearest = min(d for d, label in zip(distance, y, strict=True) if label != y[i])
        values.append(max(0.0, MARGIN + farthest - nearest))
    return float(np.mean(values))


@settings(max_examples=30)
@given(labels=LABELS, seed=st.integers(0, 10_000))
def test_against_loops(labels: list[int], seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(len(labels), 4))
    tensor, y = torch.from_numpy(x), torch.tensor(labels)
    loss = SupervisedContrastive(TEMPERATURE)(tensor, y)
    assert float(loss) == pytest.approx(supervised_contrastive(x, labels), rel=1e-4, abs=1e-5)
    assert float(BatchHardTriplet(MARGIN)(tensor, y)) == pytest.approx(triplet(x, labels), rel=1e-4, abs=1e-5)
    assert float(Contrastive(MARGIN)(tensor, y)) == pytest.approx(float(all_pairs_loss(tensor, y, MARGIN)))


OBJECTIVES = [
    Contrastive(MARGIN),
    SupervisedContrastive(TEMPERATURE),
    BatchHardTriplet(MARGIN),
    CrossEntropy(8),
]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: type(objective).__name__)
def test_descending_pulls_the_classes_apart(objective: Objective) -> None:
    torch.manual_seed(0)
    y = torch.arange(20) % 2
    x = (0.1 * torch.randn(20, 8)).requires_grad_(True)
    optimiser = torch.optim.Adam([x, *objective.parameters()], lr=0.02)
    before = float(objective(x, y).detach())
    for _ in range(200):
        optimiser.zero_grad()
        loss = objective(x, y)
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.8 * before
    distance = torch.cdist(x, x).detach()
    other = y[:, None] != y[None, :]
    assert float(distance[other].mean()) > 1.5 * float(distance[~other].mean())


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: type(objective).__name__)
def test_gradients_are_finite_where_embeddings_coincide(objective: Objective) -> None:
    x = torch.ones(6, 8, requires_grad=True)
    objective(x, torch.arange(6) % 2).backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("objective", OBJECTIVES[1:], ids=lambda objective: type(objective).__name__)
def test_validation_does_not_depend_on_how_many_fakes_there_are(objective: Objective) -> None:
    """Every fake given three times is the same set."""
    torch.manual_seed(1)
    real, fake = torch.randn(5, 8), torch.randn(5, 8)
    once = objective.validate(torch.cat([real, fake]), torch.tensor([0] * 5 + [1] * 5))
    thrice = torch.cat([real, fake.repeat_interleave(3, dim=0)])
    torch.testing.assert_close(objective.validate(thrice, torch.tensor([0] * 5 + [1] * 15)), once)


def test_contrastive_validation_is_the_weighted_one() -> None:
    x, y = torch.randn(9, 4), torch.tensor([0, 0, 0, 1, 1, 1, 1, 1, 1])
    torch.testing.assert_close(Contrastive(MARGIN).validate(x, y), balanced_pairs_loss(x, y, MARGIN))


@settings(max_examples=50)
@given(labels=LABELS, limit=st.integers(1, 6))
def test_balanced_subset(labels: list[int], limit: int) -> None:
    y = torch.tensor(labels)
    rows = balanced_subset(y, limit)
    count = min(limit, sum(labels), len(labels) - sum(labels))
    assert len(set(rows.tolist())) == 2 * count
    assert int(y[rows].sum()) == count


def test_params_choose_the_objective(tiny_params: Params) -> None:
    kinds = {
        "contrastive": Contrastive,
        "supervised_contrastive": SupervisedContrastive,
        "triplet": BatchHardTriplet,
        "cross_entropy": CrossEntropy,
    }
    for name, kind in kinds.items():
        cffn = tiny_params.cffn.model_copy(update={"loss": name})
        assert type(build_objective(tiny_params.model_copy(update={"cffn": cffn}), 8)) is kind


def test_sampled_pairs_need_the_contrastive_loss(tiny_params: Params) -> None:
    content = tiny_params.model_dump(mode="json")
    content["cffn"] |= {"pairing": "sampled", "loss": "triplet"}
    with pytest.raises(
        ParamsError, match="pairing 'sampled' goes with loss 'contrastive', got loss 'triplet'"
    ):
        validate(Params, content, "params.yaml")
