"""Each probe stays quiet on clean data and fires on a leak that was planted."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import encode, random_picture
from PIL import Image

from fakeface.data.imageset import MANIFEST_COLUMNS, ImageSet
from fakeface.data.prepare import prepare
from fakeface.data.preprocess import preprocess
from fakeface.data.sources import download
from fakeface.evaluation import leak_probes
from fakeface.evaluation.leak_probes import (
    fakes_route,
    identities_across_splits,
    metadata_probe,
    near_duplicates,
    perceptual_hashes,
    route_probe,
    shuffled_labels_probe,
)
from fakeface.gans import generate
from fakeface.gans.generate import sample_split
from fakeface.params import Params, ProtocolParams

PROTOCOLS = {
    "laundered": ProtocolParams(rescale_probability=0.5, rescale_min=0.75, jpeg_quality=(50, 95)),
    "clean": ProtocolParams(),
}


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """600 distinct synthetic photographs at 64 pixels."""
    return np.stack([np.asarray(random_picture(seed, 64, 64)) for seed in range(600)])


def image_set(n: int, seed: int, **columns: object) -> ImageSet:
    """Black images with a manifest that says nothing of their class, but for ``columns``."""
    rng = np.random.default_rng(seed)
    names = [f"{number:06d}.jpg" for number in rng.choice(10**6, n, replace=False)]
    digests = [rng.bytes(32).hex() for _ in range(n)]
    manifest = pd.DataFrame({"name": names, "source": "folder", "sha256": digests, "split": "test"})
    manifest["width"] = rng.integers(64, 256, n)
    return ImageSet(np.zeros((n, 8, 8, 3), np.uint8), manifest.assign(**columns))


def as_json(result: dict[str, Any]) -> dict[str, Any]:
    """The result as a metrics file would hold it; NaN and NumPy's types are errors."""
    read = json.loads(json.dumps(result, allow_nan=False))
    assert read == result
    return read


def test_metadata_without_a_leak() -> None:
    result = as_json(metadata_probe(image_set(150, 0), image_set(200, 1)))
    assert (result["n_real"], result["n_fake"]) == (150, 200)
    assert result["stored_alike"]
    assert result["stored"]["real"] == {"dtype": "|u1", "shape": [8, 8, 3], "order": "C"}
    assert result["only_real"] == result["only_fake"] == []
    assert list(result["columns"]) == [*MANIFEST_COLUMNS, "width"]
    for auroc in (result["auroc"], *result["columns"].values()):
        assert 0.3 < auroc < 0.6  # below 0.5 nothing was learned either
    assert result["columns"]["source"] == result["columns"]["split"] == 0.5


def test_columns_that_tell_the_class() -> None:
    """One column says it by its numbers, one by its texts, one by the length of them, one by a gap..."""
    planted = {
        "number": (178, 64),
        "text": ("Canon", "Nikon"),
        "length": ("jpg", "jpeg"),
        "digits": ("A1", "11"),
        "gap": ("given", None),
        "no_number": (0.5, np.nan),
        "truth": (True, False),
        "mixed": (12, "twelve"),
    }
    real, fake = (
        image_set(40 + 10 * label, label, **{name: values[label] for name, values in planted.items()})
        for label in (0, 1)
    )
    result = as_json(metadata_probe(real, fake, folds=2))
    assert result["auroc"] > 0.99
    assert {name for name, auroc in result["columns"].items() if auroc > 0.99} == set(planted)
    assert result["columns"]["width"] < 0.7


def test_a_column_that_half_tells_it() -> None:
    rng = np.random.default_rng(5)
    real, fake = (image_set(200, label, size=rng.normal(label, 1, 200)) for label in (0, 1))
    assert 0.65 < metadata_probe(real, fake, folds=2)["columns"]["size"] < 0.85


def test_names_and_storage_that_tell_it() -> None:
    real, fake = image_set(60, 0), image_set(60, 1)
    fake.manifest["name"] = "gan/" + fake.manifest["name"]
    other = ImageSet(np.asfortranarray(fake.images), fake.manifest.drop(columns="width").assign(latent=1))
    result = as_json(metadata_probe(real, other, folds=2))
    assert result["columns"]["name"] > 0.99
    assert result["auroc"] < 0.65  # the name says by design what an image is
    assert not result["stored_alike"]
    assert result["stored"]["fake"]["order"] == "F"
    assert (result["only_real"], result["only_fake"]) == (["width"], ["latent"])


