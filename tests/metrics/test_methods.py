"""Ways to choose among fakes, against plain loops in float64 and on sets whose right answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from fakeface.metrics import curation as methods
from fakeface.metrics.curation import distinct, highest, neighbour_distances, probe_scores, realism


def clouds(seed: int, fakes: int = 30, width: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Fakes, and 25 photographs around another middle."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(fakes, width)) + 0.5, rng.normal(size=(25, width))


@pytest.mark.parametrize("k", [1, 3])
def test_neighbours_are_those_of_a_plain_loop(k: int) -> None:
    _, x = clouds(0)
    expected = [sorted(np.linalg.norm(x - row, axis=1))[k] for row in x]
    np.testing.assert_allclose(neighbour_distances(x, k), expected, rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_realism_is_equation_three_of_the_paper(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    fake, real = clouds(seed)
    radii = np.array([sorted(np.linalg.norm(real - row, axis=1))[3] for row in real])
    expected = []
    for row in fake:
        ratios = [
            radius / np.linalg.norm(row - photograph)
            for radius, photograph in zip(radii, real, strict=True)
            if radius <= np.median(radii)
        ]
        expected.append(max(ratios))
    monkeypatch.setattr(methods, "_CHUNK", 7)
    np.testing.assert_allclose(realism(fake, real, 3), expected, rtol=1e-12)


def test_realism_is_above_one_exactly_inside_a_neighbourhood() -> None:
    fake, real = clouds(4, fakes=200)
    radii = neighbour_distances(real, 3)
    kept = radii <= np.median(radii)
    distances = np.linalg.norm(fake[:, None] - real[None, kept], axis=2)
    inside = (distances < radii[kept]).any(axis=1)
    assert 0 < inside.sum() < len(fake)
    np.testing.assert_array_equal(realism(fake, real, 3) > 1, inside)


def test_a_fake_that_is_a_photograph_is_as_real_as_can_be() -> None:
    _, real = clouds(5)
    radii = neighbour_distances(real, 3)
    some = real[np.argsort(radii)[:3]]
    assert np.isposinf(realism(some, real, 3)).all()


@settings(max_examples=25)
@given(st.floats(0.01, 100), st.integers(0, 5))
def test_realism_and_what_is_distinct_do_not_depend_on_the_unit(factor: float, seed: int) -> None:
    fake, real = clouds(seed)
    np.testing.assert_allclose(realism(factor * fake, factor * real, 3), realism(fake, real, 3), rtol=1e-9)
    np.testing.assert_array_equal(distinct(factor * fake, factor * real), distinct(fake, real))


def test_the_probe_has_not_seen_what_it_scores() -> None:
    """On noise without a class a probe that had would tell its own fakes from photographs."""
    rng = np.random.default_rng(0)
    fake, real = rng.normal(size=(60, 200)), rng.normal(size=(60, 200))
    labels = np.repeat([1, 0], 60)
    scores = np.concatenate([probe_scores(fake, real, 0), -probe_scores(real, fake, 0)])
    assert abs(roc_auc_score(labels, scores) - 0.5) < 0.2


def test_the_hardest_are_those_that_lie_among_photographs() -> None:
    rng = np.random.default_rng(1)
    real = rng.normal(size=(80, 6))
    easy, hard = rng.normal(size=(40, 6)) + 4, rng.normal(size=(40, 6))
    scores = probe_scores(np.vstack([easy, hard]), real, 0)
    assert highest(-scores, 0.5)[40:].mean() > 0.95


def test_of_a_collapsed_mode_and_of_a_twin_one_stays() -> None:
    rng = np.random.default_rng(2)
    real = rng.normal(size=(200, 8))
    spread, mode = rng.normal(size=(50, 8)), rng.normal(size=8) + 10 + 1e-3 * rng.normal(size=(40, 8))
    keep = distinct(np.vstack([spread, mode, spread[:5]]), real)
    assert keep[:50].mean() > 0.9
    assert keep[50:90].sum() == 1
    assert not keep[90:].any()


@pytest.mark.parametrize("chunk", [3, 512])
def test_no_two_that_stay_are_nearer_than_photographs_and_none_is_left_out_in_vain(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(methods, "_CHUNK", chunk)
    fake, real = clouds(6, fakes=120, width=2)
    keep = distinct(fake, real)
    least = np.quantile(neighbour_distances(real, 1), methods.CLOSENESS)
    kept = fake[keep]
    distances = np.linalg.norm(kept[:, None] - kept[None], axis=2) + np.eye(len(kept)) * 1e9
    assert distances.min() >= least
    assert 0 < keep.sum() < len(fake)
    for index in np.flatnonzero(~keep):
        before = fake[:index][keep[:index]]
        assert np.linalg.norm(before - fake[index], axis=1).min() < least


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.floats(0.01, 1))
def test_the_highest_are_so_many_and_no_lower_one_is_among_them(values: list[int], share: float) -> None:
    scores = np.array(values, dtype=float)
    keep = highest(scores, share)
    assert keep.sum() == max(1, round(share * len(scores)))
    if not keep.all():
        assert scores[keep].min() >= scores[~keep].max()
