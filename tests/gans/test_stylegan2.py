"""StyleGAN2's layers against what the paper writes, in float64, and what its noise may and may not change."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from fakeface.gans.architectures.stylegan2 import (
    ModulatedConv2d,
    SlowLinear,
    StyledConv2d,
    StyleGAN2Generator,
    _upsample,
)


@pytest.mark.parametrize("demodulate", [True, False])
def test_modulation_of_the_weights_equations_1_and_3(demodulate: bool) -> None:
    torch.manual_seed(0)
    layer = ModulatedConv2d(4, 5, 3, w_dim=6, demodulate=demodulate).double()
    x, w = torch.randn(3, 4, 7, 7).double(), torch.randn(3, 6).double()
    expected = []
    for image, style in zip(x, layer.style(w), strict=True):
        weight = layer.weight * layer.scale * style.view(1, 4, 1, 1)
        if demodulate:
            weight = weight / (weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        expected.append(F.conv2d(image[None], weight, padding=1))
    # The energy of the weights is summed in float32.
    torch.testing.assert_close(layer(x, w), torch.cat(expected), rtol=1e-5, atol=1e-6)


def test_demodulated_outputs_have_unit_variance() -> None:
    torch.manual_seed(0)
    layer = ModulatedConv2d(64, 32, 3, w_dim=8)
    y = layer(torch.randn(8, 64, 16, 16), 3 * torch.randn(8, 8))[..., 1:-1, 1:-1]
    assert float(y.detach().std()) == pytest.approx(1, abs=0.05)


def test_upsampling_is_the_papers_filter_away_from_the_border() -> None:
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    spread = torch.zeros(2, 3, 16, 16, dtype=torch.float64)
    spread[..., ::2, ::2] = x
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 4  # sums to 2: half the samples are zero
    kernel = torch.outer(taps, taps).expand(3, 1, 4, 4)
    blurred = F.conv2d(F.pad(spread, (2, 1, 2, 1)), kernel, groups=3)
    torch.testing.assert_close(_upsample(x)[..., 2:-2, 2:-2], blurred[..., 2:-2, 2:-2])


def test_the_mapping_network_starts_at_unit_scale_and_learns_slowly() -> None:
    torch.manual_seed(0)
    layer = SlowLinear(256, 256, rate=0.01)
    x = torch.randn(512, 256)
    assert float(layer(x).detach().square().mean()) == pytest.approx(1, abs=0.15)
    before = layer(x).detach()
    with torch.no_grad():  # what an optimiser's step of 0.1 moves is a hundredth of it
        layer.bias += 0.1
    change = (layer(x).detach() - before).abs().max()
    assert float(change) == pytest.approx(0.1 * 0.01 * math.sqrt(2), rel=1e-3)


def test_noise_is_drawn_in_training_and_stored_for_sampling() -> None:
    torch.manual_seed(0)
    layer = StyledConv2d(4, 4, 8, w_dim=5, upsample=True)
    torch.nn.init.ones_(layer.noise_strength)
    x, w = torch.randn(2, 4, 4, 4), torch.randn(2, 5)
    layer.train()
    assert not torch.equal(layer(x, w), layer(x, w))
    layer.eval()
    assert torch.equal(layer(x, w), layer(x, w))
    assert "noise" in layer.state_dict()


def test_images_depend_on_the_direction_of_the_latent_alone() -> None:
    torch.manual_seed(0)
    generator = StyleGAN2Generator(z_dim=8, channels=(8, 8, 4), mapping_layers=2).eval()
    z = torch.randn(2, 8)
    torch.testing.assert_close(generator(z), generator(3 * z), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(generator(z)[0], generator(z)[1])


def test_every_parameter_learns() -> None:
    torch.manual_seed(0)
    generator = StyleGAN2Generator(z_dim=8, channels=(8, 8, 4), mapping_layers=2)
    generator(torch.randn(4, 8)).square().sum().backward()
    assert [name for name, p in generator.named_parameters() if p.grad is None or not p.grad.any()] == []
