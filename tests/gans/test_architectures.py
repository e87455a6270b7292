"""Networks: shapes, ranges, and the spectral norm that SNGAN rests on."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fakeface.gans.architectures import build_discriminator, build_generator

GENERATORS = [
    ("dcgan", {"z_dim": 10, "width": 4, "image_size": 64}, 64),
    ("dcgan", {"z_dim": 10, "width": 4, "image_size": 32}, 32),
    ("resnet", {"z_dim": 10, "channels": [8, 8, 8, 8], "upsample": "nearest"}, 64),
    ("resnet", {"z_dim": 10, "channels": [8, 8, 8], "upsample": "bilinear"}, 32),
    ("convolutional", {"z_dim": 10, "channels": [8, 8, 4, 4]}, 32),
]
# Their last layer is linear.
UNBOUNDED = [
    ("pggan", {"z_dim": 10, "channels": [8, 8, 4, 4]}, 32),
    ("stylegan2", {"z_dim": 10, "channels": [8, 8, 4, 4], "mapping_layers": 2}, 32),
]


@pytest.mark.parametrize(("name", "config", "side"), GENERATORS)
def test_generators(name: str, config: dict[str, object], side: int) -> None:
    x = build_generator(name, config)(torch.randn(3, 10))
    assert x.shape == (3, 3, side, side)
    assert float(x.detach().abs().max()) <= 1


@pytest.mark.parametrize(("name", "config", "side"), UNBOUNDED)
def test_generators_with_a_linear_output(name: str, config: dict[str, object], side: int) -> None:
    x = build_generator(name, config).eval()(torch.randn(3, 10))
    assert x.shape == (3, 3, side, side)
    assert bool(torch.isfinite(x).all())


@pytest.mark.parametrize(
    ("name", "config"),
    [("dcgan", {"width": 4}), ("resnet", {"channels": [4, 8]}), ("pggan", {"channels": [8, 8, 8, 4, 4]})],
)
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


def test_the_gain_carries_the_signal_through_a_spectral_critic() -> None:
    """Biases begin at zero and LeakyReLU commutes with positive factors: one for each of four activations."""

    def logits(gain: float) -> torch.Tensor:
        torch.manual_seed(0)
        config = {"width": 4, "image_size": 64, "norm": "none", "spectral": True, "gain": gain}
        critic = build_discriminator("dcgan", config).eval()
        return critic(torch.linspace(-1, 1, 2 * 3 * 64 * 64).view(2, 3, 64, 64)).detach()

    torch.testing.assert_close(logits(2.0), 2**4 * logits(1.0))


def test_minibatch_std_shows_the_dcgan_critic_the_spread_of_a_batch() -> None:
    """A batch of one image repeated looks different from the same image among others, and only then."""
    torch.manual_seed(0)
    images = torch.randn(4, 3, 32, 32)
    repeated = images[:1].expand(4, -1, -1, -1)
    for spread, differs in ((False, False), (True, True)):
        critic = build_discriminator(
            "dcgan", {"width": 4, "image_size": 32, "norm": "none", "minibatch_std": spread}
        )
        with torch.no_grad():
            among_others, alone = critic(images)[0], critic(repeated)[0]
        assert bool((among_others - alone).abs() > 1e-6) is differs
