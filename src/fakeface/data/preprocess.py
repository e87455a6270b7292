"""Bytes of unknown origin to prepared pixels: decoding, and the one preprocessing of every image.

A real and a fake may differ in nothing but their origin, so photographs, generated images and the
pictures that a user wants judged are all cropped, scaled and quantised here and nowhere else.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageOps

from fakeface.base.errors import FakefaceError

# Antialiased bicubic in Pillow: the filter support grows with the scale factor, unlike the
# resizers of several training libraries (Parmar et al., "On Aliased Resizing", CVPR 2022).
RESAMPLE = Image.Resampling.BICUBIC
# ITU-R BT.601: the luma of JPEG and of Pillow's conversion to grey.
LUMA = (0.299, 0.587, 0.114)


class ImageTooSmallError(FakefaceError, ValueError):
    """The image has fewer pixels along its shorter side than the requested output."""


def preprocess(image: Image.Image, image_size: int) -> np.ndarray:
    """Centre square crop, antialiased downscale, 8-bit RGB.

    ``image`` is any Pillow image whose pixels are already upright.

    Returns:
        uint8 array of shape (image_size, image_size, 3), RGB, range [0, 255].

    Raises:
        ImageTooSmallError: if the shorter side is below ``image_size``; enlarging would add an
            interpolation trace that one class might carry and the other not.
    """
    width, height = image.size
    side = min(width, height)
    if side < image_size:
        raise ImageTooSmallError(
            f"image is {width}x{height} pixels, expected at least {image_size} on the shorter side"
        )
    if image.mode != "RGB":
        image = image.convert("RGB")
    left, top = (width - side) // 2, (height - side) // 2
    # Cropped before it is scaled: `resize(box=...)` would blend in pixels from outside the square, which
    # photographs have and square fakes do not.
    square = image.crop((left, top, left + side, top + side))
    if side != image_size:
        square = square.resize((image_size, image_size), RESAMPLE)
    return np.asarray(square, dtype=np.uint8)


# What photographs come as. Pillow knows many more formats, each a parser that hostile bytes could reach.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM")
MAX_PIXELS = 64_000_000


class CorruptImageError(FakefaceError, ValueError):
    """The bytes are no single, whole, readable picture; the message is the reason."""


def _sixteen_to_eight_bits(image: Image.Image) -> Image.Image:
    """Scale 0..65535 to 0..255; Pillow's own conversion clips at 255 and turns such a picture white."""
    values = np.asarray(image).astype(np.int64)
    return Image.fromarray(((values + 128) // 257).clip(0, 255).astype(np.uint8))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    # Pillow opens 16-bit grey PNG and PPM files as "I;16" or, in some versions, as 32-bit "I".
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        image = _sixteen_to_eight_bits(image)
    if image.mode in ("I", "F"):
        raise CorruptImageError(f"pixels of mode {image.mode!r} have no known range, expected 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _open(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content), formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise CorruptImageError(f"{image.width}x{image.height} pixels, expected at most {MAX_PIXELS} in all")
    # Phones append a preview or a depth map to a JPEG (format MPO); its first frame is the photograph.
    frames = getattr(image, "n_frames", 1)
    if frames != 1 and image.format != "MPO":
        raise CorruptImageError(f"{frames} frames, expected a single picture")
    image.load()
    # Some formats lose `format` and metadata on conversion, so the rotation comes first.
    kind = image.format
    ImageOps.exif_transpose(image, in_place=True)
    image.format = kind
    return _to_rgb(image)


def decode(content: bytes) -> Image.Image:
    """A whole JPEG, PNG, BMP, WebP, TIFF or PPM file to a loaded Pillow image of mode RGB.

    EXIF rotation is applied; grey, palette and CMYK become RGB; 16 bits are scaled to 8; transparent
    pictures are laid on white. Truncated, animated and oversized pictures are refused.

    Raises:
        CorruptImageError: with the reason, whatever the bytes are.
    """
    try:
        return _open(content)
    except (CorruptImageError, MemoryError):
        raise
    except Image.UnidentifiedImageError:
        raise CorruptImageError(f"not a picture in {', '.join(FORMATS)} format") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise CorruptImageError(str(error)) from error
    except Exception as error:
        # Pillow's parsers raise anything from struct.error to KeyError on damaged files.
        raise CorruptImageError(f"{type(error).__name__}: {error}") from error