def test_metadata_too_scarce_to_judge() -> None:
    result = as_json(metadata_probe(image_set(4, 0), image_set(60, 1)))
    assert result["auroc"] is result["columns"] is None
    assert result["undefined"]["auroc"] == "5 folds need 5 images of each class, got 4 and 60"
    bare = [ImageSet(part.images, part.manifest[["name"]]) for part in (image_set(9, 0), image_set(9, 1))]
    result = as_json(metadata_probe(*bare))
    assert result["auroc"] is None
    assert result["undefined"]["auroc"] == "no shared column but those of the origin: name"


class Painter:
    """A source of fakes that needs no network."""

    name = "painter"

    def batches(self, split: str, count: int, seed: int, batch_size: int) -> Iterator[np.ndarray]:  # noqa: ARG002
        yield np.stack([np.asarray(random_picture(1000 + i, 64, 64)) for i in range(count)])


def test_the_manifests_of_this_package(tmp_path: Path, small_params: Params) -> None:
    """Sizes before preprocessing tell the classes, which is why no detector is given them."""
    download(small_params, tmp_path / "raw")
    prepare(tmp_path / "raw", tmp_path / "real", small_params)
    sample_split(Painter(), "train", 40, 64, 0, 40).write(tmp_path / "fake")
    result = as_json(
        metadata_probe(ImageSet.read(tmp_path / "real" / "train"), ImageSet.read(tmp_path / "fake"), folds=2)
    )
    assert result["stored_alike"]
    assert (result["only_real"], result["only_fake"]) == (["file_sha256", "identity"], [])
    told = {column for column, auroc in result["columns"].items() if auroc > 0.99}
    assert told == {"name", "source", "width", "height"}
    assert result["auroc"] > 0.99


def test_the_fakes_route_changes_no_pixel() -> None:
    every_value = np.arange(256, dtype=np.uint8).repeat(48).reshape(1, 64, 64, 3)
    rng = np.random.default_rng(0)
    photographs = np.concatenate([every_value, rng.integers(0, 256, (60, 64, 64, 3), dtype=np.uint8)])
    photographs.flags.writeable = False  # as a memory map is
    routed = fakes_route(photographs)
    assert routed.dtype == np.uint8
    np.testing.assert_array_equal(routed, photographs)


