"""The robustness grid: stronger is stronger, formulas are what they say, no image depends on another."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import REPOSITORY, random_picture
from PIL import Image, features
from sklearn.datasets import load_sample_images

from fakeface.data.augmentation import (
    CORRUPTIONS,
    CorruptionError,
    MissingCodecError,
    corrupt,
    unavailable,
)
from fakeface.data.preprocess import preprocess
from fakeface.gans.loaders.checkpoints import as_source
from fakeface.gans.weights import load_generator


def windows(photograph: np.ndarray, side: int) -> list[np.ndarray]:
    """Disjoint windows of a photograph at 64 pixels; bare sky, which nothing can brighten, is left out."""
    height, width, _ = photograph.shape
    corners = [(x, y) for y in range(0, height - side, side) for x in range(0, width - side, side)]
    pieces = [preprocess(Image.fromarray(photograph[y : y + side, x : x + side]), 64) for x, y in corners]
    return [piece for piece in pieces if piece.std() > 20]


# The two photographs that scikit-learn ships, in pieces, and synthetic ones.
REAL = np.stack([piece for photograph in load_sample_images().images for piece in windows(photograph, 140)])
IMAGES = np.concatenate([REAL, np.stack([preprocess(random_picture(seed), 64) for seed in range(4)])])
SEEDS = np.column_stack([np.full(len(IMAGES), 3), np.arange(len(IMAGES))])
GRID = [(family, strength) for family, strengths in CORRUPTIONS.items() for strength in strengths]

available = pytest.mark.skipif(bool(unavailable()), reason=f"this Pillow is incomplete: {unavailable()}")


def changes(family: str, strength: float) -> np.ndarray:
    """Mean absolute difference of each image, float64 (N,)."""
    return np.abs(corrupt(IMAGES, family, strength, SEEDS).astype(float) - IMAGES).mean(axis=(1, 2, 3))


@available
@pytest.mark.parametrize("family", CORRUPTIONS)
def test_each_strength_changes_every_image_and_more_than_the_one_before(family: str) -> None:
    assert len(REAL) >= 12
    by_strength = np.stack([changes(family, strength) for strength in CORRUPTIONS[family]])
    assert (by_strength > 0).all()
    for chosen in (slice(None, len(REAL)), slice(len(REAL), None)):
        assert (np.diff(by_strength[:, chosen].mean(axis=1)) > 0).all()


@pytest.fixture(scope="module")
def fakes() -> np.ndarray:
    """Twelve images of this project's own DCGAN, uint8 (12, 64, 64, 3)."""
    network = load_generator(REPOSITORY / "models" / "gans" / "dcgan.safetensors")
    return next(as_source("dcgan", network).batches("test", 12, 0, 50))


@available
@pytest.mark.parametrize("family", CORRUPTIONS)
def test_photographs_and_fakes_of_one_batch_are_both_corrupted(family: str, fakes: np.ndarray) -> None:
    images = np.concatenate([REAL, fakes])
    classes = {"photographs": slice(None, len(REAL)), "fakes": slice(len(REAL), None)}
    before = dict.fromkeys(classes, 0.0)
    for strength in CORRUPTIONS[family]:
        result = corrupt(images, family, strength, np.arange(len(images)))
        change = np.abs(result.astype(float) - images).mean(axis=(1, 2, 3))
        for name, rows in classes.items():
            assert (change[rows] > 0).all(), (name, strength)
            assert change[rows].mean() > before[name], (name, strength)
            before[name] = change[rows].mean()


@available
@pytest.mark.parametrize(("family", "strength"), GRID)
def test_an_image_depends_on_itself_and_its_seed_alone(family: str, strength: float) -> None:
    """Whatever its place and its company, fakes or photographs: the class is not even an argument."""
    before = IMAGES.copy()
    together = corrupt(IMAGES, family, strength, SEEDS)
    assert together.dtype == np.uint8
    assert together.shape == IMAGES.shape
    assert not np.shares_memory(together, IMAGES)
    order = np.random.default_rng(0).permutation(len(IMAGES))
    np.testing.assert_array_equal(corrupt(IMAGES[order], family, strength, SEEDS[order]), together[order])
    for row in (0, len(IMAGES) - 1):
        alone = corrupt(IMAGES[[row]], family, strength, SEEDS[[row]])
        np.testing.assert_array_equal(alone[0], together[row])
    np.testing.assert_array_equal(IMAGES, before)


