"""Processing histories: what each does to a picture, and what the report says of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import encode, make_params, random_picture
from PIL import Image

from fakeface.base.runtime import make_fabric
from fakeface.data.archives import write_zip
from fakeface.data.image_sets import SPLITS, ImageSet
from fakeface.data.preprocess import preprocess
from fakeface.data.sources import IMAGES_ARCHIVE
from fakeface.detector.batches import load_split
from fakeface.detector.decision import DecisionRule
from fakeface.detector.detector import Detector
from fakeface.evaluation.histories import (
    BETWEEN,
    OF_ORIGINALS,
    OF_PREPARED,
    USUAL,
    histories_headline,
    histories_report,
    history_probe,
    of_originals,
    of_prepared,
)
from fakeface.models.cffn import CFFN
from fakeface.models.cn import ClassificationNetwork


def squares(count: int, side: int) -> np.ndarray:
    pictures = [random_picture(seed).resize((side, side), Image.Resampling.BICUBIC) for seed in range(count)]
    return np.stack([np.asarray(picture) for picture in pictures])


def test_a_picture_reduced_first_is_reduced_twice() -> None:
    square = squares(1, 178)
    found = of_originals([square], ["a.jpg"], 64, 0)
    assert set(found) == set(OF_ORIGINALS)
    for ratio in BETWEEN:
        side = round(ratio * 64)
        between = Image.fromarray(square[0]).resize((side, side), Image.Resampling.BICUBIC)
        expected = preprocess(between, 64)
        np.testing.assert_array_equal(found[f"reduced to {ratio:g} times the size first"][0], expected)


def test_histories_that_need_a_larger_picture_are_left_out_for_all() -> None:
    found = of_originals([squares(2, 178), squares(1, 70)], ["a", "b", "c"], 64, 0)
    assert {len(images) for images in found.values()} == {3}
    assert "reduced to 1.03 times the size first" in found
    assert {name for name in OF_ORIGINALS if name not in found} == {
        "reduced to 1.25 times the size first",
        "reduced to 1.56 times the size first",
        "reduced to 2.03 times the size first",
        "JPEG 75, reduced, JPEG 75 again",
    }


def test_prepared_images_keep_their_shape_and_draws_depend_on_each_image_alone() -> None:
    images = squares(4, 64)
    found = of_prepared(images, 0)
    assert set(found) == set(OF_PREPARED)
    # Every pixel four times, reduced again: only rounding could change it.
    assert np.abs(found["enlarged twofold, nearest, and reduced"].astype(int) - images).max() <= 8
    backwards = of_prepared(images[::-1], 0)
    for name, changed in found.items():
        assert changed.shape == images.shape
        assert changed.dtype == np.uint8
        np.testing.assert_array_equal(backwards[name][::-1], changed)
    other = of_prepared(images, 1)["compressed, then rescaled"]
    assert (other != found["compressed, then rescaled"]).any()


def test_the_probe_finds_what_differs_and_nothing_where_nothing_does() -> None:
    rng = np.random.default_rng(0)
    # Coarse patterns with fine noise, so that smoothing shows after laundering, too.
    coarse = rng.integers(60, 190, (60, 8, 8, 3)).repeat(8, axis=1).repeat(8, axis=2)
    images = (coarse + rng.normal(0, 25, coarse.shape)).clip(0, 255).astype(np.uint8)
    params = make_params()
    smooth = of_prepared(images, 0)["compressed, then rescaled"]
    assert history_probe(images, smooth, params, seed=0)["auroc"] > 0.8
    same = history_probe(images, images, params, seed=0)["auroc"]
    assert abs(same - 0.5) < 0.25


def test_the_report_has_every_history_and_counts_what_is_above_the_threshold(
    image_sets: tuple[Path, Path], tmp_path: Path
) -> None:
    params = make_params(
        **{"device": "cpu", "robustness.images": 4, "evaluate.bootstrap": 20, "evaluate.batch_size": 7}
    )
    real, fake = tmp_path / "real", image_sets[1]
    for split in SPLITS:
        part = ImageSet.read(image_sets[0] / split)
        manifest = part.manifest.assign(name=part.manifest["name"].astype(str) + ".jpg")
        ImageSet(np.array(part.images), manifest).write(real / split)
    photographs = {split: ImageSet.read(real / split) for split in SPLITS}
    names = [str(name) for part in photographs.values() for name in part.manifest["name"]]
    write_zip(
        tmp_path / IMAGES_ARCHIVE,
        iter([(name, encode(random_picture(i).resize((178, 218)))) for i, name in enumerate(names)]),
    )
    torch.manual_seed(3)
    detector = Detector(CFFN(), ClassificationNetwork(), DecisionRule.at(0.5), 64, make_fabric(params))
    test = load_split(real, fake, list(params.gans), "test")
    chosen = test.thinned(4, 4)
    clean = detector.score_and_embed(chosen.images(np.arange(len(chosen))), 7)[0]
    detector.rule = DecisionRule.at(float(np.median(clean)))
    report = histories_report(params, detector, photographs, test, tmp_path)
    assert list(report["photographs"]) == [USUAL, *OF_ORIGINALS, *OF_PREPARED]
    assert list(report["fakes"]) == [USUAL, *OF_PREPARED]
    assert report["left_out"] == []
    assert report["photographs"][USUAL]["probe"] is None
    for name, block in report["photographs"].items():
        assert block["n"] == 4
        assert block["fpr"] in (0, 0.25, 0.5, 0.75, 1)
        assert block["fpr_ci95"][0] <= block["fpr"] <= block["fpr_ci95"][1]
        assert name == USUAL or 0 <= block["probe"]["auroc"] <= 1
    for block in report["fakes"].values():
        assert block["n"] == 4 * len(test.gans)
    headline = histories_headline(report)
    assert headline["worst_fpr"] == max(block["fpr"] for block in report["photographs"].values())
    assert headline["worst_recall"] == min(block["recall"] for block in report["fakes"].values())
    aurocs = [block["probe"]["auroc"] for block in report["photographs"].values() if block["probe"]]
    assert headline["worst_probe_auroc"] == max(aurocs, key=lambda auroc: abs(auroc - 0.5))


@pytest.mark.parametrize("name", list(OF_PREPARED))
def test_a_history_is_no_identity(name: str) -> None:
    images = squares(2, 64)
    changed = of_prepared(images, 0)[name]
    assert name == "enlarged twofold, nearest, and reduced" or (changed != images).any()
