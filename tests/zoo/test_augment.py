"""Differentiable augmentation: shapes, gradients, and what a translation may change."""

from __future__ import annotations

import pytest
import torch

from fakeface.zoo.trainer import AUGMENTATIONS, augment, translation


def _rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_shape_type_and_gradients(name: str) -> None:
    x = torch.rand(6, 3, 16, 16, generator=_rng()).mul(2).sub(1).requires_grad_(True)
    y = augment(x, [name], _rng())
    assert y.shape == x.shape
    assert y.dtype == x.dtype
    y.square().sum().backward()
    assert x.grad is not None
    assert bool(x.grad.isfinite().all())
    assert bool((x.grad.flatten(1).abs().sum(dim=1) > 0).all())
    assert not torch.equal(y, x)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_generator_decides(name: str) -> None:
    x = torch.randn(4, 3, 16, 16, generator=_rng())
    assert torch.equal(augment(x, [name], _rng()), augment(x, [name], _rng()))


def test_no_policy_changes_nothing() -> None:
    x = torch.randn(2, 3, 8, 8)
    assert augment(x, [], _rng()) is x


def test_translation_moves_content_and_fills_with_zeros() -> None:
    x = torch.zeros(32, 3, 16, 16)
    x[:, :, 6:10, 6:10] = torch.randn(32, 3, 4, 4, generator=_rng())
    y = translation(x, _rng())
    shifts = set()
    for before, after in zip(x, y, strict=True):
        found = [
            (dy, dx)
            for dy in range(-2, 3)
            for dx in range(-2, 3)
            if torch.equal(torch.roll(before, (dy, dx), dims=(1, 2)), after)
        ]
        assert len(found) == 1
        shifts.add(found[0])
    assert len(shifts) > 10


def test_translation_brings_in_zeros_only() -> None:
    y = translation(torch.ones(64, 3, 16, 16), _rng())
    assert set(y.unique().tolist()) == {0.0, 1.0}
    # A shift of at most 2 pixels on both axes keeps at least 14 x 14 of them.
    assert int(y.sum(dim=(1, 2, 3)).min()) >= 3 * 14 * 14


def test_colour_keeps_each_image_apart() -> None:
    x = torch.randn(3, 3, 8, 8, generator=_rng())
    changed = x.clone()
    changed[2] = 0
    torch.testing.assert_close(augment(x, ["colour"], _rng())[:2], augment(changed, ["colour"], _rng())[:2])
