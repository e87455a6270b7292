"""The documentation's worked examples of a generator of one's own, run as they stand."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import REPOSITORY, encode, random_picture

from fakeface.data.image_sets import ImageSet
from fakeface.gans.architectures import build_generator
from fakeface.gans.generate import generate
from fakeface.params import GanParams, Params

PAGE = (REPOSITORY / "docs" / "how-to" / "add-a-gan.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(python|yaml)\n(.*?)```", PAGE, re.DOTALL)
ENTRIES = {
    name: fields for kind, text in BLOCKS if kind == "yaml" for name, fields in yaml.safe_load(text).items()
}
SNIPPETS = [text for kind, text in BLOCKS if kind == "python"]


def make_generator(tanh: bool) -> torch.nn.Module:
    torch.manual_seed(0)
    network = build_generator("resnet", {"z_dim": 128, "channels": [8, 8, 8, 8], "upsample": "nearest"})
    return network.eval() if tanh else torch.nn.Sequential(network, torch.nn.Sigmoid()).eval()


def tiny_pipeline() -> object:
    from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel

    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=64,
        block_out_channels=(8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )
    return DDIMPipeline(unet, DDIMScheduler())


def write_pictures(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for seed in range(80):
            archive.writestr(f"seed{seed:04d}.png", encode(random_picture(seed, 96, 96), "PNG"))


def run(name: str, params: Params, folder: Path, **changes: object) -> dict[str, ImageSet]:
    gan = GanParams(**(ENTRIES[name] | changes))
    params = params.model_copy(update={"gans": {name: gan}})
    generate(name, params, folder / name, folder / f"{name}.png")
    return {split: ImageSet.read(folder / name / split) for split in ("train", "val", "test")}


def test_the_section_has_one_example_a_loader() -> None:
    assert [fields["loader"] for fields in ENTRIES.values()] == ["torchscript", "onnx", "folder", "diffusers"]


@pytest.mark.slow
def test_torchscript(small_params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    generator = make_generator(tanh=True)
    exec(SNIPPETS[0], {"torch": torch, "generator": generator})  # noqa: S102
    fakes = run("my_torchscript", small_params, tmp_path)
    assert [len(fakes[split]) for split in fakes] == [24, 12, 16]
    assert fakes["test"].images.std() > 1


@pytest.mark.slow
def test_onnx(small_params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph's first channel is shown as blue, and its latents are uniform."""
    monkeypatch.chdir(tmp_path)
    generator = make_generator(tanh=False)
    exec(SNIPPETS[1], {"torch": torch, "generator": generator})  # noqa: S102
    fakes = run("my_onnx", small_params, tmp_path)["test"]
    from fakeface.gans.sampler import latent_batches

    z = next(latent_batches("my_onnx", "test", 16, 128, small_params.seed, "uniform", size=16))
    assert float(np.abs(z).max()) <= 1
    with torch.no_grad():
        x = generator(torch.from_numpy(z)).flip(1)
    expected = x.mul(255).round().byte().permute(0, 2, 3, 1).numpy()
    difference = np.abs(fakes.images.astype(int) - expected.astype(int))
    assert difference.max() <= 1
    assert not np.array_equal(expected, expected[..., ::-1])


def test_folder(small_params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "my_pictures.zip")
    fakes = run("my_pictures", small_params, tmp_path)
    assert all(len(fakes[split]) > 0 for split in fakes)
    assert set(fakes["train"].manifest["width"]) == {96}


@pytest.mark.slow
def test_diffusers(small_params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(SNIPPETS[2], {"pipeline": tiny_pipeline()})  # noqa: S102
    first = run("my_diffusion", small_params, tmp_path / "a", steps=2)
    second = run("my_diffusion", small_params, tmp_path / "b", steps=2)
    for split in first:
        assert np.array_equal(first[split].images, second[split].images)
    assert first["val"].images.shape == (12, 64, 64, 3)
    rows = {image.tobytes() for split in first.values() for image in split.images}
    assert len(rows) == 24 + 12 + 16
