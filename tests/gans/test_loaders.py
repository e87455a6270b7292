"""Generators of unknown make: what each loader gives, and what it says about a file that does not fit."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from conftest import encode, random_picture
from onnx import TensorProto, helper
from torch import nn

from fakeface.base.errors import MissingFileError
from fakeface.data.archives import ArchiveError
from fakeface.gans import loaders
from fakeface.gans.loaders.diffusers import MissingExtraError
from fakeface.gans.loaders.folder import FolderError, FolderSource
from fakeface.gans.sampler import GeneratorOutputError
from fakeface.gans.weights import WeightsError
from fakeface.params import GanParams, ParamsError, validate

DECLARED: dict[str, Any] = {
    "architecture": "other",
    "upsampler": "none",
    "latent": {"shape": [12]},
    "output": {"range": [0, 1]},
}


def exported(loader: str, path: Path, **changes: object) -> GanParams:
    return GanParams(loader=loader, weights=str(path), **(DECLARED | changes))


class Affine(nn.Module):
    """z (B, 3 * 2 * 2) to ``scale * sigmoid(z) + offset`` as images of 2x2 pixels."""

    def __init__(self, scale: float = 1.0, offset: float = 0.0) -> None:
        super().__init__()
        self.scale, self.offset = scale, offset

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.scale * torch.sigmoid(z.reshape(-1, 3, 2, 2)) + self.offset


def script(path: Path, network: nn.Module) -> Path:
    torch.jit.script(network).save(path)
    return path


def graph(path: Path, inputs: list[tuple[str, list[Any]]], side: int = 2) -> Path:
    """An ONNX file whose output is the first input through a sigmoid, as images."""
    nodes = [
        helper.make_node("Reshape", [inputs[0][0], "shape"], ["x"]),
        helper.make_node("Sigmoid", ["x"], ["images"]),
    ]
    shape = helper.make_tensor("shape", TensorProto.INT64, [4], [-1, 3, side, side])
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in inputs],
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, None)],
        [shape],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, path)
    return path


Z = np.random.RandomState(0).standard_normal((5, 12)).astype(np.float32)
SIGMOID = 1 / (1 + np.exp(-Z.astype(np.float64))).reshape(5, 3, 2, 2)
RGB = np.round(255 * SIGMOID).transpose(0, 2, 3, 1).astype(np.uint8)


@pytest.mark.parametrize("shape", [[12], [12, 1, 1], [3, 2, 2]])
def test_latents_come_in_the_declared_shape(tmp_path: Path, shape: list[int]) -> None:
    path = script(tmp_path / "g.pt", Affine())
    source = loaders.load("mine", exported("torchscript", path, latent={"shape": shape}))
    assert np.array_equal(source.sample(Z), RGB)


def test_range_and_channel_order_are_undone(tmp_path: Path) -> None:
    path = script(tmp_path / "g.pt", Affine(scale=4.0, offset=-3.0))
    output = {"range": [-3, 1], "channels": "bgr"}
    images = loaders.load("mine", exported("torchscript", path, output=output)).sample(Z)
    assert np.array_equal(images, RGB[..., ::-1])


def test_clip_cuts_off_what_would_be_refused(tmp_path: Path) -> None:
    path = script(tmp_path / "g.pt", Affine(scale=3.0, offset=-1.0))
    with pytest.raises(
        GeneratorOutputError, match=r"mine: output must lie in \[0, 1\], got \[-0\.\d+, 1\.\d+\]"
    ):
        loaders.load("mine", exported("torchscript", path))
    images = loaders.load(
        "mine", exported("torchscript", path, output={"range": [0, 1], "clip": True})
    ).sample(Z)
    expected = np.round(255 * (3 * SIGMOID - 1).clip(0, 1)).transpose(0, 2, 3, 1)
    assert np.array_equal(images, expected)


@pytest.mark.parametrize("batch", ["n", 3, 50])
def test_onnx_with_a_free_and_with_a_fixed_batch(tmp_path: Path, batch: object) -> None:
    path = graph(tmp_path / "g.onnx", [("z", [batch, 12])])
    images = loaders.load("mine", exported("onnx", path)).sample(Z)
    assert np.abs(images.astype(int) - RGB).max() <= 1


def test_onnx_with_weights_in_a_file_beside_it_is_named_by_its_folder(tmp_path: Path) -> None:
    path = graph(tmp_path / "g.onnx", [("z", ["n", 12])])
    model = onnx.load(path)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(1, dtype=np.float32), "one"))
    model.graph.node[1].output[0] = "unscaled"
    model.graph.node.append(helper.make_node("Mul", ["unscaled", "one"], ["images"]))
    onnx.save(model, path, save_as_external_data=True, location="g.data", size_threshold=0)
    assert (tmp_path / "g.data").stat().st_size > 0
    message = (
        r"gans\.mine\.weights: .*g\.onnx keeps weights in g\.data, .* put both into a folder of their own"
    )
    with pytest.raises(WeightsError, match=message):
        loaders.load("mine", exported("onnx", path))
    images = loaders.load("mine", exported("onnx", tmp_path)).sample(Z)
    assert np.abs(images.astype(int) - RGB).max() <= 1
    graph(tmp_path / "h.onnx", [("z", ["n", 12])])
    with pytest.raises(WeightsError, match=r"gans\.mine\.weights: .* must hold one \.onnx file, got 2"):
        loaders.load("mine", exported("onnx", tmp_path))


@pytest.mark.parametrize(
    ("inputs", "found"),
    [
        ([("z", ["n", 16])], r"z tensor\(float\) \(n, 16\)"),
        ([("z", ["n", 12, 1, 1])], r"z tensor\(float\) \(n, 12, 1, 1\)"),
        ([("z", ["n", 12]), ("label", ["n"])], r"z tensor\(float\) \(n, 12\), label tensor\(float\) \(n\)"),
    ],
)
def test_onnx_with_other_inputs_names_them(tmp_path: Path, inputs: list[Any], found: str) -> None:
    path = graph(tmp_path / "g.onnx", inputs)
    expected = (
        rf"g\.onnx: expected one input tensor\(float\) \(B, 12\) as in gans\.mine\.latent, got {found}$"
    )
    with pytest.raises(WeightsError, match=expected):
        loaders.load("mine", exported("onnx", path))


def test_a_latent_that_the_network_does_not_take(tmp_path: Path) -> None:
    path = script(tmp_path / "g.pt", nn.Sequential(nn.Linear(8, 12), nn.Unflatten(1, (3, 2, 2))))
    with pytest.raises(
        WeightsError, match=r"gans\.mine\.latent\.shape: .*g\.pt does not take latents \(B, 12\): \S"
    ):
        loaders.load("mine", exported("torchscript", path))


class Pair(nn.Module):
    def forward(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return z, z


class NotANumber(nn.Module):
    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.full((z.shape[0], 3, 2, 2), float("nan"))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Pair(), "output must be a tensor, got tuple"),
        (NotANumber(), r"output has NaN or infinite pixels, expected \[0, 1\]"),
        (nn.Identity(), r"output must be \(B, 3, S, S\), got \(50, 12\)"),
    ],
)
def test_outputs_that_are_no_images(tmp_path: Path, network: nn.Module, message: str) -> None:
    with pytest.raises(GeneratorOutputError, match=f"mine: {message}"):
        loaders.load("mine", exported("torchscript", script(tmp_path / "g.pt", network)))


@pytest.mark.parametrize("loader", ["torchscript", "onnx"])
def test_files_of_another_kind(tmp_path: Path, loader: str) -> None:
    path = tmp_path / "g.bin"
    with pytest.raises(MissingFileError, match=r"gans\.mine\.weights: .*g\.bin: no such file"):
        loaders.load("mine", exported(loader, path))
    path.write_bytes(b"no network")
    with pytest.raises(WeightsError, match=r"g\.bin: not an? (TorchScript file|ONNX file)"):
        loaders.load("mine", exported(loader, path))
    with pytest.raises(
        WeightsError, match=r"g\.bin: sha256 is [0-9a-f]{64}, expected one that begins with 0{8}"
    ):
        loaders.load("mine", exported(loader, path, sha256="0" * 8))


def test_a_missing_extra_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    (tmp_path / "model_index.json").write_text("{}")
    gan = GanParams(loader="diffusers", weights=str(tmp_path), architecture="ddpm", upsampler="none", steps=2)
    with pytest.raises(MissingExtraError, match=r"diffusers.*pip install -e '\.\[diffusers\]'"):
        loaders.load("mine", gan)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file or folder"),
        ("{}", r"expected a JSON object with repository, revision"),
        ('{"repository": 1, "revision": null}', "must be texts, got 1, None"),
    ],
)
def test_pipelines_that_are_none(tmp_path: Path, content: str | None, message: str) -> None:
    card = tmp_path / "card.json"
    if content is not None:
        card.write_text(content)
    gan = GanParams(loader="diffusers", weights=str(card), architecture="ddpm", upsampler="none", steps=2)
    with pytest.raises((MissingFileError, WeightsError), match=message):
        loaders.load("mine", gan)


def test_a_folder_that_is_no_pipeline(tmp_path: Path) -> None:
    gan = GanParams(loader="diffusers", weights=str(tmp_path), architecture="ddpm", upsampler="none", steps=2)
    with pytest.raises(MissingFileError, match=r"no model_index\.json, expected a saved pipeline"):
        loaders.load("mine", gan)
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "NoPipeline"}))
    with pytest.raises(WeightsError, match=r"gans\.mine\.weights: .*: not a pipeline that can be read"):
        loaders.load("mine", gan)


# --- a folder of pictures ---------------------------------------------------------------------


def fill(folder: Path, count: int) -> Path:
    folder.mkdir(exist_ok=True)
    for seed in range(count):
        (folder / f"{seed}.png").write_bytes(encode(random_picture(seed, 40, 40), "PNG"))
    return folder


def all_images(source: FolderSource, count: int = 1000) -> dict[str, set[bytes]]:
    return {
        split: {image.tobytes() for batch in source.batches(split, count, 0, 7) for image in batch}
        for split in ("train", "val", "test")
    }


def test_splits_are_disjoint_complete_and_stable(tmp_path: Path) -> None:
    few = all_images(FolderSource("mine", fill(tmp_path / "few", 60)))
    assert sum(map(len, few.values())) == len(set.union(*few.values())) == 60
    assert len(few["train"]) > len(few["test"]) > 0
    assert few["val"]
    more = all_images(FolderSource("mine", fill(tmp_path / "few", 90)))
    for split in few:
        assert few[split] <= more[split]


def test_equal_pictures_count_once_whatever_their_names(tmp_path: Path) -> None:
    folder = fill(tmp_path / "f", 60)
    before = all_images(FolderSource("mine", folder))
    for seed in range(60):
        (folder / f"copy{seed}.png").write_bytes((folder / f"{seed}.png").read_bytes())
    source = FolderSource("mine", folder)
    assert all_images(source) == before
    assert sum(len(batch) for s in before for batch in source.batches(s, 1000, 0, 7)) == 60


def test_pictures_that_only_test_are_all_in_the_test_split(tmp_path: Path) -> None:
    folder = fill(tmp_path / "f", 60)
    source = loaders.load("mine", folder_gan(folder, test_only=True))
    assert isinstance(source, FolderSource)
    assert {split: len(images) for split, images in all_images(source).items()} == {
        "train": 0,
        "val": 0,
        "test": 60,
    }


def test_no_more_than_asked_for(tmp_path: Path) -> None:
    source = FolderSource("mine", fill(tmp_path / "f", 60))
    assert sum(len(batch) for batch in source.batches("train", 10, 0, 4)) == 10


def folder_gan(path: Path, **changes: object) -> GanParams:
    return GanParams(loader="folder", weights=str(path), architecture="x", upsampler="none", **changes)


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="holds no photographs"):
        loaders.load("mine", folder_gan(tmp_path))
    with pytest.raises(ArchiveError, match="no such file or folder"):
        loaders.load("mine", folder_gan(tmp_path / "absent"))
    with pytest.raises(FolderError, match=r"gans\.mine\.sha256 is for a zip or tar"):
        loaders.load("mine", folder_gan(tmp_path, sha256="0" * 8))


def test_too_few_pictures_for_a_split(tmp_path: Path) -> None:
    source = FolderSource("mine", fill(tmp_path / "f", 1))
    empty = [split for split in ("train", "val", "test") if not source._members[split]]
    with pytest.raises(FolderError, match=f"none of its 1 pictures falls into split {empty[0]}"):
        list(source.batches(empty[0], 10, 0, 4))


def test_mixed_sizes_name_both(tmp_path: Path) -> None:
    folder = fill(tmp_path / "f", 60)
    (folder / "7.png").write_bytes(encode(random_picture(7, 48, 40), "PNG"))
    with pytest.raises(
        FolderError, match=r"must be of one size, got .*40x40.*7\.png 48x40|7\.png 48x40.*40x40"
    ):
        all_images(FolderSource("mine", folder))


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    folder = fill(tmp_path / "f", 60)
    content = (folder / "3.png").read_bytes()
    (folder / "3.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(FolderError, match=r"gans\.mine\.weights: .*: 3\.png: "):
        all_images(FolderSource("mine", folder))


# --- params -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"loader": "torchscript"}, "latent is missing, loader torchscript needs it; output is missing"),
        ({"loader": "zoo", "steps": 3}, "steps is for loader diffusers, got loader 'zoo'"),
        ({"loader": "folder", "latent": {"shape": [3]}}, "latent is for loader torchscript or onnx, got"),
        (
            {"loader": "pickle"},
            "loader must be 'zoo'.*'torchscript', 'onnx', 'folder' or 'diffusers', got 'pickle'",
        ),
        (
            {"loader": "onnx", "latent": {"shape": []}, "output": {"range": [0, 1]}},
            r"latent\.shape .*got \[\]",
        ),
        (
            {"loader": "onnx", "latent": {"shape": [3]}, "output": {"range": [1, 0]}},
            r"range must be \[black, white\] with black < white, got \[1\.0, 0\.0\]",
        ),
    ],
)
def test_keys_that_do_not_belong_together(fields: dict[str, Any], message: str) -> None:
    base = {"weights": "w", "architecture": "a", "upsampler": "none"}
    with pytest.raises(ParamsError, match=message):
        validate(GanParams, base | fields, "params.yaml")
