"""Laundering and corruptions: what is done to an image before it trains or tests a network.

Laundering is what happens to a picture between its making and its being judged. One protocol for both classes
and for every use (augmentation in training, condition in the test): a rescaling round trip with some
probability, then JPEG. Of several protocols each image draws one. Each image's draws come from its own seed,
so results depend neither on the batch size nor on the number of threads.

A corruption has one known strength for measuring robustness, and a random one in training. Laundering draws a
strength for each image; in a robustness condition every image gets the same one. Families order their
strengths from weak to strong, and never look at an image's class or at the rest of its batch.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image, features

from fakeface.base.errors import FakefaceError
from fakeface.data.image_sets import are_images
from fakeface.data.preprocess import LUMA

if TYPE_CHECKING:
    # Whoever judges a picture does without the params.
    from fakeface.params import ProtocolParams

_POOL = ThreadPoolExecutor(max_workers=2, thread_name_prefix="laundering")
_CHUNK = 16


def is_identity(protocol: ProtocolParams) -> bool:
    """True if the protocol never changes a pixel."""
    rescales = protocol.rescale_probability > 0 and protocol.rescale_min < 1
    return not rescales and protocol.jpeg_quality is None


def rescaled(
    picture: Image.Image, scale: float, kernel: Image.Resampling = Image.Resampling.BICUBIC
) -> Image.Image:
    """To ``scale`` and back by one of Pillow's antialiased kernels."""
    width, height = picture.size
    between = (max(1, round(width * scale)), max(1, round(height * scale)))
    return picture.resize(between, kernel).resize((width, height), kernel)


def through_file(picture: Image.Image, kind: str, **options: Any) -> Image.Image:
    """An RGB picture written in a format and read again, in memory."""
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, **options)
    with Image.open(buffer) as read:
        return read.convert("RGB")


# What a site may do to an upload: kernels, the range of JPEG qualities, the smallest scale.
_KERNELS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
_UPLOAD_QUALITY, _UPLOAD_SCALE = (50, 95), 0.5


