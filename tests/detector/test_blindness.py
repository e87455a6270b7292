"""What a training must not see, it does not see: test labels, what manifests record, held-out GANs."""

from __future__ import annotations

import runpy
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from detector.conftest import ROOT, write_set
from fakeface.base.runtime import make_fabric
from fakeface.data.image_sets import SPLITS, ImageSet, LeakError
from fakeface.detector.batches import DetectorData, load_split
from fakeface.detector.train_cffn import CffnTrainer
from fakeface.detector.train_cn import train_cn
from fakeface.models.cffn import build_cffn
from fakeface.params import Params, load_params

TRAINED = ("models/cffn.safetensors", "models/cn.safetensors", "metrics/cn.json", "data/training.csv")


def run_stages(folder: Path, params: Params, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """The scripts of some stages in ``folder``, which holds data/real and data/fake."""
    (folder / "params.yaml").write_text(yaml.safe_dump(params.model_dump(mode="json")))
    monkeypatch.chdir(folder)
    for name in names:
        runpy.run_path(str(ROOT / "pipeline" / f"{name}.py"), run_name="__main__")


def project(folder: Path, image_sets: tuple[Path, Path]) -> Path:
    """A folder with the image sets in ``data``."""
    shutil.copytree(image_sets[0].parent, folder / "data")
    return folder


def permute_test_labels(data: Path) -> None:
    """Every test image of any class under another label; the sets keep their sizes."""
    folders = [data / "real" / "test", *sorted((data / "fake").glob("*/test"))]
    parts = [ImageSet.read(folder) for folder in folders]
    pool = np.concatenate([part.images for part in parts])
    pool = np.random.default_rng(0).permutation(pool)
    for folder, part in zip(folders, parts, strict=True):
        source = str(part.manifest["source"][0])
        images, pool = pool[: len(part)], pool[len(part) :]
        write_set(folder, images, source, "test")


def record_more(data: Path) -> None:
    """Other names, and columns that tell the class: what a detector would see if it were given manifests."""
    for number, part_of in enumerate(["real", *sorted(path.name for path in (data / "fake").iterdir())]):
        for split in SPLITS:
            folder = data / "real" / split if part_of == "real" else data / "fake" / part_of / split
            part = ImageSet.read(folder)
            names = [f"{number}-{row}" for row in range(len(part))]
            told = part.manifest.assign(name=names, width=64 + number, fake=int(number > 0))
            ImageSet(np.array(part.images), told).write(folder)


def invert_training(data: Path) -> None:
    """Every training photograph as its negative."""
    folder = data / "real" / "train"
    write_set(folder, 255 - ImageSet.read(folder).images, "folder", "train")


def test_the_detector_is_made_of_training_images_alone(
    image_sets: tuple[Path, Path], tiny_params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte for byte: the weights, the threshold, and for test labels even the list of training images."""

    def files(*changes: Callable[[Path], None]) -> dict[str, bytes]:
        folder = project(tmp_path / f"with{len(list(tmp_path.iterdir()))}", image_sets)
        for change in changes:
            change(folder / "data")
        run_stages(folder, tiny_params, monkeypatch, "curate", "collect", "train_cffn", "train_cn")
        return {name: (folder / name).read_bytes() for name in (*TRAINED, "data/test.csv")}

    def differing(change: Callable[[Path], None]) -> set[str]:
        other = files(change)
        return {name for name in other if other[name] != plain[name]}

    plain = files()
    assert differing(permute_test_labels) == {"data/test.csv"}
    assert differing(record_more) == {"data/training.csv", "data/test.csv"}
    assert differing(invert_training) == set(TRAINED)


def poison(folder: Path, intruder: Path) -> str:
    """Put the first image of one set, with its manifest row, into another; returns its name."""
    part, other = ImageSet.read(folder), ImageSet.read(intruder)
    images, manifest = np.array(part.images), part.manifest.copy()
    images[2] = other.images[0]
    manifest.loc[2, ["name", "source", "sha256"]] = other.manifest.loc[0, ["name", "source", "sha256"]]
    ImageSet(images, manifest).write(folder)
    return str(manifest["name"][2])


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("among", ["fake/dcgan", "real"])
@pytest.mark.parametrize("stage", ["collect", "train_cffn"])
def test_stages_refuse_a_held_out_image_by_its_name(
    image_sets: tuple[Path, Path],
    tiny_params: Params,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    split: str,
    among: str,
    stage: str,
) -> None:
    """Whether it lies among the fakes of a GAN that trains or among the photographs."""
    folder = project(tmp_path / "poisoned", image_sets)
    name = poison(folder / "data" / among / split, folder / "data" / "fake" / "sngan" / split)
    expected = "'dcgan'" if among == "fake/dcgan" else "a photograph"
    with pytest.raises(SystemExit, match=f"error: .*{name} was made by 'sngan', expected {expected}"):
        run_stages(folder, tiny_params, monkeypatch, stage)
    assert not (folder / "models").exists()


def training_data(real: Path, fake: Path, params: Params) -> tuple[DetectorData, DetectorData]:
    return load_split(real, fake, params.training_gans, "train"), load_split(
        real, fake, params.training_gans, "val"
    )


def poisoned(data: DetectorData, group: int) -> DetectorData:
    """The same data, but one manifest says that an image was made by a held-out GAN."""
    part = data.sets[group]
    manifest = part.manifest.copy()
    manifest.loc[4, "source"] = "sngan"
    sets = list(data.sets)
    sets[group] = ImageSet(part.images, manifest)
    return replace(data, sets=tuple(sets))


@pytest.mark.parametrize("group", [0, 1])
@pytest.mark.parametrize("where", [0, 1])
def test_trainers_refuse_a_held_out_image_by_its_name(
    image_sets: tuple[Path, Path], tiny_params: Params, group: int, where: int
) -> None:
    """Both trainers, in training and in validation data, even if it did not come through ``load_split``."""
    splits = list(training_data(*image_sets, tiny_params))
    splits[where] = poisoned(splits[where], group)
    fabric = make_fabric(tiny_params)
    name = str(splits[where].sets[group].manifest["name"][4])
    with pytest.raises(LeakError, match=f"training data: {name} was made by 'sngan'"):
        CffnTrainer(tiny_params, splits[0], splits[1], fabric)
    untrained = build_cffn("paper", tiny_params.cffn.feature_levels, unit_norm=False)
    with pytest.raises(LeakError, match=f"training data: {name} was made by 'sngan'"):
        train_cn(tiny_params, untrained, splits[0], splits[1], fabric)


def test_held_out_gans_are_those_of_the_params() -> None:
    """The GAN that the tests above smuggle in is one that the repository's params hold out."""
    assert "sngan" in load_params(ROOT / "params.yaml").held_out
