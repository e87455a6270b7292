"""The head is a discriminant analysis, refuses what is far from or between its GANs, and can be stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.covariance import ledoit_wolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from fakeface.base.tensors import DetectorWeightsError, save_tensors
from fakeface.detector.attribution_head import (
    REFUSED,
    UNKNOWN,
    AttributionError,
    fit_head,
    load_head,
    save_head,
)
from fakeface.detector.detector import attribution_features
from fakeface.models.cffn import VARIANTS, build_cffn, to_input

GANS = ("dcgan", "pggan", "sngan")
CENTRES = np.array([[0.0, 0, 0, 0], [9, 0, 0, 0], [0, 9, 0, 0]])
MIX = np.array([[2.0, 0.3, 0, 0], [0, 1, 0.5, 0], [0, 0, 0.1, 0], [0.2, 0, 0, 5]])


def clouds(count: int, seed: int, centres: np.ndarray = CENTRES) -> tuple[np.ndarray, np.ndarray]:
    labels = np.tile(np.arange(len(centres)), count)
    noise = np.random.default_rng(seed).normal(size=(len(labels), 4))
    return (centres[labels] + noise @ MIX).astype(np.float32), labels


@pytest.fixture(scope="module")
def head():
    return fit_head(*clouds(400, 0), *clouds(300, 1), GANS)


def test_distances_are_mahalanobis_with_the_shrunk_covariance(head) -> None:
    x, labels = clouds(400, 0)
    x = x.astype(np.float64)
    centres = np.stack([x[labels == k].mean(axis=0) for k in range(3)])
    residuals = x - centres[labels]
    scale = residuals.std(axis=0)
    covariance, _ = ledoit_wolf(residuals / scale, assume_centered=True)
    inverse = np.linalg.inv(covariance * np.outer(scale, scale))
    test, _ = clouds(20, 2)
    expected = cdist(test.astype(np.float64), centres, "mahalanobis", VI=inverse) ** 2
    np.testing.assert_allclose(head.distances(test), expected, rtol=1e-6)


def test_it_names_what_a_discriminant_analysis_names(head) -> None:
    x, labels = clouds(400, 0)
    reference = LinearDiscriminantAnalysis(solver="lsqr", priors=[1 / 3] * 3).fit(x, labels)
    test, actual = clouds(300, 3)
    assert (head.nearest(test) == reference.predict(test)).mean() > 0.995
    assert (head.nearest(test) == actual).mean() > 0.98


def test_about_the_wanted_share_of_known_images_is_refused(head) -> None:
    test, _ = clouds(2000, 4)
    share = np.mean([name == UNKNOWN for name in head.names(test)])
    assert share == pytest.approx(REFUSED, abs=0.03)


def test_far_away_and_in_between_is_unknown(head) -> None:
    far = np.array([[60.0, 60, 9, 90]])
    between = CENTRES[:2].mean(axis=0, keepdims=True)
    assert head.names(np.concatenate([far, between])) == [UNKNOWN, UNKNOWN]
    assert head.names(CENTRES + 0.3) == list(GANS)


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100))
def test_units_of_the_features_do_not_matter(seed: int, unit: float) -> None:
    units = np.array([unit, 1, 1, 1 / unit])
    train, labels = clouds(40, seed)
    val, val_labels = clouds(40, seed + 1)
    plain = fit_head(train, labels, val, val_labels, GANS)
    scaled = fit_head(train * units, labels, val * units, val_labels, GANS)
    test, _ = clouds(10, seed + 2)
    np.testing.assert_allclose(scaled.distances(test * units), plain.distances(test), rtol=1e-3)


def test_a_channel_without_variation_does_no_harm() -> None:
    (train, labels), (val, val_labels) = clouds(100, 0), clouds(100, 1)
    train[:, 2] = val[:, 2] = 7
    head = fit_head(train, labels, val, val_labels, GANS)
    assert np.isfinite(head.unknown_scores(val)).all()


def test_what_cannot_be_learnt_is_named() -> None:
    x, labels = clouds(10, 0)
    with pytest.raises(AttributionError, match="at least two GANs, got dcgan"):
        fit_head(x, labels, x, labels, ("dcgan",))
    with pytest.raises(AttributionError, match="no validation images of sngan"):
        fit_head(x, labels, x, np.where(labels == 2, 0, labels), GANS)
    head = fit_head(x, labels, x, labels, GANS)
    with pytest.raises(AttributionError, match=r"shape \(N, 4\), got \(2, 5\)"):
        head.names(np.zeros((2, 5)))


def test_a_file_gives_the_same_names(head, tmp_path: Path) -> None:
    path = tmp_path / "attribution.safetensors"
    save_head(path, head)
    stored = load_head(path)
    test, _ = clouds(300, 5)
    assert stored.gans == GANS
    assert stored.limit == head.limit
    np.testing.assert_allclose(stored.distances(test), head.distances(test), rtol=1e-3)
    first = path.read_bytes()
    save_head(path, head)
    assert path.read_bytes() == first


def test_a_damaged_file_is_named(head, tmp_path: Path) -> None:
    path = tmp_path / "attribution.safetensors"
    with pytest.raises(DetectorWeightsError, match="cannot be read"):
        load_head(path)
    header = {"network": '"attribution"', "gans": '["a", "b"]', "limit": "1.0"}
    tensors = {name: torch.zeros(2, 2) for name in ("whitening", "reference")}
    save_tensors(path, tensors, header)
    with pytest.raises(DetectorWeightsError, match="centres missing"):
        load_head(path)
    save_tensors(path, tensors | {"centres": torch.zeros(3, 2)}, header)
    with pytest.raises(DetectorWeightsError, match=r"centres must have shape \(2, 2\), got \(3, 2\)"):
        load_head(path)


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_features_are_the_embedding_and_what_the_levels_put_out(variant: str) -> None:
    torch.manual_seed(0)
    cffn = build_cffn(variant, (2, 3, 4), False).eval()
    images = np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), dtype=np.uint8)
    x = to_input(images, torch.device("cpu"))
    embedding, levels = attribution_features(cffn, x)
    with torch.no_grad():
        blocks, _ = cffn.blocks_and_maps(x)
        np.testing.assert_allclose(embedding, cffn(x).numpy(), atol=1e-5)
    if variant.endswith("statistics"):
        np.testing.assert_allclose(levels, torch.cat(blocks, dim=1)[..., 0, 0].numpy(), atol=1e-4)
        return
    channels = [block.shape[1] for block in blocks]
    assert levels.shape == (9, 2 * sum(channels))
    np.testing.assert_allclose(levels[:, : channels[0]], blocks[0].mean(dim=(2, 3)).numpy(), atol=1e-4)
