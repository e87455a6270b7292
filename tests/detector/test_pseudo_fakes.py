"""Photographs with an upsampler's traces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import make_params, random_picture
from diffusers import AutoencoderTiny

from fakeface.base.downloads import sha256_of
from fakeface.detector.pseudo_fakes import (
    UPSAMPLERS,
    WEIGHTS_FILE,
    AutoencoderError,
    pseudo_fake,
    reconstructed,
)
from fakeface.detector.views import training_kind
from fakeface.params import AutoencoderParams

Upsampler = Callable[[torch.Tensor, int, np.random.Generator], torch.Tensor]


def photograph(seed: int) -> np.ndarray:
    return np.asarray(random_picture(seed).crop((0, 0, 64, 64)))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_it_is_a_new_picture_of_the_same_thing() -> None:
    image = photograph(1)
    before = image.copy()
    for seed in range(20):
        made = pseudo_fake(image, rng(seed))
        assert made.shape == image.shape
        assert made.dtype == np.uint8
        difference = made.astype(float) - image
        assert 0.5 < np.abs(difference).mean() < 25
        assert np.abs(difference.mean(axis=(0, 1))).max() < 12
    np.testing.assert_array_equal(image, before)


def test_a_seed_is_a_pseudo_fake() -> None:
    np.testing.assert_array_equal(pseudo_fake(photograph(1), rng(3)), pseudo_fake(photograph(1), rng(3)))
    assert (pseudo_fake(photograph(1), rng(3)) != pseudo_fake(photograph(1), rng(4))).any()


@pytest.mark.parametrize("upsample", UPSAMPLERS)
@pytest.mark.parametrize("factor", [2, 4])
def test_upsamplers_restore_the_side_and_about_the_pixels(upsample: Upsampler, factor: int) -> None:
    coarse = torch.full((1, 3, 8, 12), 100.0)
    errors = []
    for seed in range(30):
        up = upsample(coarse, factor, rng(seed))
        assert up.shape == (1, 3, 8 * factor, 12 * factor)
        errors.append(float((up.mean() - 100).abs()))
    assert np.mean(errors) < 8


@pytest.mark.parametrize("factor", [2, 4])
def test_without_its_disturbance_the_transposed_kernel_is_bilinear_interpolation(factor: int) -> None:
    """A generator of draws that are all zero leaves the kernel as it is."""

    class Zero(np.random.Generator):
        def __init__(self) -> None:
            super().__init__(np.random.PCG64())

        def uniform(self, *_: Any, **__: Any) -> Any:
            return 0.0

        def standard_normal(self, *shape: Any, **_: Any) -> Any:
            return np.zeros(*shape)

    coarse = torch.rand(1, 3, 9, 7, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.interpolate(coarse, scale_factor=factor, mode="bilinear")
    made = UPSAMPLERS[0](coarse, factor, Zero())
    torch.testing.assert_close(made, expected)


def test_they_have_the_grid_of_an_upsampler() -> None:
    """Frequencies of 1/2 and 1/4 cycle a pixel stand out, unlike in photographs."""

    def peak(images: np.ndarray) -> float:
        residual = images.astype(float).mean(axis=-1)
        spectrum = np.abs(np.fft.fft2(residual - residual.mean(axis=(1, 2), keepdims=True))).mean(axis=0)
        grid, beside = [(32, 0), (0, 32), (32, 32)], [(29, 3), (3, 29), (29, 29)]
        return float(np.mean([spectrum[at] for at in grid]) / np.mean([spectrum[at] for at in beside]))

    photographs = np.stack([photograph(seed) for seed in range(60)])
    made = np.stack([pseudo_fake(image, rng(seed)) for seed, image in enumerate(photographs)])
    assert peak(made) > 1.5 * peak(photographs)


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory: pytest.TempPathFactory) -> AutoencoderParams:
    """The documented architecture, small, with random weights."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("taesd")
    small = {"encoder_block_out_channels": (8, 8), "decoder_block_out_channels": (8, 8)}
    blocks = {"num_encoder_blocks": (1, 1), "num_decoder_blocks": (1, 1)}
    AutoencoderTiny(**small, **blocks).save_pretrained(folder)
    return AutoencoderParams(folder=str(folder), sha256=sha256_of(folder / WEIGHTS_FILE)[:16])


def test_a_photograph_through_an_autoencoder(autoencoder: AutoencoderParams) -> None:
    image = photograph(1)
    made = reconstructed(image, autoencoder)
    np.testing.assert_array_equal(made, reconstructed(image, autoencoder))
    assert made.shape == image.shape
    assert made.dtype == np.uint8
    network = AutoencoderTiny.from_pretrained(autoencoder.folder).double()
    with torch.inference_mode():
        z = network.encode(torch.from_numpy(image / 127.5 - 1).permute(2, 0, 1)[None]).latents
        expected = (network.decode(z).sample[0].permute(1, 2, 0).numpy() + 1) * 127.5
    assert np.abs(made - expected.clip(0, 255)).max() < 0.51
    assert (made != image).any()


def test_pseudo_fakes_of_a_training_come_out_of_the_autoencoder(autoencoder: AutoencoderParams) -> None:
    changes = {"cffn.pseudo_fakes": 0.25, "cffn.crop": None, "cffn.mirror": False, "cffn.corrupted": 0}
    params = make_params(**changes, **{"cffn.autoencoder": autoencoder.model_dump()})
    params = params.model_copy(update={"cffn": params.cffn.model_copy(update={"augmentation": "clean"})})
    image = photograph(1)
    kind = training_kind(params)
    np.testing.assert_array_equal(kind.of(image, rng(), pseudo=True), reconstructed(image, autoencoder))
    np.testing.assert_array_equal(kind.of(image, rng(), pseudo=False), image)


def test_another_autoencoder_than_the_one_named(autoencoder: AutoencoderParams, tmp_path: Path) -> None:
    with pytest.raises(AutoencoderError, match="must have sha256 00000000, got [0-9a-f]{64}"):
        reconstructed(photograph(1), AutoencoderParams(folder=autoencoder.folder, sha256="0" * 8))
    with pytest.raises(AutoencoderError, match=r"cffn\.autoencoder: .*absent: no autoencoder that diffusers"):
        reconstructed(photograph(1), AutoencoderParams(folder=str(tmp_path / "absent"), sha256="0" * 8))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ('{"_class_name": "UNet2DModel"}', "must be an autoencoder of diffusers, got 'UNet2DModel'"),
        ('{"_class_name": ["a"]}', "must be an autoencoder of diffusers"),
        ("[]", "no autoencoder that diffusers saved"),
        ("{", "no autoencoder that diffusers saved"),
    ],
)
def test_a_folder_that_holds_no_autoencoder(
    autoencoder: AutoencoderParams, tmp_path: Path, config: str, message: str
) -> None:
    content = (Path(autoencoder.folder) / WEIGHTS_FILE).read_bytes()
    (tmp_path / WEIGHTS_FILE).write_bytes(content)
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(AutoencoderError, match=message):
        reconstructed(photograph(1), AutoencoderParams(folder=str(tmp_path), sha256=autoencoder.sha256))
