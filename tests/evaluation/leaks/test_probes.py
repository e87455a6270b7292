"""Leaks that are planted in the data, or in the code that makes them, fail the stage that looks for them."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from conftest import REPOSITORY

from evaluation.leaks.conftest import GANS, as_json, saved_as_jpeg
from fakeface.data import workers
from fakeface.data.image_sets import ImageSet, ImageSetError
from fakeface.data.prepare import prepare
from fakeface.data.preprocess import preprocess
from fakeface.evaluation.leaks import PROBES, ProbedData, judge
from fakeface.params import Params


def read(data: Path) -> ProbedData:
    return ProbedData.read(data / "raw", data / "real", data / "fake", GANS)


def findings(probe: str, params: Params, data: Path) -> list[str] | None:
    """What one probe finds in a folder ``data``."""
    figures = as_json(PROBES[probe].measure(params, read(data)))
    return judge({probe: figures}, params.leaks.tolerance)[probe]


def rewrite(folder: Path, change: Callable[[ImageSet], ImageSet]) -> None:
    """Replace an image set by a changed one."""
    part = ImageSet.read(folder)
    change(ImageSet(np.array(part.images), part.manifest)).write(folder)


def run_stage(params: Params, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the script writes, run in ``folder``; it may end with an error."""
    (folder / "params.yaml").write_text(yaml.safe_dump(params.model_dump(mode="json")))
    monkeypatch.chdir(folder)
    try:
        runpy.run_path(str(REPOSITORY / "pipeline" / "leak_probes.py"), run_name="__main__")
    finally:
        metrics: dict[str, Any] = json.loads((folder / "reports" / "leaks.json").read_text())
    return metrics


