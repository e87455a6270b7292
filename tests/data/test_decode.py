from __future__ import annotations

import numpy as np
import pytest
from conftest import encode, random_picture
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fakeface.data import preprocess as module
from fakeface.data.preprocess import CorruptImageError, decode

PICTURE = random_picture(1, 40, 30)
RGB = np.asarray(PICTURE)


def test_lossless_rgb_comes_back_unchanged() -> None:
    for kind in ("PNG", "BMP", "TIFF", "PPM"):
        image = decode(encode(PICTURE, kind))
        assert image.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(image), RGB)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(orientation: int) -> None:
    # The inverse of each EXIF orientation, so that what is decoded is the picture again.
    store = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(store(RGB)))
    np.testing.assert_array_equal(np.asarray(decode(encode(stored, "PNG", exif=exif))), RGB)


def test_cmyk_becomes_rgb() -> None:
    image = decode(encode(PICTURE.convert("CMYK"), "JPEG", quality=95))
    assert image.mode == "RGB"
    assert np.abs(np.asarray(image).astype(int) - RGB).mean() < 10


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_clipped(kind: str) -> None:
    grey = np.linspace(0, 65535, 40 * 30).reshape(30, 40).astype(np.uint16)
    image = decode(encode(Image.fromarray(grey), kind))
    expected = np.round(grey / 257).astype(np.uint8)
    np.testing.assert_array_equal(np.asarray(image), np.repeat(expected[:, :, None], 3, axis=2))


def test_pixels_of_unknown_range_are_refused() -> None:
    picture = Image.fromarray(np.full((30, 40), 0.5, dtype=np.float32))
    with pytest.raises(CorruptImageError, match="mode 'F' have no known range"):
        decode(encode(picture, "TIFF"))


def test_grey_and_palette_become_rgb() -> None:
    grey = PICTURE.convert("L")
    np.testing.assert_array_equal(np.asarray(decode(encode(grey, "PNG"))), np.asarray(grey.convert("RGB")))
    palette = PICTURE.quantize(16)
    expected = np.asarray(palette.convert("RGB"))
    np.testing.assert_array_equal(np.asarray(decode(encode(palette, "PNG"))), expected)


def test_transparent_pixels_become_white() -> None:
    for mode in ("RGBA", "LA"):
        picture = PICTURE.convert(mode)
        picture.putalpha(
            Image.fromarray(np.repeat([[0, 255]], 30, axis=0).repeat(20, axis=1).astype(np.uint8))
        )
        pixels = np.asarray(decode(encode(picture, "PNG")))
        assert (pixels[:, :20] == 255).all()
        np.testing.assert_array_equal(pixels[:, 20:], np.asarray(picture.convert("RGB"))[:, 20:])
    keyed = Image.new("RGB", (4, 4), (1, 2, 3))
    assert (np.asarray(decode(encode(keyed, "PNG", transparency=(1, 2, 3)))) == 255).all()


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_animated_and_several_pages_are_refused(kind: str) -> None:
    other = random_picture(2, 40, 30)
    with pytest.raises(CorruptImageError, match="2 frames, expected a single picture"):
        decode(encode(PICTURE, kind, save_all=True, append_images=[other]))


def test_a_phones_jpeg_with_a_preview_is_one_photograph() -> None:
    content = encode(PICTURE, "MPO", save_all=True, append_images=[random_picture(2, 20, 15)])
    assert decode(content).size == (40, 30)


def test_a_truncated_jpeg_is_refused(photographs: list[bytes]) -> None:
    with pytest.raises(CorruptImageError, match="truncated"):
        decode(photographs[0][: len(photographs[0]) // 2])


@pytest.mark.parametrize("content", [b"", b"plain text, whatever its name says", b"GIF89a" + bytes(50)])
def test_what_is_no_picture_is_refused(content: bytes) -> None:
    with pytest.raises(CorruptImageError, match="not a picture"):
        decode(content)


def test_decompression_bombs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PIXELS", 40 * 30 - 1)
    with pytest.raises(CorruptImageError, match="40x30 pixels, expected at most 1199"):
        decode(encode(PICTURE, "PNG"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(CorruptImageError, match="decompression bomb"):
        decode(encode(PICTURE, "PNG"))


WHOLE = {kind: encode(PICTURE, kind) for kind in ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM")}


@pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::PIL.Image.DecompressionBombWarning")
@settings(max_examples=300)
@given(kind=st.sampled_from(sorted(WHOLE)), data=st.data())
def test_damaged_files_give_a_picture_or_the_one_error(kind: str, data: st.DataObject) -> None:
    content = bytearray(WHOLE[kind])
    for _ in range(data.draw(st.integers(1, 6))):
        # Headers decide most: aim at them half of the time.
        last = data.draw(st.sampled_from([min(200, len(content)) - 1, len(content) - 1]))
        content[data.draw(st.integers(0, last))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    try:
        assert decode(bytes(content)).mode == "RGB"
    except CorruptImageError as error:
        assert str(error)  # noqa: PT017 - either outcome is right
