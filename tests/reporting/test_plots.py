"""Plot files: what they say, how large they are, and that a rerun gives the same bytes."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn import metrics as sk
from sklearn.decomposition import PCA

from fakeface.metrics.scores import score_block
from fakeface.reporting.plots import (
    CURVE_POINTS,
    thin,
    write_calibration,
    write_confusion,
    write_coverage,
    write_embedding,
    write_histograms,
    write_pr,
    write_roc,
)

GANS = ("dcgan", "lsgan", "wgan", "wgan_gp", "sngan", "digiface_dcgan")
HELD_OUT = ("sngan", "digiface_dcgan")


def overlapping(n=2000, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], n)
    return labels, np.clip(np.r_[rng.normal(0.4, 0.15, n), rng.normal(0.6, 0.15, n)], 0, 1)


def read_curve(path, name, x, y):
    rows = [row for row in json.loads(path.read_text()) if row["curve"] == name]
    return np.array([row[x] for row in rows]), np.array([row[y] for row in rows])


def test_thinned_roc_keeps_ends_and_area(tmp_path):
    labels, scores = overlapping()
    write_roc(
        tmp_path / "roc.json", {"dcgan": (labels, scores), "random": (labels, np.full(len(labels), 0.5))}
    )
    fpr, tpr = read_curve(tmp_path / "roc.json", "dcgan", "fpr", "tpr")
    assert 50 < len(fpr) <= CURVE_POINTS
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    assert np.all(np.diff(fpr) >= 0)
    assert np.all(np.diff(tpr) >= 0)
    assert sk.auc(fpr, tpr) == pytest.approx(sk.roc_auc_score(labels, scores), abs=0.002)
    assert [list(axis) for axis in read_curve(tmp_path / "roc.json", "random", "fpr", "tpr")] == [
        [0, 1],
        [0, 1],
    ]


def test_thinned_precision_recall_keeps_ends_and_area(tmp_path):
    labels, scores = overlapping()
    write_pr(tmp_path / "pr.json", {"dcgan": (labels, scores)})
    recall, precision = read_curve(tmp_path / "pr.json", "dcgan", "recall", "precision")
    assert 50 < len(recall) <= CURVE_POINTS
    assert (recall[0], recall[-1]) == (0, 1)
    assert np.all(np.diff(recall) >= 0)
    area = np.sum(np.diff(recall) * precision[1:])
    assert area == pytest.approx(sk.average_precision_score(labels, scores), abs=0.01)


@given(st.integers(0, 2**32 - 1), st.integers(2, 400), st.integers(2, 60))
def test_thinning_never_strays_further_than_it_says(seed, n, n_points):
    rng = np.random.default_rng(seed)
    x, y = np.sort(rng.random(n)), rng.random(n)
    thin_x, thin_y = thin(x, y, n_points)
    kept = np.flatnonzero(np.isin(x, thin_x))
    assert len(thin_x) <= n_points
    assert (kept[0], kept[-1]) == (0, n - 1)
    assert np.array_equal(thin_y, y[kept])
    if n > n_points:
        walked = np.r_[0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))]
        distance = np.abs(walked[:, None] - walked[kept][None]).min(axis=1)
        assert distance.max() <= walked[-1] / (n_points - 1) + 1e-9


@pytest.mark.parametrize("n_real", [2000, 70])
def test_calibration_rows_add_up_to_the_metric(tmp_path, n_real):
    labels, scores = (values[2000 - n_real :] for values in overlapping())
    write_calibration(tmp_path / "calibration.json", {"all": (labels, scores)})
    rows = json.loads((tmp_path / "calibration.json").read_text())
    assert sum(row["n"] for row in rows) == len(labels)
    assert sum(row["weight"] for row in rows) == pytest.approx(1, abs=1e-4)
    assert sum(row["weight"] * row["share_fake"] for row in rows) == pytest.approx(0.5, abs=1e-4)
    ece = sum(row["weight"] * abs(row["mean_score"] - row["share_fake"]) for row in rows)
    assert ece == pytest.approx(score_block(labels, scores, 0.5)["ece"], abs=1e-4)


def test_coverage_rows_end_at_balanced_accuracy_on_all_images(tmp_path):
    labels, scores = overlapping()
    curves = {"all seen": (labels, scores), "constant": (labels, np.full(len(labels), 0.5))}
    write_coverage(tmp_path / "coverage.json", curves, 0.55)
    coverage, accuracy = read_curve(tmp_path / "coverage.json", "all seen", "coverage", "accuracy")
    assert 50 < len(coverage) <= CURVE_POINTS
    assert np.all(np.diff(coverage) >= 0)
    assert coverage[-1] == 1
    assert accuracy[-1] == pytest.approx(sk.balanced_accuracy_score(labels, scores > 0.55), abs=1e-5)
    constant = read_curve(tmp_path / "coverage.json", "constant", "coverage", "accuracy")
    assert [list(axis) for axis in constant] == [[1], [0.5]]


def test_the_unsure_band_is_drawn_where_there_is_one(tmp_path):
    real, fakes = histogram_arguments()
    for name, lower in (("none", None), ("empty", 0.6), ("band", 0.3)):
        write_histograms(tmp_path / name, real, fakes, threshold=0.6, lower_threshold=lower)
    assert (tmp_path / "none").read_bytes() == (tmp_path / "empty").read_bytes()
    assert (tmp_path / "none").read_bytes() != (tmp_path / "band").read_bytes()


def test_confusion_rows_count_like_the_metrics(tmp_path):
    labels, scores = overlapping(200)
    sources = ["real"] * 200 + ["dcgan"] * 100 + ["wgan"] * 100
    write_confusion(tmp_path / "confusion.csv", labels, scores, sources, 0.55)
    with (tmp_path / "confusion.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["source"] for row in rows] == sources
    caught = sum(row["actual"] == row["predicted"] == "fake" for row in rows)
    assert caught / 200 == score_block(labels, scores, 0.55)["recall"]
    assert {row["actual"] for row in rows if row["source"] == "real"} == {"real"}


def histogram_arguments():
    rng = np.random.default_rng(0)
    return rng.beta(2, 4, 300), {gan: rng.beta(4, 2, 200) for gan in GANS}


def embedding_arguments():
    rng = np.random.default_rng(0)
    sources = ["real"] * 40 + [gan for gan in GANS for _ in range(20)]
    return rng.normal(size=(len(sources), 16)), sources


def test_every_file_has_the_same_bytes_on_a_rerun(tmp_path):
    labels, scores = overlapping(300)
    for run in ("first", "second"):
        folder = tmp_path / run
        write_roc(folder / "roc.json", {"dcgan": (labels, scores)})
        write_pr(folder / "pr.json", {"dcgan": (labels, scores)})
        write_calibration(folder / "calibration.json", {"dcgan": (labels, scores)})
        write_coverage(folder / "coverage.json", {"dcgan": (labels, scores)}, 0.5)
        write_confusion(folder / "confusion.csv", labels, scores, ["x"] * 600, 0.5)
        write_histograms(folder / "scores.png", *histogram_arguments(), threshold=0.6, held_out=HELD_OUT)
        write_embedding(folder / "embedding.png", *embedding_arguments(), gans=GANS, held_out=HELD_OUT)
    names = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert len(names) == 7
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


@pytest.mark.parametrize("n_gans", [1, 4])
def test_histograms_are_a_picture_for_any_number_of_gans(tmp_path, n_gans):
    real, fakes = histogram_arguments()
    some = {gan: fakes[gan] for gan in GANS[:n_gans]}
    write_histograms(tmp_path / "scores.png", real, some, threshold=0.6)
    with Image.open(tmp_path / "scores.png") as picture:
        assert picture.format == "PNG"
        assert "Software" not in picture.info
        assert np.asarray(picture.convert("L")).std() > 5


def test_held_out_points_do_not_move_the_view(tmp_path, monkeypatch):
    fitted = []

    class Recorder(PCA):
        def fit(self, points):
            fitted.append(points)
            return super().fit(points)

    monkeypatch.setattr("fakeface.reporting.plots.PCA", Recorder)
    points, sources = embedding_arguments()
    write_embedding(tmp_path / "embedding.png", points, sources, gans=GANS, held_out=HELD_OUT)
    seen = ~np.isin(sources, HELD_OUT)
    assert np.array_equal(fitted[0], points[seen])


def test_bad_curves_are_named(tmp_path):
    for write in (write_roc, write_pr, write_calibration):
        with pytest.raises(
            ValueError, match="curve unseen must have real and fake images, got 2 real, 0 fake"
        ):
            write(tmp_path / "x.json", {"unseen": ([0, 0], [0.1, 0.2])})
        with pytest.raises(ValueError, match="at least one curve"):
            write(tmp_path / "x.json", {})
        with pytest.raises(ValueError, match="got 1 NaN among 2"):
            write(tmp_path / "x.json", {"a": ([0, 1], [0.1, float("nan")])})
    assert not (tmp_path / "x.json").exists()


def test_bad_histograms_confusion_and_embedding_are_named(tmp_path):
    path = tmp_path / "x"
    with pytest.raises(ValueError, match="dcgan: scores must be numbers, got 1 NaN"):
        write_histograms(path, [0.1], {"dcgan": [float("nan")]}, threshold=0.5)
    with pytest.raises(ValueError, match="photographs: at least one score"):
        write_histograms(path, [], {"dcgan": [0.1]}, threshold=0.5)
    with pytest.raises(ValueError, match="at least one GAN"):
        write_histograms(path, [0.1], {}, threshold=0.5)
    with pytest.raises(ValueError, match="one name a score, got 1 for 2"):
        write_confusion(path, [0, 1], [0.1, 0.2], ["real"], 0.5)
    points = np.zeros((4, 3))
    with pytest.raises(ValueError, match="real or one of dcgan, got lsgan"):
        write_embedding(path, points, ["real"] * 3 + ["lsgan"], gans=["dcgan"])
    with pytest.raises(ValueError, match=r"got \(4, 3\) and \(3,\)"):
        write_embedding(path, points, ["real"] * 3, gans=["dcgan"])
    with pytest.raises(ValueError, match="got 12 values that are not"):
        write_embedding(path, points * np.nan, ["real"] * 4, gans=["dcgan"])
    with pytest.raises(ValueError, match="3 or more of photographs and seen GANs, got 2"):
        write_embedding(path, points, ["real"] * 2 + ["dcgan"] * 2, gans=["dcgan"], held_out=["dcgan"])
    assert not path.exists()