def test_the_fakes_route_is_that_of_the_sampler_and_of_generate(
    images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect there must reach the probe."""
    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "round", lambda pixels: pixels)
        assert (fakes_route(images[:60]) != images[:60]).mean() > 0.01
    with monkeypatch.context() as patch:
        patch.setattr(generate, "preprocess", lambda image, size: 255 - preprocess(image, size))
        np.testing.assert_array_equal(fakes_route(images[:60]), 255 - images[:60])


def test_the_fakes_route_leaves_no_trace(images: np.ndarray) -> None:
    before = images.copy()
    result = as_json(route_probe(images, PROTOCOLS, halvings=4))
    assert (result["n_real"], result["n_routed"]) == (300, 300)
    assert result["changed_pixels"] == result["largest_change"] == 0
    for name in PROTOCOLS:
        block = result[name]
        assert block["auroc"] == pytest.approx(0.5, abs=0.05)
        assert block["auroc"] == pytest.approx(np.mean(block["aurocs"]))
        assert block["standard_error"] == pytest.approx(np.std(block["aurocs"], ddof=1) / 2)
    np.testing.assert_array_equal(images, before)


def cut_off(photographs: np.ndarray) -> np.ndarray:
    """[-1, 1] floats back to bytes without rounding: some values come back one too low."""
    x = photographs.astype(np.float32) / np.float32(127.5) - 1
    return ((x + 1) * 127.5).astype(np.uint8)


def one_up(photographs: np.ndarray) -> np.ndarray:
    return np.minimum(photographs.astype(int) + 1, 255).astype(np.uint8)


def saved_as_jpeg(photographs: np.ndarray) -> np.ndarray:
    files = [encode(Image.fromarray(photograph), quality=90) for photograph in photographs]
    return np.stack([np.asarray(Image.open(io.BytesIO(content))) for content in files])


@pytest.mark.parametrize(
    ("route", "changed", "largest", "clean", "laundered"),
    [
        (cut_off, (0.05, 0.5), 1, 0.95, (0.4, 0.6)),
        (one_up, (0.9, 1), 1, 0.75, (0.4, 0.6)),
        (saved_as_jpeg, (0.5, 1), None, 0.99, (0.56, 1)),
    ],
)
def test_a_route_that_leaves_a_trace(
    images: np.ndarray,
    route: Callable[[np.ndarray], np.ndarray],
    changed: tuple[float, float],
    largest: int | None,
    clean: float,
    laundered: tuple[float, float],
) -> None:
    """Laundering hides wrong rounding and not a JPEG; without laundering each one shows."""
    result = as_json(route_probe(images[:400], PROTOCOLS, route=route, halvings=2))
    assert changed[0] < result["changed_pixels"] <= changed[1]
    assert largest is None or result["largest_change"] == largest
    assert result["clean"]["auroc"] > clean
    assert laundered[0] < result["laundered"]["auroc"] < laundered[1]


def test_routes_of_too_few_photographs(images: np.ndarray) -> None:
    few = as_json(route_probe(images[:9], PROTOCOLS))
    assert few["changed_pixels"] == 0
    for name in PROTOCOLS:
        assert few[name]["auroc"] is few[name]["standard_error"] is few[name]["aurocs"] is None
        assert few[name]["undefined"]["auroc"] == "5 folds need 5 images of each class, got 5 and 4"
    none = as_json(route_probe(images[:0], PROTOCOLS))
    assert none["changed_pixels"] is none["clean"]["auroc"] is None
    assert none["undefined"]["changed_pixels"] == "no photographs"
    with pytest.raises(ValueError, match="at least 2 labellings are needed for a standard error, got 1"):
        route_probe(images, PROTOCOLS, halvings=1)


@pytest.fixture(scope="module")
def labelled(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """160 photographs and 80 'fakes' that one can tell from them."""
    labels = np.repeat([0, 1], [160, 80])
    return np.concatenate([images[:160], saved_as_jpeg(images[160:240])]), labels


def test_shuffled_labels_cannot_be_predicted(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    result = as_json(shuffled_labels_probe(*labelled, shuffles=4))
    assert (result["n_real"], result["n_fake"], len(result["aurocs"])) == (160, 80, 4)
    assert result["auroc"] == pytest.approx(0.5, abs=0.1)
    assert result["auroc_true_labels"] > 0.95
    few = as_json(shuffled_labels_probe(labelled[0][150:164], labelled[1][150:164]))
    assert few["auroc"] is few["aurocs"] is few["auroc_true_labels"] is None
    assert few["undefined"]["auroc"] == "5 folds need 5 images of each class, got 10 and 4"


def test_shuffled_labels_show_a_test_that_was_trained_on(
    labelled: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    class EverythingTrains(leak_probes.StratifiedKFold):
        def split(self, X: Any, y: Any, groups: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for _, test in super().split(X, y, groups):
                yield np.arange(len(y)), test

    monkeypatch.setattr(leak_probes, "StratifiedKFold", EverythingTrains)
    assert shuffled_labels_probe(*labelled, shuffles=2)["auroc"] > 0.95


def test_labels_that_are_none(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = labelled
    for wrong in (labels[1:], labels + 1):
        with pytest.raises(ValueError, match=r"labels must be \(240,\) of 0 and 1"):
            shuffled_labels_probe(images, wrong)


def reference_hash(image: np.ndarray) -> bytes:
    """The DCT-II by its definition; the first frequency is the highest bit of the first byte."""
    grey = np.asarray(Image.fromarray(image).convert("L").resize((32, 32), Image.Resampling.BOX), float)
    waves = np.cos(np.pi * np.arange(8)[:, None] * (2 * np.arange(32) + 1) / 64)
    bits = "".join(str(int(bit)) for bit in (waves @ (grey - 127.5) @ waves.T > 0).ravel())
    return bytes(int(bits[start : start + 8], 2) for start in range(0, 64, 8))


def test_hashes_are_signs_of_the_dct(images: np.ndarray) -> None:
    hashes = perceptual_hashes(images)
    assert hashes.dtype == np.uint64
    assert [value.tobytes() for value in hashes[:20]] == [reference_hash(image) for image in images[:20]]
    assert len(set(hashes.tolist())) == len(images)


def with_noise(images: np.ndarray, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(9).normal(0, sigma, images.shape)
    return np.rint(images + noise).clip(0, 255).astype(np.uint8)


def test_copies_in_another_split_are_found(images: np.ndarray) -> None:
    clean = {"train": images[:300], "val": images[300:340], "test": images[340:400]}
    result = as_json(near_duplicates(clean))
    assert (result["n_pairs"], result["pairs"]) == (0, [])
    assert result["n"] == {"train": 300, "val": 40, "test": 60}
    assert result["n_compared"] == 300 * 40 + 300 * 60 + 40 * 60

    leaky = dict(clean)
    leaky["test"] = np.concatenate(
        [images[340:400], with_noise(images[[7, 310]], 3), saved_as_jpeg(images[[250]])]
    )
    result = as_json(near_duplicates(leaky))
    found = {(*pair["splits"], *pair["rows"]) for pair in result["pairs"]}
    assert found == {("train", "test", 7, 60), ("val", "test", 10, 61), ("train", "test", 250, 62)}
    assert result["n_pairs"] == 3
    assert all(0 < pair["mean_difference"] < 5 and pair["distance"] <= 3 for pair in result["pairs"])


def test_copies_within_a_split_are_none_of_its_business(images: np.ndarray) -> None:
    twice = np.concatenate([images[:50], images[:50]])
    assert near_duplicates({"train": twice, "test": images[50:100]})["n_pairs"] == 0


def test_pairs_are_those_of_a_plain_count_of_bits() -> None:
    """Across the chunks in which they are searched, and with more pairs than are listed."""
    small = np.stack([np.asarray(random_picture(seed, 32, 32)) for seed in range(800)])
    parts = {"train": small[:600], "test": small[600:]}
    first, second = (perceptual_hashes(part).tolist() for part in parts.values())
    distances = np.array([[(a ^ b).bit_count() for b in second] for a in first])
    for limit in (12, 20, 64):
        result = as_json(near_duplicates(parts, max_distance=limit))
        assert result["n_pairs"] == (distances <= limit).sum()
        assert len(result["pairs"]) == min(50, result["n_pairs"])
        listed = [pair["distance"] for pair in result["pairs"]]
        assert listed == sorted(distances.ravel())[: len(listed)]
        for pair in result["pairs"]:
            row, other = pair["rows"]
            assert pair["distance"] == distances[row, other]
            difference = np.abs(parts["train"][row].astype(float) - parts["test"][other]).mean()
            assert pair["mean_difference"] == pytest.approx(difference)
    assert near_duplicates({"train": small[:5], "test": small[:0]})["n_pairs"] == 0


def people(*identities: object) -> pd.DataFrame:
    return pd.DataFrame({"name": [f"{i}.jpg" for i in range(len(identities))], "identity": list(identities)})


def test_people_in_two_splits() -> None:
    apart = {"train": people("1", "1", "2"), "val": people("3", None), "test": people("4", "")}
    result = as_json(identities_across_splits(apart))
    assert result["n"] == {"train": 3, "val": 2, "test": 2}
    assert result["n_identified"] == {"train": 3, "val": 1, "test": 1}
    assert result["n_shared"] == {"train/val": 0, "train/test": 0, "val/test": 0}
    assert result["shared"] == []
    assert "undefined" not in result

    leaky = apart | {"test": people("2", "4", "2", "3")}
    result = as_json(identities_across_splits(leaky))
    assert result["n_shared"] == {"train/val": 0, "train/test": 1, "val/test": 1}
    assert result["shared"] == [
        {"identity": "2", "splits": ["train", "test"]},
        {"identity": "3", "splits": ["val", "test"]},
    ]


@pytest.mark.parametrize(
    "train", [people(2880, 7), people(2880.0, None), people("2880", "7"), people(" 2880", pd.NA)]
)
def test_an_identity_is_the_same_however_it_was_read(train: pd.DataFrame) -> None:
    shared = identities_across_splits({"train": train, "test": people("2880", "9")})["shared"]
    assert shared == [{"identity": "2880", "splits": ["train", "test"]}]


def test_unknown_people_are_not_absent_people() -> None:
    """Empty identities do not match each other, and where none is known there is no answer."""
    nobody = people(None, "", np.nan)
    no_column = people("1").drop(columns="identity")
    result = as_json(identities_across_splits({"train": nobody, "val": people("1"), "test": no_column}))
    assert result["n_shared"] == {"train/val": None, "train/test": None, "val/test": None}
    assert result["undefined"] == {
        "train/val": "no identity is known in train",
        "train/test": "no identity is known in train and test",
        "val/test": "no identity is known in test",
    }
    assert result["n_identified"] == {"train": 0, "val": 1, "test": 0}