def test_only_noise_draws_and_its_pattern_follows_the_seed() -> None:
    for family, strengths in CORRUPTIONS.items():
        if family in unavailable():
            continue
        first, other = (corrupt(IMAGES[:4], family, strengths[-1], SEEDS[:4] + i) for i in (0, 1))
        assert (first != other).any() == (family == "noise")
    same = np.repeat(IMAGES[:1], 2, axis=0)
    noisy = corrupt(same, "noise", 5, np.arange(2))
    assert (noisy[0] != noisy[1]).mean() > 0.5


def test_noise_is_normal_and_independent() -> None:
    grey = np.full((20, 64, 64, 3), 128, dtype=np.uint8)
    for sigma in CORRUPTIONS["noise"]:
        noise = corrupt(grey, "noise", sigma, np.arange(20)).astype(float) - 128
        assert noise.mean() == pytest.approx(0, abs=4 * sigma / np.sqrt(noise.size))
        # Rounding to whole steps adds the variance of a uniform error, 1/12.
        assert noise.var() == pytest.approx(sigma**2 + 1 / 12, rel=0.02)
        assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.02
        assert abs(np.corrcoef(noise[:, :, 1:].ravel(), noise[:, :, :-1].ravel())[0, 1]) < 0.02


@pytest.mark.parametrize(
    ("family", "limit"),
    [
        ("blur", 0),
        ("blur", 0.01),
        ("noise", 0),
        ("noise", 1e-3),
        ("rescale", 1),
        ("crop", 1),
        ("darken", 1),
        ("brighten", 1),
        ("contrast_down", 1),
        ("contrast_up", 1),
    ],
)
def test_limits_leave_every_pixel(family: str, limit: float) -> None:
    np.testing.assert_array_equal(corrupt(IMAGES, family, limit, SEEDS), IMAGES)


