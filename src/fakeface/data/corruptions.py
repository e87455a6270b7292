"""Corruptions of one known strength, for measuring how a detector's scores fall as pictures get worse.

Laundering draws a strength for each image; here every image of a condition gets the same one. A family has
its strengths ordered from weak to strong, and never looks at an image's class or at the rest of its batch.
Only noise is random, and each image's noise comes from its own seed, as in laundering.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, features
from scipy.ndimage import gaussian_filter

from fakeface.base.errors import FakefaceError

# ITU-R BT.601, the weights of Pillow's conversion to grey.
_LUMA = np.array([0.299, 0.587, 0.114])


class CorruptionError(FakefaceError, ValueError):
    """There is no such family, or its strength or the images are not what it takes."""


class MissingCodecError(CorruptionError):
    """This build of Pillow cannot write the format that the family needs."""


@dataclass(frozen=True)
class _Family:
    """One way to corrupt an image.

    Attributes:
        strengths: the grid, from weak to strong.
        expected: the strengths that ``accepts`` lets through, in words.
        accepts: whether a finite number is a strength of this family.
        apply: (image, strength), and the image's seed where ``draws``; uint8 (H, W, 3) to the same.
        draws: whether it is random.
        codec: Pillow's name of the feature that it needs, with the name of the format.
    """

    strengths: tuple[float, ...]
    expected: str
    accepts: Callable[[float], bool]
    apply: Callable[..., np.ndarray]
    draws: bool = False
    codec: tuple[str, str] | None = None


def _to_bytes(values: np.ndarray) -> np.ndarray:
    """Nearest of 0..255, halves to the even one."""
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _through_file(image: np.ndarray, kind: str, **options: Any) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format=kind, **options)
    with Image.open(buffer) as picture:
        return np.asarray(picture.convert("RGB"), dtype=np.uint8)


def _jpeg(image: np.ndarray, quality: float) -> np.ndarray:
    """libjpeg's quality and, as in laundering, Pillow's default of colour at half resolution."""
    return _through_file(image, "JPEG", quality=int(quality))


def _webp(image: np.ndarray, quality: float) -> np.ndarray:
    """libwebp's quality of the lossy format."""
    return _through_file(image, "WEBP", quality=int(quality), lossless=False)


def _blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Sampled Gaussian, cut off at 4 sigma, each channel alone; the picture is mirrored at its edges.

    Pillow's own GaussianBlur is not used: it is a few box blurs in a row.
    """
    return _to_bytes(gaussian_filter(image.astype(np.float64), (sigma, sigma, 0), mode="reflect"))


def _noise(image: np.ndarray, sigma: float, seed: np.ndarray) -> np.ndarray:
    """Independent normal noise on each value; one seed gives one pattern, whatever the strength."""
    rng = np.random.default_rng(np.asarray(seed).tolist())
    return _to_bytes(image + sigma * rng.standard_normal(image.shape))


def _rescale(image: np.ndarray, scale: float) -> np.ndarray:
    """Down to ``scale`` and back by Pillow's antialiased bicubic, the round trip of laundering."""
    picture = Image.fromarray(image)
    width, height = picture.size
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = picture.resize(small, Image.Resampling.BICUBIC)
    return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC), dtype=np.uint8)


def _crop(image: np.ndarray, share: float) -> np.ndarray:
    """Cut whole pixels off, as many at opposite edges, until ``share`` of each side is left; then enlarge."""
    height, width, _ = image.shape
    x, y = (min(round(side * (1 - share) / 2), (side - 1) // 2) for side in (width, height))
    picture = Image.fromarray(image[y : height - y, x : width - x])
    return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC), dtype=np.uint8)


def _brightness(image: np.ndarray, factor: float) -> np.ndarray:
    return _to_bytes(factor * image.astype(np.float64))


def _contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Distances from the image's mean luma times ``factor``."""
    pixels = image.astype(np.float64)
    centre = (pixels @ _LUMA).mean()
    return _to_bytes(centre + factor * (pixels - centre))


def _quality(strength: float) -> bool:
    return strength == int(strength) and 1 <= strength <= 100


def _share(strength: float) -> bool:
    return 0 < strength <= 1


def _not_negative(strength: float) -> bool:
    return strength >= 0


def _weakens(factor: float) -> bool:
    return 0 <= factor <= 1


def _strengthens(factor: float) -> bool:
    return factor >= 1


