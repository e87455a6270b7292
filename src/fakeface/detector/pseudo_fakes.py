"""Pseudo-fakes: photographs that carry the traces of an upsampler which no generator of ours has.

A generator's layers double the side of their maps, and each way of doing so leaves its grid in the picture
(Odena et al., "Deconvolution and Checkerboard Artifacts", Distill 2016; Zhang et al., WIFS 2019). Few
generators have few such grids. Here a photograph is averaged down by 2 or 4 and brought up again by an
upsampler drawn at random, kernel and all, then blended with the photograph. What is photographed stays as it
is, so only the traces are left to tell the two apart.

An autoencoder may take the upsampler's place: latent diffusion models end in its decoder, so a photograph
that went through it carries traces that they share (Ricker et al., "AEROBLADE", CVPR 2024).
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from fakeface.base.downloads import sha256_of
from fakeface.base.errors import FakefaceError, first_line
from fakeface.params import AutoencoderParams

FACTORS = (2, 2, 4)  # a last layer doubles; the grid of the one before it is weaker but there
LEAST_BLEND = 0.4


def _transposed(coarse: torch.Tensor, factor: int, rng: np.random.Generator) -> torch.Tensor:
    """Transposed convolution; each weight of its kernel is off the bilinear one by some per cent."""
    ramp = torch.arange(1, 2 * factor, 2, dtype=torch.float32)
    line = torch.cat([ramp, ramp.flip(0)]) / (2 * factor)
    kernel = line[:, None] * line[None, :]
    kernel = kernel * (1 + float(rng.uniform(0.02, 0.25)) * _normal(rng, tuple(kernel.shape)))
    padded = F.pad(coarse, (1, 1, 1, 1), mode="replicate")
    return F.conv_transpose2d(
        padded, kernel.expand(3, 1, -1, -1), stride=factor, padding=factor + factor // 2, groups=3
    )


def _nearest(coarse: torch.Tensor, factor: int, rng: np.random.Generator) -> torch.Tensor:
    """Repeated pixels, then a 3x3 convolution near the binomial one."""
    binomial = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    return _filtered(F.interpolate(coarse, scale_factor=factor, mode="nearest"), binomial, rng)


def _bilinear(coarse: torch.Tensor, factor: int, rng: np.random.Generator) -> torch.Tensor:
    """Linear interpolation, then a 3x3 convolution near the identity."""
    identity = torch.zeros(3, 3)
    identity[1, 1] = 1
    up = F.interpolate(coarse, scale_factor=factor, mode="bilinear", align_corners=False)
    return _filtered(up, identity, rng)


def _periodic(coarse: torch.Tensor, factor: int, rng: np.random.Generator) -> torch.Tensor:
    """Cubic interpolation, then a gain for each place in the grid, as shuffled pixels have."""
    up = F.interpolate(coarse, scale_factor=factor, mode="bicubic", align_corners=False)
    gain = 1 + float(rng.uniform(0.01, 0.06)) * _normal(rng, (factor, factor))
    height, width = coarse.shape[-2:]
    return up * gain.repeat(height, width)


UPSAMPLERS = (_transposed, _nearest, _bilinear, _periodic)


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.from_numpy(rng.standard_normal(shape)).float()


def _filtered(image: torch.Tensor, centre: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A 3x3 convolution around ``centre`` that keeps the mean."""
    kernel = centre + float(rng.uniform(0.02, 0.1)) * _normal(rng, (3, 3))
    kernel = kernel / kernel.sum()
    return F.conv2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), kernel.expand(3, 1, -1, -1), groups=3)


def pseudo_fake(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A photograph, uint8 (H, W, 3), sides multiples of 4, with a random upsampler's traces; a new array."""
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float()
    factor = FACTORS[int(rng.integers(len(FACTORS)))]
    upsample = UPSAMPLERS[int(rng.integers(len(UPSAMPLERS)))]
    up = upsample(F.avg_pool2d(pixels, factor), factor, rng)
    blended = torch.lerp(pixels, up, float(rng.uniform(LEAST_BLEND, 1)))
    return blended[0].clamp(0, 255).round().byte().permute(1, 2, 0).numpy()


class AutoencoderError(FakefaceError, ValueError):
    """``cffn.autoencoder`` is not there, is another one than was named, or cannot be read."""


WEIGHTS_FILE = "diffusion_pytorch_model.safetensors"


@lru_cache(maxsize=1)
def open_autoencoder(folder: str, sha256: str) -> Any:
    """The autoencoder that diffusers saved to ``folder``, on the CPU; only safetensors are read.

    Raises:
        AutoencoderError: if diffusers is not installed, or the folder holds no autoencoder of this checksum.
    """
    path, where = Path(folder), f"cffn.autoencoder: {folder}"
    try:
        digest = sha256_of(path / WEIGHTS_FILE)
        kind = json.loads((path / "config.json").read_text(encoding="utf-8"))["_class_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AutoencoderError(
            f"{where}: no autoencoder that diffusers saved ({first_line(error)})"
        ) from error
    if not digest.startswith(sha256):
        raise AutoencoderError(f"{where}: {WEIGHTS_FILE} must have sha256 {sha256}, got {digest}")
    try:
        import diffusers
    except ImportError as error:
        raise AutoencoderError(
            f"{where}: diffusers is not installed, install it with pip install -e '.[diffusers]'"
        ) from error
    if not str(kind).startswith("Autoencoder") or not hasattr(diffusers, str(kind)):
        raise AutoencoderError(f"{where}: must be an autoencoder of diffusers, got {kind!r}")
    try:
        network = getattr(diffusers, kind).from_pretrained(path, use_safetensors=True, local_files_only=True)
    except (OSError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise AutoencoderError(f"{where}: cannot be read ({first_line(error)})") from error
    return network.eval().requires_grad_(False)


@torch.inference_mode()
def reconstructed(image: np.ndarray, autoencoder: AutoencoderParams) -> np.ndarray:
    """A photograph, uint8 (H, W, 3), encoded and decoded again; a new array of the same shape.

    Raises:
        AutoencoderError: as :func:`open_autoencoder`, or if what comes out has another shape.
    """
    network = open_autoencoder(autoencoder.folder, autoencoder.sha256)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 127.5 - 1
    encoded = network.encode(pixels)
    latents = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()
    result = network.decode(latents).sample
    if result.shape != pixels.shape or not bool(torch.isfinite(result).all()):
        raise AutoencoderError(
            f"cffn.autoencoder: {autoencoder.folder}: must return finite {tuple(pixels.shape)}, "
            f"got {tuple(result.shape)}"
        )
    return ((result + 1) * 127.5).clamp(0, 255).round().byte()[0].permute(1, 2, 0).numpy()
