"""Laundering: what happens to a picture between its making and its being judged.

One protocol for both classes and for every use (augmentation in training, condition in the test):
a rescaling round trip with some probability, then JPEG. Of several protocols each image draws one. Each
image's draws come from its own seed, so results depend neither on the batch size nor on the number of
threads.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

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
