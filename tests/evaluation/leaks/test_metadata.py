"""What manifests and array files say of the class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from evaluation.leaks.conftest import as_json
from fakeface.data.image_sets import MANIFEST_COLUMNS, SPLITS, ImageSet
from fakeface.evaluation.metadata import RECORD_COLUMNS, metadata_probe, storage_probe


def manifest(n: int, seed: int, **columns: object) -> pd.DataFrame:
    """A manifest that says nothing of the class of its images, but for ``columns``."""
    rng = np.random.default_rng(seed)
    names = [f"{number:06d}.jpg" for number in rng.choice(10**6, n, replace=False)]
    digests = [rng.bytes(32).hex() for _ in range(n)]
    table = pd.DataFrame({"name": names, "source": "folder", "sha256": digests, "split": "test"})
    table["width"] = rng.integers(64, 256, n)
    return table.assign(**columns)


def test_metadata_without_a_leak() -> None:
    result = as_json(metadata_probe(manifest(150, 0), manifest(200, 1)))
    assert (result["n_real"], result["n_fake"]) == (150, 200)
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
        manifest(40 + 10 * label, label, **{name: values[label] for name, values in planted.items()})
        for label in (0, 1)
    )
    result = as_json(metadata_probe(real, fake, folds=2))
    assert result["auroc"] > 0.99
    assert {name for name, auroc in result["columns"].items() if auroc > 0.99} == set(planted)
    assert result["columns"]["width"] < 0.7


def test_a_column_that_half_tells_it() -> None:
    rng = np.random.default_rng(5)
    real, fake = (manifest(200, label, size=rng.normal(label, 1, 200)) for label in (0, 1))
    assert 0.65 < metadata_probe(real, fake, folds=2)["columns"]["size"] < 0.85


def test_columns_set_aside_and_columns_of_one_class() -> None:
    real, fake = manifest(60, 0), manifest(60, 1)
    fake["name"] = "gan/" + fake["name"]
    fake = fake.drop(columns="width").assign(latent=1)
    result = as_json(metadata_probe(real, fake, folds=2))
    assert result["columns"]["name"] > 0.99
    assert result["auroc"] < 0.65  # the name says by design what an image is
    assert (result["only_real"], result["only_fake"]) == (["width"], ["latent"])
    assert metadata_probe(real, fake, aside=(), folds=2)["auroc"] > 0.99


def test_metadata_too_scarce_to_judge() -> None:
    result = as_json(metadata_probe(manifest(4, 0), manifest(60, 1)))
    assert result["auroc"] is result["columns"] is None
    assert result["undefined"]["auroc"] == "5 folds need 5 images of each class, got 4 and 60"
    result = as_json(metadata_probe(manifest(9, 0)[["name"]], manifest(9, 1)[["name"]]))
    assert result["auroc"] is None
    assert result["undefined"]["auroc"] == "no shared column but those set aside: name"


def test_the_manifests_of_this_package(clean_data: Path) -> None:
    """Sizes before preprocessing tell the classes, which is why no detector is given them."""
    real, fake = clean_data / "real", clean_data / "fake" / "dcgan"
    manifests = [ImageSet.read(folder / "train").manifest for folder in (real, fake)]
    result = as_json(metadata_probe(*manifests, folds=2))
    assert (result["only_real"], result["only_fake"]) == (["file_sha256", "identity"], [])
    told = {column for column, auroc in result["columns"].items() if auroc > 0.99}
    assert told == {"name", "source", "width", "height"}
    assert result["auroc"] > 0.99
    assert metadata_probe(*manifests, aside=RECORD_COLUMNS, folds=2)["auroc"] < 0.75

    sets = {
        f"{folder.name}/{split}": ImageSet.read(folder / split) for folder in (real, fake) for split in SPLITS
    }
    stored = {"dtype": "|u1", "shape": [64, 64, 3], "order": "C"}
    assert as_json(storage_probe(sets)) == {"stored_alike": True, "stored": stored, "unlike": {}}


def test_arrays_that_are_stored_otherwise() -> None:
    plain = np.zeros((5, 8, 8, 3), np.uint8)
    arrays = {
        "plain": plain,
        "more": plain.repeat(2, axis=0),
        "floats": plain.astype(np.float32),
        "larger": np.zeros((5, 9, 8, 3), np.uint8),
        "fortran": np.asfortranarray(plain),
        "view": plain[:, ::-1],
    }
    result = as_json(storage_probe({name: ImageSet(array, manifest(5, 0)) for name, array in arrays.items()}))
    assert not result["stored_alike"]
    assert list(result["unlike"]) == ["floats", "larger", "fortran", "view"]
    assert result["unlike"]["fortran"] == result["stored"] | {"order": "F"}
