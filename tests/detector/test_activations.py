"""Activations from the store are those computed, whatever happens to the store."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from fakeface.base import hashes
from fakeface.base.runtime import make_fabric
from fakeface.detector import activations
from fakeface.detector.activations import Activations, FrozenLevels, NetworkInputs, RecordStore
from fakeface.detector.batches import DetectorData, load_split
from fakeface.detector.decision import DecisionRule
from fakeface.detector.detector import Detector
from fakeface.detector.train_cffn import CffnTrainer
from fakeface.detector.views import GivenPixels, every_view, protocol_kinds, training_kind
from fakeface.models.cffn import PretrainedCFFN, StatisticsCFFN, to_input
from fakeface.models.cn import ClassificationNetwork
from fakeface.params import ActivationsParams, Params

SETTINGS = ActivationsParams(max_gigabytes=1)
NOTHING = ActivationsParams(max_gigabytes=0)


@pytest.fixture(autouse=True)
def no_shared_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FAKEFACE_CACHE", raising=False)


class Sums:
    """Stands for frozen layers: a record of two bytes, and a note of how many it was asked for."""

    module = __name__

    def __init__(self, version: int = 0) -> None:
        self.identity: dict[str, Any] = {"version": version}
        self.computed = 0

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        self.computed += len(pixels)
        return pixels.reshape(len(pixels), -1).sum(axis=1, dtype=np.uint16)[:, None].view(np.uint8)


@pytest.fixture
def fabric(tiny_params: Params) -> Fabric:
    return make_fabric(tiny_params)


@pytest.fixture
def data(image_sets: tuple[Path, Path]) -> DetectorData:
    return load_split(*image_sets, ["dcgan"], "val")


@pytest.fixture
def views() -> GivenPixels:
    return GivenPixels(np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8), "noise")


@pytest.mark.parametrize("kind", [PretrainedCFFN, StatisticsCFFN])
@pytest.mark.parametrize("levels", [(2, 3, 4), (1, 3)])
def test_records_hold_what_the_frozen_levels_put_out(
    kind: type[PretrainedCFFN], levels: tuple[int, ...], data: DetectorData, fabric: Fabric
) -> None:
    """ONNX Runtime's to 1e-4 of PyTorch's, and rounded to half a thousandth."""
    network = kind(levels).eval()
    frozen = FrozenLevels(network, fabric)
    for side in (32, 64):
        x = to_input(data.images(np.arange(5))[:, :side, :side], fabric.device)
        with torch.no_grad():
            expected = network.activations(x)
        for found, wanted in zip(frozen._activations(x), expected, strict=True):
            assert (found - wanted).abs().max() < 1e-4 * wanted.abs().max()
        stored = frozen.levels(frozen(data.images(np.arange(5))[:, :side, :side]))
        for found, wanted in zip(stored, expected, strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)


def test_a_record_does_not_depend_on_its_company(data: DetectorData, fabric: Fabric) -> None:
    frozen = FrozenLevels(PretrainedCFFN().eval(), fabric)
    pixels = data.images(np.arange(11))
    together = frozen(pixels)
    for places in ([3], [10, 3, 0]):
        np.testing.assert_array_equal(frozen(pixels[places]), together[places])


def test_stored_and_computed_are_the_same_bytes(
    data: DetectorData, tiny_params: Params, fabric: Fabric
) -> None:
    frozen = FrozenLevels(PretrainedCFFN().eval(), fabric)
    stored, computed = Activations(frozen, SETTINGS), Activations(frozen, NOTHING)
    views = every_view(data, training_kind(tiny_params), 0, count=2)
    stored.prepare(views[::2], fabric)
    again = Activations(frozen, SETTINGS)
    assert again.store is not None
    assert [key in again.store for key in views.keys] == [True, False] * len(data)
    expected = computed.records(views)
    np.testing.assert_array_equal(stored.records(views), expected)
    np.testing.assert_array_equal(again.records(views), expected)
    np.testing.assert_array_equal(again.records(views[5:7]), expected[5:7])


def test_what_is_there_is_not_computed_again(views: GivenPixels, fabric: Fabric) -> None:
    layers, twin = Sums(), Sums()
    Activations(layers, SETTINGS).prepare(views, fabric)
    other = Activations(twin, SETTINGS)
    other.prepare(views, fabric)
    np.testing.assert_array_equal(other.records(views), layers(views.pixels))
    assert twin.computed == 0


@pytest.mark.parametrize("changed", ["identity", "code", "versions"])
def test_a_store_of_something_else_is_not_used(
    views: GivenPixels, fabric: Fabric, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    Activations(Sums(), SETTINGS).prepare(views, fabric)
    if changed == "code":
        monkeypatch.setattr(activations, "code_hash", lambda _: "edited")
    if changed == "versions":
        monkeypatch.setattr(activations, "version", lambda _: "other")
    layers = Sums(version=1 if changed == "identity" else 0)
    Activations(layers, SETTINGS).records(views)
    assert layers.computed == len(views)


def test_other_weights_levels_and_precisions_have_other_identities(fabric: Fabric) -> None:
    network = PretrainedCFFN().eval()
    half = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
    others = [(network, fabric), (PretrainedCFFN((1, 2)), fabric), (network, half)]
    identities = [FrozenLevels(*other).identity for other in others]
    with torch.no_grad():
        network.levels[0][0].weight[0] += 1e-3
    identities.append(FrozenLevels(network, fabric).identity)
    assert all(identities.count(identity) == 1 for identity in identities)


def test_the_code_of_whatever_is_imported_counts() -> None:
    """Of the laundering and of the network, through any number of modules."""
    found = hashes.source_files("fakeface.detector.activations")
    assert {"fakeface.data.augmentation", "fakeface.base.lite0"} <= set(found)
    assert "fakeface.detector.train_cffn" not in found


def test_interrupted_writing_leaves_nothing_behind(
    views: GivenPixels, fabric: Fabric, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(Exception):
        pass

    layers = Sums()
    store = Activations(layers, SETTINGS)
    monkeypatch.setattr(activations, "FILE_BYTES", 10 * (activations.KEY_BYTES + 2))
    replaced = Path.replace

    def stop_at_the_second(self: Path, target: Path) -> Path:
        if list(target.parent.glob("*.records")):
            raise Stopped
        return replaced(self, target)

    with monkeypatch.context() as patched, pytest.raises(Stopped):
        patched.setattr(Path, "replace", stop_at_the_second)
        store.prepare(views, fabric)
    after = Activations(Sums(), SETTINGS)
    assert after.store is not None
    assert sum(key in after.store for key in views.keys) == 10
    assert len(list(after.store.folder.iterdir())) == 1
    np.testing.assert_array_equal(after.records(views), layers(views.pixels))


def test_a_damaged_file_is_as_if_it_were_not_there(views: GivenPixels, fabric: Fabric) -> None:
    store = Activations(Sums(), SETTINGS)
    store.prepare(views, fabric)
    assert store.store is not None
    (path,) = store.store.folder.glob("*.records")
    path.write_bytes(path.read_bytes()[:-1])
    layers = Sums()
    Activations(layers, SETTINGS).records(views)
    assert layers.computed == len(views)


def test_two_that_write_at_once_end_with_all_of_it(views: GivenPixels, fabric: Fabric) -> None:
    one, other = Activations(Sums(), SETTINGS), Activations(Sums(), SETTINGS)
    one.prepare(views[:12], fabric)
    other.prepare(views[8:], fabric)
    layers = Sums()
    third = Activations(layers, SETTINGS)
    expected = Sums()(views.pixels)
    for each in (one, other, third):
        np.testing.assert_array_equal(each.records(views), expected)
    assert layers.computed == 0


@pytest.mark.parametrize(
    ("reason", "reasons"),
    [
        ("a file in the way", "Not a directory"),
        ("full", "disk full"),
        ("full later", "No space left on device"),
    ],
)
def test_where_nothing_can_be_written_it_is_computed_with_one_line(
    views: GivenPixels,
    fabric: Fabric,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    reason: str,
    reasons: str,
) -> None:
    root = tmp_path / "store"
    if reason == "full":
        usage = shutil.disk_usage(tmp_path)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10))
    elif reason == "full later":

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
    else:
        root.write_text("not a folder")
    store = Activations(Sums(), SETTINGS, root)
    store.prepare(views, fabric)
    np.testing.assert_array_equal(store.records(views), Sums()(views.pixels))
    store.prepare(views[3:], fabric)
    (line,) = capsys.readouterr().err.splitlines()
    assert f"cannot write {root}" in line
    assert reasons in line


def test_the_bound_holds_and_what_was_used_last_stays(
    views: GivenPixels, fabric: Fabric, tmp_path: Path
) -> None:
    file_bytes = 16 + 5 * (activations.KEY_BYTES + 2)
    bound = ActivationsParams(max_gigabytes=2 * file_bytes / 1e9)

    def keep(version: int, part: slice) -> None:
        Activations(Sums(version), bound, tmp_path).prepare(views[part], fabric)

    def kept(version: int, part: slice) -> bool:
        layers = Sums(version)
        Activations(layers, bound, tmp_path).records(views[part])
        return not layers.computed

    keep(0, slice(5))
    keep(1, slice(5))
    for number, path in enumerate(sorted(tmp_path.glob("*/*"), key=lambda path: path.stat().st_mtime)):
        os.utime(path, (number, number))
    assert kept(0, slice(5))  # and so used
    keep(2, slice(5))
    assert [kept(version, slice(5)) for version in range(3)] == [True, False, True]
    assert sum(path.stat().st_size for path in tmp_path.glob("*/*")) == 2 * file_bytes


def test_beyond_the_bound_nothing_is_thrown_out_for_nothing(
    views: GivenPixels, fabric: Fabric, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Activations(Sums(), ActivationsParams(max_gigabytes=100 / 1e9), tmp_path)
    store.prepare(views, fabric)
    assert not list(tmp_path.glob("*/*"))
    assert "may hold 1e-07 GB" in capsys.readouterr().err
    np.testing.assert_array_equal(store.records(views), Sums()(views.pixels))


def test_nothing_is_kept_without_room(views: GivenPixels, fabric: Fabric, tmp_path: Path) -> None:
    store = Activations(Sums(), NOTHING, tmp_path / "store")
    store.prepare(views, fabric)
    assert not (tmp_path / "store").exists()


def test_a_store_refuses_no_key_that_it_holds(tmp_path: Path) -> None:
    """Keys are bytes of any value."""
    keys = [bytes(16), bytes(15) + b"\1", b"\xff" * 16]
    records = np.arange(6, dtype=np.uint8).reshape(3, 2)
    RecordStore("key", 10**6, tmp_path).write(keys, records)
    found = RecordStore("key", 10**6, tmp_path).read(keys[::-1], lambda _: np.empty((0, 2), np.uint8))
    np.testing.assert_array_equal(found, records[::-1])


@pytest.mark.parametrize("views", [None, {"real": 3, "fake": 1}])
def test_a_training_does_not_depend_on_what_is_kept(
    tiny_params: Params, image_sets: tuple[Path, Path], tmp_path: Path, views: dict[str, int] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    content = tiny_params.model_dump()
    content["cffn"]["views"] = views
    train, val = (load_split(*image_sets, tiny_params.training_gans, split) for split in ("train", "val"))
    losses = []
    for gigabytes in (0, 1, 1):
        content["activations"]["max_gigabytes"] = gigabytes
        params = Params.model_validate(content)
        (tmp_path / str(len(losses))).mkdir()
        if not losses or gigabytes:
            monkeypatch.chdir(tmp_path / str(min(len(losses), 1)))
        trainer = CffnTrainer(params, train, val, make_fabric(params))
        trainer.fit()
        trainer.checkpoint.discard()
        losses.append(trainer.history)
    assert losses[0] == losses[1] == losses[2]


def test_rounding_hardly_changes_a_score(data: DetectorData, tiny_params: Params, fabric: Fabric) -> None:
    """Of views, as the evaluation scores them, and of their pixels, as a deployed detector does."""
    torch.manual_seed(0)
    cffn = PretrainedCFFN(unit_norm=True).eval()
    detector = Detector(cffn, ClassificationNetwork(), DecisionRule.at(0.5), 64, fabric)
    views = every_view(data, protocol_kinds(tiny_params)["laundered"], 0)
    inputs = NetworkInputs(tiny_params, cffn, fabric)
    scores, embeddings = detector.judge(*inputs.read_with_detail(views))
    expected, expected_embeddings = detector.score_and_embed(views.pixels, 20)
    assert np.std(expected) > 0
    np.testing.assert_allclose(scores, expected, atol=1e-3)
    np.testing.assert_allclose(embeddings, expected_embeddings, atol=2e-3)