def test_the_stage_passes_clean_data(
    probed_params: Params, data_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = run_stage(probed_params, data_copy.parent, monkeypatch)
    assert {"fakeface_version", "torch_version", "seed", "device"} < set(metrics)
    assert metrics["passed"] == dict.fromkeys(PROBES, True) | {"identities": None}
    assert set(PROBES) < set(metrics)
    assert metrics["route"]["unscaled"]["changed_pixels"] == 0
    assert metrics["route"]["n_real"] + metrics["route"]["n_routed"] == 60
    assert metrics["shuffled_labels"]["n_fake"] == 24 * len(GANS)
    assert metrics["equal_pixels"]["n"]["test"] > 24 * len(GANS)


def test_the_stage_writes_its_figures_and_then_fails(
    probed_params: Params, data_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A photograph of the training set saved again among the test photographs; the checksum is another."""
    photograph = ImageSet.read(data_copy / "real" / "train").images[:1]

    def plant(part: ImageSet) -> ImageSet:
        part.images[0] = saved_as_jpeg(photograph)[0]
        return part

    rewrite(data_copy / "real" / "test", plant)
    with pytest.raises(
        SystemExit, match="error: reports/leaks.json: the probes found leaks: .*near_duplicates"
    ):
        run_stage(probed_params, data_copy.parent, monkeypatch)
    metrics = json.loads((data_copy.parent / "reports" / "leaks.json").read_text())
    assert metrics["passed"]["near_duplicates"] is False
    (pair,) = metrics["near_duplicates"]["pairs"]
    assert pair["splits"] == ["train", "test"]
    names = [ImageSet.read(data_copy / "real" / split).manifest["name"][0] for split in pair["splits"]]
    assert pair["names"] == names
    # The manifest was left as it was, so its checksum no longer fits.
    assert metrics["equal_pixels"]["n_wrong_sha256"] == 1


def test_only_photographs_are_saved_as_jpeg(
    probed_params: Params, data_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(
            workers, "preprocess", lambda image, size: saved_as_jpeg(preprocess(image, size)[None])[0]
        )
        prepare(data_copy / "raw", data_copy / "real", probed_params)
    found = findings("route", probed_params, data_copy)
    assert found
    assert any("clean AUROC" in finding for finding in found)


def test_only_fakes_are_cut_off_instead_of_rounded(
    probed_params: Params, clean_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.Tensor, "round", lambda pixels: pixels)
    found = findings("route", probed_params, clean_data)
    assert found
    assert "unscaled pixels, by up to 1" in found[0]


def test_photographs_that_are_not_those_that_were_downloaded(probed_params: Params, data_copy: Path) -> None:
    rewrite(
        data_copy / "real" / "val", lambda part: ImageSet(part.images, part.manifest.assign(name="x.jpg"))
    )
    with pytest.raises(ImageSetError, match="images.zip: lacks x.jpg"):
        PROBES["route"].measure(probed_params, read(data_copy))


def test_a_manifest_column_that_tells_the_class(probed_params: Params, data_copy: Path) -> None:
    def tell(label: int) -> Callable[[ImageSet], ImageSet]:
        return lambda part: ImageSet(part.images, part.manifest.assign(camera=label))

    rewrite(data_copy / "real" / "test", tell(0))
    assert findings("metadata", probed_params, data_copy) == ["test: column camera is only_real"]
    for gan in GANS:
        rewrite(data_copy / "fake" / gan / "test", tell(1))
    (found,) = findings("metadata", probed_params, data_copy) or [""]
    assert found.startswith("test: AUROC 1.000")
    assert found.endswith("by column camera")


def test_fakes_that_repeat_are_no_leak_of_metadata(probed_params: Params, data_copy: Path) -> None:
    """A collapsed generator: its checksums tell that an image is a fake, and that is no shortcut."""

    def collapse(part: ImageSet) -> ImageSet:
        part.images[:] = part.images[:1]
        return ImageSet(part.images, part.manifest.assign(sha256=part.manifest["sha256"].iloc[0]))

    rewrite(data_copy / "fake" / "wgan" / "train", collapse)
    assert findings("metadata", probed_params, data_copy) == []
    assert findings("equal_pixels", probed_params, data_copy) == []


def test_fakes_that_are_stored_otherwise(probed_params: Params, data_copy: Path) -> None:
    path = data_copy / "fake" / "wgan" / "val" / "images.npy"
    np.save(path, np.asfortranarray(np.load(path)))
    (found,) = findings("storage", probed_params, data_copy) or [""]
    assert found.startswith("wgan/val is stored as")
    assert "'order': 'F'" in found


def test_an_image_in_two_splits(probed_params: Params, data_copy: Path) -> None:
    train = ImageSet.read(data_copy / "real" / "train")

    def plant(part: ImageSet) -> ImageSet:
        part.images[3] = train.images[5]
        part.manifest.loc[3, "sha256"] = train.manifest["sha256"][5]
        return part

    rewrite(data_copy / "real" / "test", plant)
    found = findings("equal_pixels", probed_params, data_copy)
    assert found == [f"images in two splits: 1, first {train.manifest['name'][5]} and "
                     f"{ImageSet.read(data_copy / 'real' / 'test').manifest['name'][3]}"]  # fmt: skip
    assert findings("near_duplicates", probed_params, data_copy)


def test_near_fakes_are_counted_and_no_leak(probed_params: Params, data_copy: Path) -> None:
    train = np.array(ImageSet.read(data_copy / "fake" / "dcgan" / "train").images)
    rewrite(data_copy / "fake" / "dcgan" / "test", lambda part: ImageSet(saved_as_jpeg(train), part.manifest))
    assert PROBES["near_duplicates"].measure(probed_params, read(data_copy))["fakes"] == {
        "dcgan": 24,
        "wgan": 0,
    }
    assert findings("near_duplicates", probed_params, data_copy) == []


def test_a_person_in_two_splits(probed_params: Params, data_copy: Path) -> None:
    for split in ("train", "val", "test"):
        rewrite(
            data_copy / "real" / split,
            lambda part: ImageSet(part.images, part.manifest.assign(identity=part.manifest["name"])),
        )
    assert findings("identities", probed_params, data_copy) == []
    name = ImageSet.read(data_copy / "real" / "train").manifest["name"][0]

    def plant(part: ImageSet) -> ImageSet:
        part.manifest.loc[0, "identity"] = name
        return part

    rewrite(data_copy / "real" / "test", plant)
    assert findings("identities", probed_params, data_copy) == ["people in train/test: 1"]


def test_chosen_photographs_keep_their_rows(clean_data: Path) -> None:
    data = read(clean_data)
    images, manifest = data.photographs(20)
    assert images.shape == (20, 64, 64, 3)
    assert set(manifest["split"]) == {"train", "val", "test"}
    for image, (_, row) in zip(images, manifest.iterrows(), strict=True):
        part = data.real[row["split"]]
        (position,) = np.flatnonzero(part.manifest["name"] == row["name"])
        np.testing.assert_array_equal(image, part.images[position])
