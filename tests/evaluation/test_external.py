"""External sets: what can be used is judged, what trained is refused, figures are those of scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import encode, random_picture
from PIL import Image
from sklearn.metrics import roc_auc_score

from fakeface.data.image_sets import ImageSet, LeakError, pixels_sha256
from fakeface.evaluation.external import (
    external_headline,
    refuse_training_images,
    set_report,
    verdicts_report,
)
from fakeface.evaluation.prepared_sets import ExternalSetError, PreparedSet, prepare_set
from fakeface.params import PROTOCOLS


def write(folder: Path, seeds: range) -> Path:
    folder.mkdir()
    for seed in seeds:
        (folder / f"{seed}.jpg").write_bytes(encode(random_picture(seed), quality=90))
    return folder


def training_set(prepared: PreparedSet, rows: list[int]) -> ImageSet:
    manifest = pd.DataFrame(
        {
            "name": [f"training/{row}" for row in rows],
            "source": "folder",
            "sha256": [pixels_sha256(prepared.images[row]) for row in rows],
            "split": "train",
            "file_sha256": prepared.files["file_sha256"].iloc[rows].to_numpy(),
        }
    )
    return ImageSet(prepared.images[rows], manifest)


def test_unusable_pictures_are_left_out_with_a_reason(tmp_path: Path) -> None:
    folder = write(tmp_path / "set", range(3))
    (folder / "torn.jpg").write_bytes((folder / "0.jpg").read_bytes()[:300])
    random_picture(9).resize((20, 20)).save(folder / "small.png")
    prepared = prepare_set("set", folder, 64, align=False)
    assert list(prepared.files["name"]) == ["0.jpg", "1.jpg", "2.jpg"]
    assert prepared.images.shape == (3, 64, 64, 3)
    assert {item.name: item.kind for item in prepared.rejected} == {
        "torn.jpg": "corrupt",
        "small.png": "too_small",
    }
    for path in folder.glob("[0-9].jpg"):
        path.unlink()
    with pytest.raises(ExternalSetError, match=r"set: .*none of 2 pictures can be used: small.png: image is"):
        prepare_set("set", folder, 64, align=False)


def test_a_set_that_shares_a_file_with_training_is_refused_by_name(tmp_path: Path) -> None:
    prepared = prepare_set("mine", write(tmp_path / "set", range(4)), 64, align=False)
    refuse_training_images(prepared, [])
    with pytest.raises(LeakError, match=r"external.mine: 1 pictures are in training.*: 2.jpg is training/2$"):
        refuse_training_images(prepared, [training_set(prepared, [2])])


def test_a_recompressed_copy_of_a_training_picture_is_refused(tmp_path: Path) -> None:
    original = prepare_set("original", write(tmp_path / "set", range(4)), 64, align=False)
    again = tmp_path / "again"
    again.mkdir()
    with Image.open(tmp_path / "set" / "3.jpg") as picture:
        (again / "copy.jpg").write_bytes(encode(picture.convert("RGB"), quality=60))
    prepared = prepare_set("again", again, 64, align=False)
    with pytest.raises(LeakError, match=r"external.again: 1 pictures .*: copy.jpg looks like training/3"):
        refuse_training_images(prepared, [training_set(original, [0, 3])])
    refuse_training_images(prepared, [training_set(original, [0, 1])])


def test_every_fake_set_against_every_set_of_photographs() -> None:
    rng = np.random.default_rng(0)

    def scores(count: int, shift: float) -> dict[str, np.ndarray]:
        return {name: (rng.uniform(0, 0.6, count) + shift).round(3) for name in PROTOCOLS}

    reals = {"test": scores(50, 0.0), "snaps": scores(30, 0.1)}
    fakes = {"faces": scores(40, 0.3)}
    report = set_report(reals, fakes, 0.55, bootstrap=50)
    for protocol in PROTOCOLS:
        block, found = report[protocol], fakes["faces"][protocol]
        for name, by_protocol in reals.items():
            photographs = by_protocol[protocol]
            assert block["real"][name]["fpr"] == pytest.approx((photographs > 0.55).mean())
            labels = np.repeat([0, 1], [len(photographs), len(found)])
            expected = roc_auc_score(labels, np.concatenate([photographs, found]))
            assert block["fake"]["faces"]["against"][name]["auroc"] == pytest.approx(expected)
        assert block["fake"]["faces"]["recall"] == pytest.approx((found > 0.55).mean())
        low, high = block["fake"]["faces"]["recall_ci95"]
        assert low <= block["fake"]["faces"]["recall"] <= high
    tables = {
        "snaps": pd.DataFrame({"verdict": ["real", "unsure", "fake", "real"]}),
        "faces": pd.DataFrame({"verdict": ["fake", "fake", "unsure", "unsure"]}),
    }
    verdicts = verdicts_report({"snaps": "real", "faces": "fake"}, tables)
    assert verdicts["by_set"]["snaps"] == {"n": 4, "decided": 0.75, "right": pytest.approx(2 / 3)}
    assert verdicts["by_set"]["faces"] == {"n": 4, "decided": 0.5, "right": 1.0}
    assert (verdicts["decided"], verdicts["right"]) == (pytest.approx(0.625), pytest.approx(5 / 6))
    alone = verdicts_report({"faces": "fake"}, tables)
    assert (alone["decided"], alone["right"]) == (None, None)
    headline = external_headline(report | {"verdicts": verdicts})
    assert headline["snaps"] == {"fpr": report["laundered"]["real"]["snaps"]["fpr"]}
    assert set(headline["faces"]["auroc"]) == {"test", "snaps"}