def reference_blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Every output value as its own weighted mean of the mirrored picture, float64 (H, W, 3)."""
    radius = int(4 * sigma + 0.5)
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-np.add.outer(offsets**2, offsets**2) / (2 * sigma**2))
    padded = np.pad(image.astype(float), ((radius, radius), (radius, radius), (0, 0)), mode="symmetric")
    side = 2 * radius + 1
    views = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(0, 1))
    return np.einsum("hwcij,ij->hwc", views, weights / weights.sum())


@pytest.mark.parametrize("sigma", CORRUPTIONS["blur"])
def test_blur_is_the_gaussian(sigma: float) -> None:
    blurred = corrupt(IMAGES[[0, 8, -1]], "blur", sigma, np.arange(3))
    for image, result in zip(IMAGES[[0, 8, -1]], blurred, strict=True):
        # Half a step is what rounding to bytes may do.
        assert np.abs(result - reference_blur(image, sigma)).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("family", ["darken", "brighten"])
def test_brightness_is_a_product(family: str) -> None:
    for factor in CORRUPTIONS[family]:
        expected = np.minimum(IMAGES * float(factor), 255)
        assert np.abs(corrupt(IMAGES, family, factor, SEEDS) - expected).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("family", ["contrast_down", "contrast_up"])
def test_contrast_keeps_the_mean_luma_in_place(family: str) -> None:
    for factor in CORRUPTIONS[family]:
        result = corrupt(IMAGES, family, factor, SEEDS)
        for image, pixels in zip(IMAGES, result, strict=True):
            red, green, blue = (float(image[..., channel].mean()) for channel in range(3))
            luma = 0.299 * red + 0.587 * green + 0.114 * blue
            expected = np.clip((1 - factor) * luma + factor * image.astype(float), 0, 255)
            assert np.abs(pixels - expected).max() <= 0.5 + 1e-9


def test_crop_keeps_the_centre() -> None:
    """A picture of its own coordinates: the centre stays, the slope becomes the share that is kept."""
    ramp = np.broadcast_to(np.arange(64)[:, None] * 4, (1, 64, 64)).astype(np.uint8)
    image = np.stack([ramp, ramp.transpose(0, 2, 1), ramp], axis=3)
    for share, kept in zip(CORRUPTIONS["crop"], (58, 52, 44), strict=True):
        result = corrupt(image, "crop", share, np.zeros((1, 1), int))[0].astype(float)
        assert abs(kept / 64 - share) < 1 / 64
        inside = slice(8, 56)  # bicubic bends the ends of a ramp
        expected = 4 * ((np.arange(64) + 0.5 - 32) * kept / 64 + 31.5)
        np.testing.assert_allclose(result[inside, 32, 0], expected[inside], atol=0.6)
        np.testing.assert_allclose(result[32, inside, 1], expected[inside], atol=0.6)


def test_any_shape_and_any_layout() -> None:
    wide = np.ascontiguousarray(IMAGES[:2, :40])
    for family, strengths in CORRUPTIONS.items():
        if family not in unavailable():
            assert corrupt(wide, family, strengths[-1], SEEDS[:2]).shape == (2, 40, 64, 3)
    strided = IMAGES[:2, ::2, ::-1]
    strided.flags.writeable = False
    packed = corrupt(np.ascontiguousarray(strided), "crop", 0.8, SEEDS[:2])
    np.testing.assert_array_equal(corrupt(strided, "crop", 0.8, SEEDS[:2]), packed)
    assert corrupt(IMAGES[:0], "jpeg", 50, SEEDS[:0]).shape == (0, 64, 64, 3)
    single = IMAGES[:1, :1, :1]
    assert corrupt(single, "crop", 0.1, SEEDS[:1]).shape == corrupt(single, "rescale", 0.1, SEEDS[:1]).shape


def test_a_codec_that_pillow_lacks_is_named_and_never_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda name: name != "webp")
    assert unavailable() == {"webp": "this build of Pillow has no WebP codec"}
    with pytest.raises(MissingCodecError, match="webp: this build of Pillow has no WebP codec"):
        corrupt(IMAGES, "webp", 75, SEEDS)
    assert corrupt(IMAGES[:1], "jpeg", 75, SEEDS[:1]).any()
    monkeypatch.setattr(features, "check", lambda _: False)
    assert set(unavailable()) == {"jpeg", "webp"}
    monkeypatch.setattr(features, "check", lambda _: True)
    assert unavailable() == {}


@pytest.mark.parametrize(
    ("family", "strength", "message"),
    [
        ("jpg", 50, "corruption must be one of jpeg, webp, .*contrast_up, got 'jpg'"),
        ("jpeg", 0, r"strength of jpeg must be a whole number in \[1, 100\], got 0"),
        ("jpeg", 101, "strength of jpeg"),
        ("webp", 74.5, "strength of webp must be a whole number"),
        ("blur", -0.1, "strength of blur must be a number >= 0, got -0.1"),
        ("blur", float("inf"), "strength of blur must be a number >= 0, got inf"),
        ("noise", float("nan"), "strength of noise must be a number >= 0, got nan"),
        ("rescale", 0, r"strength of rescale must be in \(0, 1\], got 0"),
        ("crop", 1.1, "strength of crop"),
        ("darken", 1.2, r"strength of darken must be in \[0, 1\], got 1.2"),
        ("brighten", 0.8, "strength of brighten must be a number >= 1, got 0.8"),
        ("contrast_down", -1, "strength of contrast_down"),
        ("contrast_up", 0.5, "strength of contrast_up"),
    ],
)
def test_wrong_families_and_strengths_are_named(family: str, strength: float, message: str) -> None:
    with pytest.raises(CorruptionError, match=message) as caught:
        corrupt(IMAGES, family, strength, SEEDS)
    assert isinstance(caught.value, ValueError)


def test_wrong_images_and_seeds_are_named() -> None:
    with pytest.raises(CorruptionError, match=f"{len(IMAGES)} images but 3 seeds"):
        corrupt(IMAGES, "jpeg", 50, SEEDS[:3])
    with pytest.raises(CorruptionError, match=r"uint8 \(B, H, W, 3\), got float32 \(\d+, 64, 64, 3\)"):
        corrupt(IMAGES.astype(np.float32), "jpeg", 50, SEEDS)
    with pytest.raises(CorruptionError, match=r"got uint8 \(64, 64, 3\)"):
        corrupt(IMAGES[0], "jpeg", 50, SEEDS)
