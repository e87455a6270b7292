"""The contrastive loss against the paper's formula, pair by pair in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fakeface.models.losses import (
    all_pairs,
    all_pairs_loss,
    balanced_pairs_loss,
    branch_pairs_loss,
    contrastive_loss,
)


def reference(embeddings: np.ndarray, labels: np.ndarray, margin: float) -> float:
    """Mean over all pairs of 0.5 (y E^2 + (1 - y) max(0, m - E)^2), by two loops."""
    values = []
    for i in range(len(labels)):
        for j in range(i + 1, len(labels)):
            distance = math.sqrt(float(((embeddings[i] - embeddings[j]) ** 2).sum()))
            if labels[i] == labels[j]:
                values.append(0.5 * distance**2)
            else:
                values.append(0.5 * max(0.0, margin - distance) ** 2)
    return float(np.mean(values))


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), margin=st.floats(0.1, 4), batch=st.integers(2, 12))
def test_all_pairs_loss_equals_the_formula(seed: int, margin: float, batch: int) -> None:
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(batch, 5))
    labels = rng.integers(0, 2, batch)
    loss = all_pairs_loss(torch.from_numpy(embeddings), torch.from_numpy(labels), margin)
    assert float(loss) == pytest.approx(reference(embeddings, labels, margin), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("distance", [0.5, 0.7, 10.0])
def test_the_hinge_is_real(distance: float) -> None:
    """A pair beyond the margin costs nothing and pulls nothing; without a hinge it would."""
    right = torch.tensor([[distance]], requires_grad=True)
    loss = branch_pairs_loss(torch.zeros(1, 1), right, torch.tensor([False]), margin=0.5)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert float(right.grad) == 0.0


def test_it_is_a_distance_not_a_mean_square() -> None:
    """Doubling the dimensions with equal entries must grow E by sqrt 2; an MSE would stay."""
    same = torch.tensor([True])
    one = branch_pairs_loss(torch.zeros(1, 4), torch.ones(1, 4), same, 0.5)
    two = branch_pairs_loss(torch.zeros(1, 8), torch.ones(1, 8), same, 0.5)
    assert float(one) == pytest.approx(0.5 * 4)
    assert float(two) == pytest.approx(0.5 * 8)


def test_two_gans_are_one_class() -> None:
    """Labels are real or fake: fakes of different GANs attract each other."""
    embeddings = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    _, same = all_pairs(embeddings, torch.tensor([0, 1, 1]))
    assert same.tolist() == [False, False, True]


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20)
def test_order_and_translation_do_not_matter(seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(8, 6, generator=rng)
    labels = torch.tensor([0, 1] * 4)
    order = torch.randperm(8, generator=rng)
    loss = all_pairs_loss(x, labels, 1.5)
    torch.testing.assert_close(all_pairs_loss(x[order], labels[order], 1.5), loss, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(all_pairs_loss(x + 1.0, labels, 1.5), loss, rtol=1e-3, atol=1e-4)


def test_coinciding_embeddings_have_a_finite_gradient() -> None:
    x = torch.zeros(4, 3, requires_grad=True)
    all_pairs_loss(x, torch.tensor([0, 1, 0, 1]), 0.5).backward()
    assert torch.isfinite(x.grad).all()


def test_branches_and_all_pairs_agree() -> None:
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    rows, columns = torch.triu_indices(6, 6, offset=1)
    by_branch = branch_pairs_loss(x[rows], x[columns], labels[rows] == labels[columns], 0.8)
    torch.testing.assert_close(all_pairs_loss(x, labels, 0.8), by_branch, rtol=1e-4, atol=1e-6)


def test_balanced_loss_does_not_depend_on_the_class_sizes() -> None:
    """Duplicating every fake changes neither which pairs exist in kind nor their mean weights."""
    x = torch.randn(12, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0] * 6 + [1] * 6)
    squared, same = all_pairs(x, labels)
    loss = contrastive_loss(squared, same, 1.0)
    rows, _ = torch.triu_indices(12, 12, offset=1)
    expected = (
        0.25 * loss[same & (rows < 6)].mean()
        + 0.25 * loss[same & (rows >= 6)].mean()
        + 0.5 * loss[~same].mean()
    )
    assert float(balanced_pairs_loss(x, labels, 1.0)) == pytest.approx(float(expected), rel=1e-5)
