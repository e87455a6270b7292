"""Released detectors are small, load without a face detector of their own, and say what they said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from bundles import celeba_photographs, make_bundle
from conftest import REPOSITORY

from fakeface.bundle.bundle import (
    FACES_FILE,
    RELEASED,
    BundleError,
    find_detector,
    load_bundle,
    read_manifest,
)
from fakeface.bundle.write import release
from fakeface.data.preprocess import decode, preprocess

# Scores of celeba-mini's photographs 1 to 6, prepared without alignment, as each was released.
SCORES = json.loads((Path(__file__).parent / "released_scores.json").read_text())
MAX_BYTES = 4_000_000


def external(threshold: float) -> dict[str, object]:
    photographs = {"test": {"n": 10, "fpr": 0.0625, "fpr_ci95": [0.01, 0.12]}}
    fakes = {"portraits": {"n": 20, "recall": 0.9, "against": {"test": {"auroc": 0.9875}}}}
    block = {"real": photographs, "fake": fakes}
    return {"threshold": threshold, **dict.fromkeys(("laundered", "mild", "clean"), block)}


def test_a_release_scores_as_its_bundle_and_leaves_the_face_detector_to_its_wheel(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path)
    (tmp_path / "external.json").write_text(json.dumps(external(0.4)))
    release(bundle, tmp_path / "released", tmp_path / "external.json")
    released, whole = load_bundle(tmp_path / "released", "cpu"), load_bundle(bundle, "cpu")
    assert not (tmp_path / "released" / FACES_FILE).exists()
    assert released.face_model().read_bytes() == whole.face_model().read_bytes()
    images = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
    for ours, theirs in zip(
        released.detector.score_and_embed(images, 4), whole.detector.score_and_embed(images, 4), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    card = (tmp_path / "released" / "README.md").read_text()
    assert "0.062 [0.010, 0.120]" in card
    assert "| portraits | 20 | 0.900 | 0.988 |" in card


def test_figures_of_another_detector_are_refused(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path)
    (tmp_path / "external.json").write_text(json.dumps(external(0.5)))
    with pytest.raises(BundleError, match=r"measured at threshold 0.5, but .*detector has 0.4; dvc repro"):
        release(bundle, tmp_path / "released", tmp_path / "external.json")
    assert not (tmp_path / "released").exists()


@pytest.mark.parametrize("name", RELEASED)
def test_what_is_released_loads_and_gives_its_scores(name: str) -> None:
    folder = find_detector(name)
    assert folder.resolve() == REPOSITORY / "models" / "detectors" / name
    assert sum(path.stat().st_size for path in folder.iterdir()) <= MAX_BYTES
    assert read_manifest(folder).external is not None
    detector = load_bundle(name, "cpu").detector
    pictures = [decode(content) for content in celeba_photographs(range(1, 7))]
    images = np.stack([preprocess(picture, detector.image_size) for picture in pictures])
    scores, _ = detector.score_and_embed(images, 6)
    np.testing.assert_allclose(scores, SCORES[name], atol=1e-3)


def test_an_altered_release_is_refused(tmp_path: Path) -> None:
    release(make_bundle(tmp_path), tmp_path / "released")
    with (tmp_path / "released" / "cn.safetensors").open("ab") as weights:
        weights.write(b" ")
    with pytest.raises(BundleError, match=r"cn.safetensors was altered"):
        load_bundle(tmp_path / "released", "cpu")