def reuploaded(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Compressed first, then rescaled: laundering in the other order, as a site does it to an upload.

    JPEG of quality 50 to 95, then to a random scale of 0.5 to 1 and back, by a random kernel.

    Args:
        image: uint8 (H, W, 3).
        rng: source of the draws, always three.

    Returns:
        uint8 (H, W, 3).
    """
    quality, scale, kernel = rng.random(3)
    low, high = _UPLOAD_QUALITY
    picture = Image.fromarray(np.ascontiguousarray(image))
    picture = through_file(picture, "JPEG", quality=low + int(quality * (high - low + 1)))
    chosen = _KERNELS[int(kernel * len(_KERNELS))]
    return np.asarray(rescaled(picture, _UPLOAD_SCALE + scale * (1 - _UPLOAD_SCALE), chosen), dtype=np.uint8)


def launder_one(
    image: np.ndarray, protocols: Sequence[ProtocolParams], rng: np.random.Generator
) -> np.ndarray:
    """One image, uint8 (H, W, 3), through one of the protocols, all equally likely.

    ``rng``, the source of the draws, is always advanced by the same four numbers.
    """
    chance, scale, quality, choice = rng.random(4)
    protocol = protocols[int(choice * len(protocols))]
    if is_identity(protocol):
        return image
    picture = Image.fromarray(np.ascontiguousarray(image))
    if chance < protocol.rescale_probability:
        picture = rescaled(picture, protocol.rescale_min + scale * (1 - protocol.rescale_min))
    if protocol.jpeg_quality is not None:
        low, high = protocol.jpeg_quality
        picture = through_file(picture, "JPEG", quality=low + int(quality * (high - low + 1)))
    return np.asarray(picture, dtype=np.uint8)


def launder(images: np.ndarray, protocols: Sequence[ProtocolParams], seeds: np.ndarray) -> np.ndarray:
    """A batch, uint8 (B, H, W, 3), through the protocols, one drawn for each image; a new array.

    Image ``i`` has the seed ``seeds[i]``: (B,) or (B, K) non-negative integers.
    """
    if len(images) != len(seeds):
        raise ValueError(f"{len(images)} images but {len(seeds)} seeds")
    result = np.array(images, copy=True)
    if all(is_identity(protocol) for protocol in protocols):
        return result

    def chunk(start: int) -> None:
        for row in range(start, min(start + _CHUNK, len(images))):
            rng = np.random.default_rng(np.asarray(seeds[row]).tolist())
            result[row] = launder_one(images[row], protocols, rng)

    list(_POOL.map(chunk, range(0, len(images), _CHUNK)))
    return result


class CorruptionError(FakefaceError, ValueError):
    """There is no such family, or its strength or the images are not what it takes."""


class MissingCodecError(CorruptionError):
    """This build of Pillow cannot write the format that the family needs."""


class _Range(NamedTuple):
    """Which strengths a family takes, in words and as a test of a finite number."""

    expected: str
    accepts: Callable[[float], bool]


_QUALITY = _Range("a whole number in [1, 100]", lambda strength: strength in range(1, 101))
_SHARE = _Range("in (0, 1]", lambda strength: 0 < strength <= 1)
_NOT_NEGATIVE = _Range("a number >= 0", lambda strength: strength >= 0)
_WEAKENS = _Range("in [0, 1]", lambda factor: 0 <= factor <= 1)
_STRENGTHENS = _Range("a number >= 1", lambda factor: factor >= 1)


@dataclass(frozen=True)
class _Family:
    """One way to corrupt an image.

    Attributes:
        strengths: the robustness grid, from weak to strong.
        takes: the strengths that it is defined for.
        apply: (image, strength), and the image's seed where ``draws``; uint8 (H, W, 3) to the same.
        draws: whether it is random.
        codec: Pillow's name of the feature that it needs, with the name of the format.
    """

    strengths: tuple[float, ...]
    takes: _Range
    apply: Callable[..., np.ndarray]
    draws: bool = False
    codec: tuple[str, str] | None = None


def _to_bytes(values: np.ndarray) -> np.ndarray:
    """Nearest of 0..255, halves to the even one."""
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _jpeg(image: np.ndarray, quality: float) -> np.ndarray:
    """libjpeg's quality and, as in laundering, Pillow's default of colour at half resolution."""
    return np.asarray(through_file(Image.fromarray(image), "JPEG", quality=int(quality)))


def _webp(image: np.ndarray, quality: float) -> np.ndarray:
    """libwebp's quality of the lossy format."""
    return np.asarray(through_file(Image.fromarray(image), "WEBP", quality=int(quality), lossless=False))


def _blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Sampled Gaussian, cut off at 4 sigma, each channel alone; the picture is mirrored at its edges.

    Pillow's own GaussianBlur is not used: it is a few box blurs in a row.
    """
    from scipy.ndimage import gaussian_filter  # whoever judges a picture does without

    return _to_bytes(gaussian_filter(image.astype(np.float64), (sigma, sigma, 0), mode="reflect"))


def _noise(image: np.ndarray, sigma: float, seed: np.ndarray) -> np.ndarray:
    """Independent normal noise on each value; one seed gives one pattern, whatever the strength."""
    rng = np.random.default_rng(np.asarray(seed).tolist())
    return _to_bytes(image + sigma * rng.standard_normal(image.shape))


def _rescale(image: np.ndarray, scale: float) -> np.ndarray:
    return np.asarray(rescaled(Image.fromarray(image), scale))


def _crop(image: np.ndarray, share: float) -> np.ndarray:
    """Cut whole pixels off, as many at opposite edges, until ``share`` of each side is left; then enlarge."""
    height, width, _ = image.shape
    x, y = (min(round(side * (1 - share) / 2), (side - 1) // 2) for side in (width, height))
    picture = Image.fromarray(image[y : height - y, x : width - x])
    return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))


def _brightness(image: np.ndarray, factor: float) -> np.ndarray:
    return _to_bytes(factor * image.astype(np.float64))


def _contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Distances from the image's mean luma times ``factor``."""
    pixels = image.astype(np.float64)
    centre = (pixels @ LUMA).mean()
    return _to_bytes(centre + factor * (pixels - centre))


# Brightness and contrast go both ways from 1, so each way is a family of its own with one order of strengths.
_FAMILIES = {
    "jpeg": _Family((95, 90, 85, 75, 65, 50, 40, 30), _QUALITY, _jpeg, codec=("jpg", "JPEG")),
    "webp": _Family((95, 75, 50, 30), _QUALITY, _webp, codec=("webp", "WebP")),
    "blur": _Family((0.5, 1, 1.5, 2), _NOT_NEGATIVE, _blur),
    "noise": _Family((2, 5, 10), _NOT_NEGATIVE, _noise, draws=True),
    "rescale": _Family((0.75, 0.5, 0.35), _SHARE, _rescale),
    "crop": _Family((0.9, 0.8, 0.7), _SHARE, _crop),
    "darken": _Family((0.8, 0.6, 0.4), _WEAKENS, _brightness),
    "brighten": _Family((1.2, 1.4, 1.6), _STRENGTHENS, _brightness),
    "contrast_down": _Family((0.8, 0.6, 0.4), _WEAKENS, _contrast),
    "contrast_up": _Family((1.2, 1.4, 1.6), _STRENGTHENS, _contrast),
}

# Strengths by family, from weak to strong: qualities, sigmas (of blur in pixels, of noise on the scale
# of 0 to 255), shares of the side, factors.
CORRUPTIONS: dict[str, tuple[float, ...]] = {name: family.strengths for name, family in _FAMILIES.items()}


def unavailable() -> dict[str, str]:
    """Families that cannot be applied on this machine, and why; empty where all can."""
    return {
        name: f"this build of Pillow has no {family.codec[1]} codec"
        for name, family in _FAMILIES.items()
        if family.codec is not None and not features.check(family.codec[0])
    }


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
    if not math.isfinite(strength) or not chosen.takes.accepts(strength):
        raise CorruptionError(f"strength of {family} must be {chosen.takes.expected}, got {strength}")
    if not are_images(images):
        raise CorruptionError(f"images must be uint8 (B, H, W, 3), got {images.dtype} {images.shape}")
    if len(images) != len(seeds):
        raise CorruptionError(f"{len(images)} images but {len(seeds)} seeds")
    if family in (missing := unavailable()):
        raise MissingCodecError(f"{family}: {missing[family]}")
    result = np.empty(images.shape, dtype=np.uint8)
    for row, (image, seed) in enumerate(zip(images, seeds, strict=True)):
        drawn = (seed,) if chosen.draws else ()
        result[row] = chosen.apply(np.ascontiguousarray(image), strength, *drawn)
    return result


# Weakest and strongest of each family in training. JPEG is left to laundering; WebP and crops, which
# robustness is measured with, too, are never trained on.
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
    """One training image, real or fake, corrupted by a random family to a random strength.

    So the detector does not rest on traces that any editing removes. uint8 (H, W, 3) to a new array of the
    same; ``rng`` is the source of all draws, and a strength is drawn evenly from the family's range.
    """
    ways = _TURNS[int(rng.integers(len(_TURNS)))]
    family = ways[int(rng.integers(len(ways)))]
    weakest, strongest = RANGES[family]
    strength = weakest + float(rng.random()) * (strongest - weakest)
    return corrupt(image[None], family, strength, rng.integers(2**31, size=(1, 1)))[0]
