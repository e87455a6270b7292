"""Networks: shapes, ranges, and the spectral norm that SNGAN rests on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from fakeface.gans.architectures import build_discriminator, build_generator
from fakeface.gans.architectures.dcgan import MinibatchStd

GENERATORS = [
    ("dcgan", {"z_dim": 10, "width": 4, "image_size": 64}, 64),
    ("dcgan", {"z_dim": 10, "width": 4, "image_size": 32}, 32),
    ("resnet", {"z_dim": 10, "channels": [8, 8, 8, 8], "upsample": "nearest"}, 64),
    ("resnet", {"z_dim": 10, "channels": [8, 8, 8], "upsample": "bilinear"}, 32),
]


@pytest.mark.parametrize(("name", "config", "side"), GENERATORS)
def test_generators(name: str, config: dict[str, object], side: int) -> None:
    x = build_generator(name, config)(torch.randn(3, 10))
    assert x.shape == (3, 3, side, side)
    assert float(x.detach().abs().max()) <= 1


@pytest.mark.parametrize(("name", "config"), [("dcgan", {"width": 4}), ("resnet", {"channels": [4, 8]})])
def test_discriminators(name: str, config: dict[str, object]) -> None:
    assert build_discriminator(name, config)(torch.randn(3, 3, 64, 64)).shape == (3,)


def test_unknown_architecture_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown architecture 'vae'.*dcgan.*resnet"):
        build_generator("vae", {})


@pytest.mark.parametrize("side", [4, 48])
def test_dcgan_refuses_sides_it_cannot_make(side: int) -> None:
    with pytest.raises(ValueError, match=f"power of two >= 8, got {side}"):
        build_generator("dcgan", {"image_size": side})


@pytest.mark.parametrize(
    ("name", "config", "count"),
    [
        ("resnet", {"channels": [8, 8, 16], "spectral": True}, 8),
        ("dcgan", {"width": 4, "image_size": 32, "norm": "none", "spectral": True}, 4),
    ],
)
def test_spectral_norm_bounds_every_layer(name: str, config: dict[str, object], count: int) -> None:
    torch.manual_seed(0)
    critic = build_discriminator(name, config).train()
    x = torch.randn(2, 3, 32, 32)
    for _ in range(200):  # each forward in training mode refines the estimate by one power iteration
        critic(x)
    layers = [module for module in critic.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    assert len(layers) == count
    for layer in layers:
        largest = torch.linalg.svdvals(layer.weight.detach().flatten(1))[0]
        assert float(largest) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("name", "config"),
    [("resnet", {"channels": [4, 8]}), ("dcgan", {"width": 4, "image_size": 32, "norm": "none"})],
)
def test_critics_without_norms_judge_each_image_by_itself(name: str, config: dict[str, object]) -> None:
    critic = build_discriminator(name, config)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in critic.modules())
    # A batch norm would let one image's logit depend on another's, which the gradient penalty forbids.
    x = torch.randn(4, 3, 32, 32)
    torch.testing.assert_close(critic(x)[:1], critic(x[:1]), rtol=1e-4, atol=1e-5)


def test_minibatch_std_tells_a_collapsed_batch_from_a_varied_one() -> None:
    layer = MinibatchStd(group=4)
    varied = torch.randn(8, 3, 5, 5, dtype=torch.float64)
    result = layer(varied)
    assert result.shape == (8, 4, 5, 5)
    torch.testing.assert_close(result[:, :3], varied)
    # Image i is compared with those at i mod (8 / 4): numpy's definition, group by group.
    for image in range(8):
        members = varied.numpy()[image % 2 :: 2]
        expected = members.std(axis=0).mean()
        np.testing.assert_allclose(result[image, 3].numpy(), expected, rtol=1e-5)
    collapsed = varied[:1].repeat(8, 1, 1, 1).requires_grad_(True)
    spread = layer(collapsed)[:, 3]
    assert float(spread.detach().abs().max()) < 1e-3
    spread.sum().backward()
    assert bool(torch.isfinite(collapsed.grad).all())


def test_minibatch_std_refuses_a_batch_that_it_cannot_group() -> None:
    with pytest.raises(ValueError, match="batch of 6 images .* groups of 4"):
        MinibatchStd(group=4)(torch.randn(6, 3, 4, 4))
