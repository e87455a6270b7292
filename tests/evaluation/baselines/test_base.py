"""Which views the baselines train on, with what weights, and scoring in batches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.baselines.conftest import joined
from fakeface.detector.batches import LeakError
from fakeface.detector.views import Views
from fakeface.evaluation import baselines as base
from fakeface.evaluation.baselines import (
    BaselineDataError,
    balanced_subset,
    balanced_weights,
    baseline_kind,
    in_batches,
    training_views,
)
from fakeface.params import Params

group_sizes = st.lists(st.integers(1, 40), min_size=2, max_size=5)


def shuffled_groups(sizes: list[int]) -> np.ndarray:
    return np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))


@given(group_sizes)
def test_classes_weigh_one_half_and_gans_the_same(sizes: list[int]) -> None:
    groups = shuffled_groups(sizes)
    weights = balanced_weights(groups)
    assert weights[groups == 0].sum() == pytest.approx(0.5)
    for gan in range(1, len(sizes)):
        of_gan = weights[groups == gan]
        assert of_gan.sum() == pytest.approx(0.5 / (len(sizes) - 1))
        assert np.ptp(of_gan) == 0


@given(group_sizes, st.integers(8, 200))
def test_a_subset_is_as_balanced_as_the_sizes_allow(sizes: list[int], count: int) -> None:
    groups = shuffled_groups(sizes)
    rows = balanced_subset(groups, count)
    assert len(rows) == min(count, len(groups))
    assert (np.diff(rows) > 0).all()
    taken = np.bincount(groups[rows], minlength=len(sizes))
    assert taken.min() >= 1
    # Whoever has fewer than a rival has been taken whole, give or take one for rounding.
    assert taken[0] >= min(sizes[0], taken[1:].sum() - 1)
    assert taken[1:].sum() >= min(sum(sizes[1:]), taken[0] - 1)
    for gan in range(1, len(sizes)):
        assert taken[gan] >= min(sizes[gan], taken[1:].max() - 1)


def test_a_subset_is_evenly_spaced() -> None:
    groups = np.repeat([0, 1], 12)
    assert balanced_subset(groups, 6).tolist() == [0, 4, 8, 12, 16, 20]
    assert balanced_subset(groups, 24).tolist() == list(range(24))


@pytest.mark.parametrize("groups", [[], [0], [0, 0], [1, 1], [0, 2]])
def test_groups_without_members(groups: list[int]) -> None:
    for function in (balanced_weights, lambda groups: balanced_subset(groups, 8)):
        with pytest.raises(ValueError, match="groups need real and fake images"):
            function(np.array(groups, dtype=np.int64))


def test_a_subset_too_small_for_its_gans() -> None:
    with pytest.raises(ValueError, match="count must be at least 4 for 2 GANs, got 3"):
        balanced_subset(np.array([0, 1, 2]), 3)


def test_all_views_where_they_fit(params: Params, faces: np.ndarray) -> None:
    data = joined(faces[:10], faces[10:14], faces[14:20])
    views = training_views(params, data, 3, 1000)
    assert views.chosen.tolist() == list(range(60))
    assert views.labels.tolist() == [0] * 30 + [1] * 30
    assert views.weights[30:42].sum() == pytest.approx(views.weights[42:].sum())


def test_beyond_the_limit_views_go_before_images(params: Params, faces: np.ndarray) -> None:
    data = joined(faces[:10], faces[10:20], gans=("dcgan",))
    chosen = training_views(params, data, 4, 40).chosen
    assert len(chosen) == 40
    assert np.bincount(chosen // 4).tolist() == [2] * 20
    chosen = training_views(params, data, 4, 10).chosen
    assert (chosen // 4).tolist() == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]


def test_views_are_laundered_each_with_its_own_draw(
    params: Params, faces: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "BATCH", 7)
    data = joined(faces[:8], faces[8:16], faces[16:24])
    views = training_views(params, data, 2, 40)
    pixels = np.empty((40, 64, 64, 3), dtype=np.uint8)
    for positions, images in views.batches():
        pixels[positions] = images
    for position, number in enumerate(views.chosen):
        image, view = divmod(int(number), 2)
        one = Views(data, np.array([image]), np.array([view]), baseline_kind(params), params.seed)
        assert (pixels[position] == one.pixels[0]).all()
    # Two views of an image may draw the same JPEG quality, one of 21.
    assert len(np.unique(pixels.reshape(40, -1), axis=0)) > 35
    features = views.features(lambda images: images.reshape(len(images), -1), "pixels")
    assert features.dtype == np.float32
    assert (features == pixels.reshape(40, -1)).all()


def test_held_out_gans_are_refused(params: Params, faces: np.ndarray) -> None:
    data = joined(faces[:4], faces[4:8], gans=("sngan",))
    with pytest.raises(LeakError, match=r"held-out GANs in training data: \['sngan'\]"):
        training_views(params, data, 1, 100)


@pytest.mark.parametrize(
    ("counts", "missing"), [((0, 3, 3), "photographs"), ((3, 0, 3), "dcgan"), ((1, 0, 0), "dcgan, lsgan")]
)
def test_absent_images_are_named(
    params: Params, faces: np.ndarray, counts: tuple[int, ...], missing: str
) -> None:
    data = joined(*(faces[:count] for count in counts))
    with pytest.raises(BaselineDataError, match=f"photographs and fakes of each GAN, got none of {missing}$"):
        training_views(params, data, 1, 100)


def test_no_gan_at_all(params: Params, faces: np.ndarray) -> None:
    with pytest.raises(BaselineDataError, match="got none of any GAN"):
        training_views(params, joined(faces[:4], gans=()), 1, 100)


def test_scoring_keeps_order_and_refuses_other_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "BATCH", 3)
    images = np.arange(7 * 12, dtype=np.uint8).reshape(7, 2, 2, 3)
    sizes = []

    def mean(batch: np.ndarray) -> np.ndarray:
        sizes.append(len(batch))
        return batch.mean(axis=(1, 2, 3)) / 255

    score = in_batches((2, 2, 3), mean)
    assert score(images).tolist() == (images.mean(axis=(1, 2, 3)) / 255).tolist()
    assert sizes == [3, 3, 1]
    assert score(images[:0]).shape == (0,)
    for wrong in (images.astype(np.float32), images[:, :1], images[0]):
        with pytest.raises(ValueError, match=r"images must be uint8 \(N, 2, 2, 3\), got"):
            score(wrong)
