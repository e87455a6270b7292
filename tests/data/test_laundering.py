"""The laundering chain: the same for both classes, independent of batch and threads."""

from __future__ import annotations

import io

import numpy as np
import pytest
from conftest import random_picture
from PIL import Image

from fakeface.data.augmentation import is_identity, launder, launder_one, reuploaded
from fakeface.data.preprocess import preprocess
from fakeface.params import ProtocolParams

MILD = ProtocolParams(jpeg_quality=(75, 95))
LAUNDERED = ProtocolParams(rescale_probability=0.5, rescale_min=0.75, jpeg_quality=(50, 95))
IMAGES = np.stack([preprocess(random_picture(seed), 64) for seed in range(12)])


def test_clean_changes_nothing() -> None:
    assert is_identity(ProtocolParams())
    result = launder(IMAGES, [ProtocolParams()], np.arange(12))
    np.testing.assert_array_equal(result, IMAGES)
    assert result is not IMAGES


@pytest.mark.parametrize("chain", [MILD, LAUNDERED])
def test_every_image_changes_and_keeps_its_shape(chain: ProtocolParams) -> None:
    result = launder(IMAGES, [chain], np.arange(12))
    assert result.shape == IMAGES.shape
    assert result.dtype == np.uint8
    assert (result != IMAGES).any(axis=(1, 2, 3)).all()


def test_a_draw_depends_on_the_seed_alone() -> None:
    seeds = np.column_stack([np.full(12, 7), np.arange(12)])
    together = launder(IMAGES, [LAUNDERED], seeds)
    for row in (0, 5, 11):
        np.testing.assert_array_equal(launder(IMAGES[[row]], [LAUNDERED], seeds[[row]])[0], together[row])
    other = launder(IMAGES, [LAUNDERED], seeds + 1)
    assert (other != together).any()


def test_lower_quality_and_smaller_scale_hurt_more() -> None:
    def error(chain: ProtocolParams) -> float:
        difference = launder(IMAGES, [chain], np.arange(12)).astype(float) - IMAGES
        return float(np.square(difference).mean())

    jpeg = [error(ProtocolParams(jpeg_quality=(quality, quality))) for quality in (95, 75, 50)]
    assert jpeg == sorted(jpeg)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    errors = []
    for scale in (0.9, 0.6, 0.3):
        chain = ProtocolParams(rescale_probability=1, rescale_min=scale)
        rng = np.random.default_rng(3)
        errors.append(float(np.square(launder_one(noise, [chain], rng).astype(float) - noise).mean()))
    assert errors == sorted(errors)


def test_half_of_the_images_are_rescaled() -> None:
    """Without JPEG, only the rescaled images differ."""
    chain = ProtocolParams(rescale_probability=0.5, rescale_min=0.75)
    many = np.repeat(IMAGES[:1], 400, axis=0)
    changed = (launder(many, [chain], np.arange(400)) != many).any(axis=(1, 2, 3)).mean()
    assert 0.42 < changed < 0.58


def test_a_seed_for_each_image() -> None:
    with pytest.raises(ValueError, match="12 images but 3 seeds"):
        launder(IMAGES, [MILD], np.arange(3))


def test_of_several_chains_each_image_draws_one() -> None:
    """The draw is the image's own, and one chain alone gives what it gives among others."""
    many, seeds = np.repeat(IMAGES[:1], 300, axis=0), np.arange(300)
    chains = [LAUNDERED, MILD, ProtocolParams()]
    mixed = launder(many, chains, seeds)
    alone = np.stack([launder(many, [chain], seeds) for chain in chains])
    matches = (alone == mixed[None]).all(axis=(2, 3, 4))
    assert matches.any(axis=0).all()
    untouched = matches[2].mean()
    assert 0.23 < untouched < 0.43


def test_an_upload_is_compressed_before_it_is_rescaled() -> None:
    image = np.asarray(random_picture(0).resize((64, 64)))
    changed = reuploaded(image, np.random.default_rng(0))
    quality, scale, kernel = np.random.default_rng(0).random(3)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=50 + int(quality * 46))
    chosen = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)[int(kernel * 3)]
    side = round(64 * (0.5 + scale / 2))
    small = Image.open(buffer).convert("RGB").resize((side, side), chosen)
    np.testing.assert_array_equal(changed, np.asarray(small.resize((64, 64), chosen)))
