"""Fake image sets: to the byte the same twice, disjoint latents, whole or absent."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image

from fakeface.data.image_sets import SPLITS, ImageSet
from fakeface.data.preprocess import ImageTooSmallError, preprocess
from fakeface.gans import loaders
from fakeface.gans.architectures import build_generator
from fakeface.gans.generate import _Perturbation, generate, with_perturbed
from fakeface.gans.sampler import GeneratorOutputError, draw_seeds, latent_batches
from fakeface.gans.weights import WeightsError, save_network
from fakeface.params import GanParams, Params, ParamsError

CONFIG = {"z_dim": 6, "width": 8}


@pytest.fixture
def params(tmp_path: Path, small_params: Params) -> Params:
    """Two small untrained generators: ``native`` makes 64x64 images, ``large`` 128x128."""
    gans = {}
    for name, side in (("native", 64), ("large", 128)):
        torch.manual_seed(side)
        path = tmp_path / f"{name}.safetensors"
        config = CONFIG | {"image_size": side}
        save_network(path, build_generator("dcgan", config), "dcgan", config)
        gans[name] = GanParams(loader="zoo", weights=str(path), architecture="dcgan", upsampler="transposed")
    return small_params.model_copy(update={"gans": gans})


def with_generate(params: Params, **changes: int) -> Params:
    return params.model_copy(update={"generate": params.generate.model_copy(update=changes)})


def run(name: str, params: Params, folder: Path) -> dict[str, bytes]:
    """All files that one call writes, by relative path."""
    generate(name, params, folder / "fake" / name, folder / "gallery" / f"{name}.png")
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_three_image_sets_and_a_gallery(params: Params, tmp_path: Path) -> None:
    summary = generate("native", params, tmp_path / "fake", tmp_path / "gallery.png")
    assert summary == {"gan": "native", "train": 24, "val": 12, "test": 16, "duplicates": 0}
    for split, count in (("train", 24), ("val", 12), ("test", 16)):
        fakes = ImageSet.read(tmp_path / "fake" / split)
        assert fakes.images.shape == (count, 64, 64, 3)
        assert fakes.manifest["name"][count - 1] == f"native/{split}/{count - 1:06d}"
        assert set(fakes.manifest["source"]) == {"native"}
        assert set(fakes.manifest["split"]) == {split}
        for image, sha256 in zip(fakes.images, fakes.manifest["sha256"], strict=True):
            assert hashlib.sha256(image.tobytes()).hexdigest() == sha256
    gallery = np.asarray(Image.open(tmp_path / "gallery.png"))
    assert gallery.shape == (2 * 64, 8 * 64, 3)
    assert np.array_equal(gallery[64:, :64], ImageSet.read(tmp_path / "fake" / "test").images[8])


def test_twice_the_same_bytes_whatever_the_batch_size(params: Params, tmp_path: Path) -> None:
    params = with_generate(params, n_train=120)
    first = run("native", params, tmp_path / "a")
    assert len(first) == 7
    assert first == run("native", params, tmp_path / "b")
    for batch_size in (1, 100, 1000):
        assert first == run(
            "native", with_generate(params, batch_size=batch_size), tmp_path / str(batch_size)
        )


def test_more_images_keep_the_first_ones(params: Params, tmp_path: Path) -> None:
    run("native", params, tmp_path / "few")
    run("native", with_generate(params, n_test=70), tmp_path / "many")
    few, many = (
        ImageSet.read(tmp_path / size / "fake" / "native" / "test").images for size in ("few", "many")
    )
    assert np.array_equal(few, many[:16])


def test_latents_are_disjoint_by_split_gan_and_seed() -> None:
    drawn = [
        next(latent_batches(gan, split, 50, 8, seed, size=50))
        for gan in ("dcgan", "wgan")
        for split in SPLITS
        for seed in (0, 1)
    ]
    rows = {row.tobytes() for latents in drawn for row in latents}
    assert len(rows) == 2 * 3 * 2 * 50
    assert np.concatenate(drawn).mean() == pytest.approx(0, abs=0.1)
    assert np.concatenate(drawn).std() == pytest.approx(1, abs=0.1)


PINNED_LATENTS = [[-0.1054134, -0.2993072, -1.1162963], [-1.5504949, 0.8673773, -0.6460522]]


def test_latents_are_pinned() -> None:
    """Published fakes come from these numbers."""
    z = next(latent_batches("dcgan", "test", 2, 3, seed=0, size=2))
    assert z.dtype == np.float32
    np.testing.assert_allclose(z, PINNED_LATENTS, atol=1e-6)


def test_larger_images_go_through_the_one_preprocessing(params: Params, tmp_path: Path) -> None:
    run("large", params, tmp_path)
    fakes = ImageSet.read(tmp_path / "fake" / "large" / "val")
    native = loaders.load("large", params.gans["large"]).sample(
        next(latent_batches("large", "val", 12, 6, seed=0, size=12))
    )
    assert native.shape[1:] == (128, 128, 3)
    for image, original in zip(fakes.images, native, strict=True):
        assert np.array_equal(image, preprocess(Image.fromarray(original), 64))
    assert set(fakes.manifest["width"]) == {128}


def test_smaller_images_are_refused_by_name(params: Params, tmp_path: Path) -> None:
    params = params.model_copy(update={"image_size": 96})
    with pytest.raises(
        ImageTooSmallError, match=r"gans\.native: image is 64x64 pixels, expected at least 96"
    ):
        generate("native", params, tmp_path / "fake", tmp_path / "gallery.png")
    assert not (tmp_path / "fake").exists()


def test_an_unknown_gan_lists_the_known_ones(params: Params, tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="gans has no entry 'other', expected one of native, large"):
        generate("other", params, tmp_path / "fake", tmp_path / "gallery.png")


def test_duplicates_are_counted(params: Params, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    collapsed = build_generator("dcgan", CONFIG)
    with torch.no_grad():
        next(collapsed.parameters()).zero_()
    save_network(params.gans["native"].weights, collapsed, "dcgan", CONFIG)
    summary = generate("native", params, tmp_path / "fake", tmp_path / "gallery.png")
    assert summary["duplicates"] == 24 + 12 + 16 - 1
    assert "native: 51 of 52 images repeat an earlier one" in caplog.text


def test_a_failure_leaves_the_old_sets_and_no_scraps(params: Params, tmp_path: Path) -> None:
    out, gallery = tmp_path / "out" / "native", tmp_path / "gallery.png"
    generate("native", params, out, gallery)
    before = {path: path.read_bytes() for path in out.rglob("*.*")} | {gallery: gallery.read_bytes()}
    broken = build_generator("dcgan", CONFIG)
    with torch.no_grad():
        next(broken.parameters()).fill_(float("nan"))
    save_network(params.gans["native"].weights, broken, "dcgan", CONFIG)
    with pytest.raises(GeneratorOutputError, match="native: output has NaN"):
        generate("native", params, out, gallery)
    assert {path: path.read_bytes() for path in before} == before
    assert [path.name for path in out.parent.iterdir()] == ["native"]


def test_weights_of_the_wrong_architecture(params: Params, tmp_path: Path) -> None:
    gan = params.gans["native"].model_copy(update={"architecture": "resnet"})
    params = params.model_copy(update={"gans": {"native": gan}})
    with pytest.raises(WeightsError, match=r"gans\.native\.architecture must be 'dcgan'"):
        generate("native", params, tmp_path / "fake", tmp_path / "gallery.png")


def test_gallery_shows_64_at_most(params: Params, tmp_path: Path) -> None:
    params = params.model_copy(update={"generate": params.generate.model_copy(update={"n_test": 70})})
    run("native", params, tmp_path)
    shown = np.asarray(Image.open(tmp_path / "gallery" / "native.png"))
    assert shown.shape == (8 * 64, 8 * 64, 3)
    images = ImageSet.read(tmp_path / "fake" / "native" / "test").images
    assert np.array_equal(shown[7 * 64 :, 7 * 64 :], images[63])


def test_perturbed_copies_keep_the_seeds_of_published_fakes(params: Params) -> None:
    source = loaders.load("native", params.gans["native"])
    (images,) = with_perturbed(source, 1.0).batches("train", 10, 0, 50)
    z = next(latent_batches("native", "train", 10, source.z_dim, 0, size=50))
    (copy_seed,) = draw_seeds("native disturbed", "train", 1, 0)
    with _Perturbation(source.network, int(copy_seed)):
        np.testing.assert_array_equal(images, source.sample(z, clip=True))


def test_perturbed_training_images_leave_everything_else_as_it_was(params: Params, tmp_path: Path) -> None:
    def sets(share: float) -> dict[str, np.ndarray]:
        folder = tmp_path / str(share)
        changed = params.generate.model_copy(update={"perturbed": share})
        generate("native", params.model_copy(update={"generate": changed}), folder / "fake", folder / "g.png")
        return {split: ImageSet.read(folder / "fake" / split).images for split in SPLITS}

    plain, half = sets(0.0), sets(0.5)
    for split in ("val", "test"):
        np.testing.assert_array_equal(plain[split], half[split])
    kept = len(plain["train"]) - round(0.5 * len(plain["train"]))
    np.testing.assert_array_equal(plain["train"][:kept], half["train"][:kept])
    changed = (plain["train"][kept:] != half["train"][kept:]).any(axis=(1, 2, 3))
    assert changed.all()
    # The same latents, so still much the same pictures.
    distance = np.abs(plain["train"][kept:].astype(float) - half["train"][kept:]).mean()
    between = np.abs(plain["train"][kept:].astype(float) - np.roll(half["train"][kept:], 1, axis=0)).mean()
    assert distance < between
    np.testing.assert_array_equal(half["train"], sets(0.5)["train"])


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_latents_in_batches_are_those_drawn_at_once(distribution: Literal["normal", "uniform"]) -> None:
    whole = next(latent_batches("dcgan", "val", 23, 3, 1, distribution, size=23))
    for size in (1, 7, 50):
        parts = list(latent_batches("dcgan", "val", 23, 3, 1, distribution, size=size))
        np.testing.assert_array_equal(np.concatenate(parts), whole)
        parts = list(latent_batches("dcgan", "val", 23, 3, 1, distribution, size=size, skip=9))
        np.testing.assert_array_equal(np.concatenate(parts), whole[9:])


def test_a_gpu_that_is_not_there_is_refused(params: Params, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    generate_params = params.generate.model_copy(update={"device": "cuda"})
    params = params.model_copy(update={"generate": generate_params})
    with pytest.raises(ParamsError, match="generate.device must be 'cpu' or 'auto' on a machine without"):
        generate("native", params, tmp_path / "fake", tmp_path / "gallery.png")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
def test_a_gpu_makes_much_the_same_fakes(params: Params, tmp_path: Path) -> None:
    run("native", params, tmp_path / "cpu")
    generate_params = params.generate.model_copy(update={"device": "cuda"})
    run("native", params.model_copy(update={"generate": generate_params}), tmp_path / "gpu")
    cpu, gpu = (
        ImageSet.read(tmp_path / where / "fake/native/test").images.astype(int) for where in ("cpu", "gpu")
    )
    assert np.abs(cpu - gpu).max() <= 3
