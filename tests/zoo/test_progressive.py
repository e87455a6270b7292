"""Growing: the schedule, the blend at both of its ends, and the spread of a minibatch."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from fakeface.gans.architectures.dcgan import DCGANGenerator
from fakeface.gans.architectures.pggan import MinibatchStd, PGGANDiscriminator, PGGANGenerator
from fakeface.zoo.trainer import Growth, growth_at, set_growth, shrink

CHANNELS = (8, 8, 4, 4)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (0, Growth(0, 1.0)),
        (99, Growth(0, 1.0)),
        (100, Growth(1, 0.0)),
        (150, Growth(1, 0.5)),
        (200, Growth(1, 1.0)),
        (325, Growth(2, 0.25)),
        (499, Growth(2, 1.0)),
        (500, Growth(2, 1.0)),
        (10**9, Growth(2, 1.0)),
    ],
)
def test_schedule(shown: int, expected: Growth) -> None:
    assert growth_at(shown, phase_images=100, last_level=2) == expected


@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_new_block_begins_without_influence(level: int) -> None:
    """At alpha 0 images are the smaller network's, doubled, and the critic judges them by their halves."""
    torch.manual_seed(0)
    generator, critic = PGGANGenerator(6, CHANNELS), PGGANDiscriminator(CHANNELS)
    z = torch.randn(4, 6)
    results = []
    for growth in (Growth(level - 1, 1.0), Growth(level, 0.0)):
        set_growth(generator, growth)
        set_growth(critic, growth)
        x = generator(z)
        assert x.shape == (4, 3, growth.side, growth.side)
        results.append((x, critic(x)))
    (small, small_logits), (large, large_logits) = results
    torch.testing.assert_close(large, F.interpolate(small, scale_factor=2, mode="nearest"))
    torch.testing.assert_close(large_logits, small_logits)


def test_the_blend_is_linear() -> None:
    torch.manual_seed(0)
    generator = PGGANGenerator(6, CHANNELS)
    z = torch.randn(2, 6)
    images = {}
    for alpha in (0.0, 0.25, 1.0):
        set_growth(generator, Growth(2, alpha))
        images[alpha] = generator(z)
    torch.testing.assert_close(images[0.25], 0.75 * images[0.0] + 0.25 * images[1.0])


def test_photographs_shrink_like_images_of_that_scale() -> None:
    x = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    torch.testing.assert_close(shrink(x, Growth(1, 1.0)), F.avg_pool2d(x, 4))
    coarse = F.interpolate(F.avg_pool2d(x, 8), scale_factor=2, mode="nearest")
    torch.testing.assert_close(shrink(x, Growth(1, 0.0)), coarse)
    assert torch.equal(shrink(x, Growth(3, 1.0)), x)


def test_minibatch_std_is_the_mean_over_pixels_of_the_spread_over_images() -> None:
    x = torch.randn(5, 3, 2, 2, dtype=torch.float64)
    y = MinibatchStd()(x)
    assert torch.equal(y[:, :3], x)
    expected = x.std(dim=0, correction=0).mean().expand(5, 2, 2)
    torch.testing.assert_close(y[:, 3], expected, rtol=1e-5, atol=1e-6)


def test_networks_that_cannot_grow_are_refused() -> None:
    with pytest.raises(ValueError, match="DCGANGenerator cannot grow"):
        set_growth(DCGANGenerator(width=4), Growth(0, 1.0))