# Brightness and contrast go both ways from 1, so each way is a family of its own with one order of strengths.
_FAMILIES = {
    "jpeg": _Family(
        (95, 90, 85, 75, 65, 50, 40, 30), "a whole number in [1, 100]", _quality, _jpeg, codec=("jpg", "JPEG")
    ),
    "webp": _Family((95, 75, 50, 30), "a whole number in [1, 100]", _quality, _webp, codec=("webp", "WebP")),
    "blur": _Family((0.5, 1, 1.5, 2), "a number >= 0", _not_negative, _blur),
    "noise": _Family((2, 5, 10), "a number >= 0", _not_negative, _noise, draws=True),
    "rescale": _Family((0.75, 0.5, 0.35), "in (0, 1]", _share, _rescale),
    "crop": _Family((0.9, 0.8, 0.7), "in (0, 1]", _share, _crop),
    "darken": _Family((0.8, 0.6, 0.4), "in [0, 1]", _weakens, _brightness),
    "brighten": _Family((1.2, 1.4, 1.6), "a number >= 1", _strengthens, _brightness),
    "contrast_down": _Family((0.8, 0.6, 0.4), "in [0, 1]", _weakens, _contrast),
    "contrast_up": _Family((1.2, 1.4, 1.6), "a number >= 1", _strengthens, _contrast),
}

# Strengths by family, from weak to strong: qualities, sigmas (of blur in pixels, of noise on the scale
# of 0 to 255), shares of the side, factors.
CORRUPTIONS: dict[str, tuple[float, ...]] = {name: family.strengths for name, family in _FAMILIES.items()}


def _missing(family: _Family) -> str | None:
    if family.codec is None or features.check(family.codec[0]):
        return None
    return f"this build of Pillow has no {family.codec[1]} codec"


def unavailable() -> dict[str, str]:
    """Families that cannot be applied on this machine, and why; empty where all can."""
    reasons = {name: _missing(family) for name, family in _FAMILIES.items()}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def corrupt(images: np.ndarray, family: str, strength: float, seeds: np.ndarray) -> np.ndarray:
    """Every image of a batch corrupted in the same way, image ``i`` with seed ``seeds[i]``.

    Args:
        images: uint8 (B, H, W, 3).
        family: a key of ``CORRUPTIONS``.
        strength: one of its strengths, or any other number that the family takes; blur 0, noise 0 and a
            share or factor of 1 leave every pixel as it is.
        seeds: (B,) or (B, K) non-negative integers; only noise draws.

    Returns:
        uint8 (B, H, W, 3), a new array.

    Raises:
        CorruptionError: for an unknown family, a strength out of its range, other images, or another
            number of seeds.
        MissingCodecError: if Pillow lacks the codec; ``unavailable`` says so beforehand.
    """
    if family not in _FAMILIES:
        raise CorruptionError(f"corruption must be one of {', '.join(_FAMILIES)}, got {family!r}")
    chosen = _FAMILIES[family]
    if not math.isfinite(strength) or not chosen.accepts(strength):
        raise CorruptionError(f"strength of {family} must be {chosen.expected}, got {strength}")
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise CorruptionError(f"images must be uint8 (B, H, W, 3), got {images.dtype} {images.shape}")
    if len(images) != len(seeds):
        raise CorruptionError(f"{len(images)} images but {len(seeds)} seeds")
    if reason := _missing(chosen):
        raise MissingCodecError(f"{family}: {reason}")
    result = np.empty(images.shape, dtype=np.uint8)
    for row, (image, seed) in enumerate(zip(images, seeds, strict=True)):
        drawn = (seed,) if chosen.draws else ()
        result[row] = chosen.apply(np.ascontiguousarray(image), strength, *drawn)
    return result


# -------------------------------------------------------------------------------------------------
# Random corruption of training images, so that the detector does not rest on traces that any editing removes.
#
# Photographs and fakes are corrupted alike, by the families of :mod:`fakeface.data.corruptions` whose traces
# laundering does not bring: blur, noise, rescaling, brightness, contrast. The robustness stage tests with
# these families, too, at fixed strengths; JPEG is left to laundering, and WebP and crops are never trained
# on.

# Weakest and strongest of each family; a strength is drawn evenly between them.
RANGES: dict[str, tuple[float, float]] = {
    "blur": (0.3, 1.5),
    "noise": (1, 10),
    "rescale": (0.9, 0.5),
    "darken": (0.95, 0.5),
    "brighten": (1.05, 1.5),
    "contrast_down": (0.95, 0.5),
    "contrast_up": (1.05, 1.5),
}
# Brightness and contrast count once each, as they go two ways.
_TURNS = (("blur",), ("noise",), ("rescale",), ("darken", "brighten"), ("contrast_down", "contrast_up"))


def random_corruption(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One image corrupted by a random family to a random strength.

    Args:
        image: uint8 (H, W, 3).
        rng: source of all draws.

    Returns:
        uint8 (H, W, 3), a new array.
    """
    ways = _TURNS[int(rng.integers(len(_TURNS)))]
    family = ways[int(rng.integers(len(ways)))]
    weakest, strongest = RANGES[family]
    strength = weakest + float(rng.random()) * (strongest - weakest)
    return corrupt(image[None], family, strength, rng.integers(2**31, size=(1, 1)))[0]
