"""StyleGAN2: a mapping network, modulated and demodulated convolutions, noise, and skip connections to RGB.

Karras, Laine, Aittala, Hellsten, Lehtinen and Aila, "Analyzing and Improving the Image Quality of
StyleGAN", CVPR 2020. The paper doubles the side with a transposed convolution and a blur by the filter
[1, 3, 3, 1]; away from the border that is the convolution after bilinear doubling, whose weights are that
same filter, and so it is written here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from fakeface.gans.architectures.pggan import LEAK, EqualisedLinear, pixel_norm


def _upsample(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _activate(x: torch.Tensor) -> torch.Tensor:
    # The gain keeps the variance, as in the paper's code.
    return F.leaky_relu(x, LEAK) * math.sqrt(2)


class SlowLinear(nn.Module):
    """Equalised layer of the mapping network, which learns ``rate`` times as fast as the rest."""

    def __init__(self, n_in: int, n_out: int, rate: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in) / rate)
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.rate = rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, n_in) to (B, n_out)."""
        weight = self.weight * (self.rate / math.sqrt(self.weight.shape[1]))
        return _activate(F.linear(x, weight, self.bias * self.rate))


class ModulatedConv2d(nn.Module):
    """Convolution whose input channels are scaled by a style and whose outputs return to unit scale.

    Scaling the input and the output instead of the weights, section 2.2 of the paper, is the same arithmetic
    with one convolution for the whole batch.
    """

    def __init__(self, c_in: int, c_out: int, kernel: int, w_dim: int, demodulate: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(c_out, c_in, kernel, kernel))
        self.scale = 1 / math.sqrt(c_in * kernel * kernel)
        self.style = EqualisedLinear(w_dim, c_in, gain=1.0)
        nn.init.ones_(self.style.bias)
        self.demodulate = demodulate

    def forward(self, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        """x (B, c_in, H, W) and w (B, w_dim) to (B, c_out, H, W)."""
        style = self.style(w)  # (B, c_in)
        weight = self.weight * self.scale
        x = F.conv2d(x * style[:, :, None, None].to(x), weight, padding=weight.shape[-1] // 2)
        if self.demodulate:
            energy = style.float().square() @ weight.float().square().sum(dim=(2, 3)).T  # (B, c_out)
            x = x * torch.rsqrt(energy + 1e-8)[:, :, None, None].to(x)
        return x


class StyledConv2d(nn.Module):
    """Modulated convolution, noise, bias, leaky ReLU.

    In training mode each image gets noise of its own; in evaluation mode all get the stored one, so that an
    image is a function of its latent.
    """

    noise: torch.Tensor

    def __init__(self, c_in: int, c_out: int, side: int, w_dim: int, upsample: bool) -> None:
        super().__init__()
        self.convolution = ModulatedConv2d(c_in, c_out, 3, w_dim)
        self.bias = nn.Parameter(torch.zeros(c_out))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("noise", torch.randn(1, 1, side, side))
        self.upsample = upsample

    def forward(self, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        """x (B, c_in, S, S) and w (B, w_dim) to (B, c_out, side, side)."""
        x = self.convolution(_upsample(x) if self.upsample else x, w)
        noise = torch.randn_like(x[:, :1]) if self.training else self.noise.to(x)
        return _activate(x + noise * self.noise_strength.to(x) + self.bias.view(1, -1, 1, 1).to(x))


class StyleGAN2Generator(nn.Module):
    """z to images of the last scale. The output is linear: nominally in [-1, 1], but nothing bounds it.

    Args:
        z_dim: length of the latent vector, normalised here; the styles have the same length.
        channels: channels at 4x4, 8x8, ...; the image side is ``4 * 2**(len(channels) - 1)``.
        mapping_layers: depth of the mapping network.
        mapping_rate: its learning rate as a share of the rest's.
    """

    upsample = "bilinear"
    linear_output = True

    def __init__(
        self,
        z_dim: int = 512,
        channels: Sequence[int] = (512, 512, 512, 512, 256),
        mapping_layers: int = 8,
        mapping_rate: float = 0.01,
    ) -> None:
        super().__init__()
        self.z_dim = z_dim
        self.channels = tuple(channels)
        self.image_size = 4 * 2 ** (len(self.channels) - 1)
        self.mapping = nn.Sequential(*[SlowLinear(z_dim, z_dim, mapping_rate) for _ in range(mapping_layers)])
        self.constant = nn.Parameter(torch.randn(1, self.channels[0], 4, 4))
        self.blocks = nn.ModuleList()
        self.to_rgb = nn.ModuleList()
        self.rgb_bias = nn.Parameter(torch.zeros(len(self.channels), 3))
        c_in = self.channels[0]
        for i, c in enumerate(self.channels):
            side = 4 * 2**i
            layers = [] if i == 0 else [StyledConv2d(c_in, c, side, z_dim, upsample=True)]
            self.blocks.append(nn.ModuleList([*layers, StyledConv2d(c, c, side, z_dim, upsample=False)]))
            self.to_rgb.append(ModulatedConv2d(c, 3, 1, z_dim, demodulate=False))
            c_in = c

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """(B, z_dim) float to (B, 3, image_size, image_size)."""
        w = self.mapping(pixel_norm(z, 1e-8))
        x = self.constant.expand(len(z), -1, -1, -1)
        rgb = torch.zeros((), device=z.device)
        for i, (block, to_rgb) in enumerate(zip(self.blocks, self.to_rgb, strict=True)):
            for layer in block.children():
                x = layer(x, w)
            skip = to_rgb(x, w) + self.rgb_bias[i].view(1, 3, 1, 1).to(x)
            rgb = skip if i == 0 else _upsample(rgb) + skip
        return rgb
