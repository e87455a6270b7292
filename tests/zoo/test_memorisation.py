"""Copies are found, strangers are not, and the numbers are those of a plain search."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fakeface.zoo.memorisation import closer_share, measure_memorisation, nearest


def test_nearest_against_a_plain_search() -> None:
    rng = np.random.default_rng(0)
    queries, references = rng.normal(size=(5, 4)), rng.normal(size=(9, 4))
    found = nearest(torch.from_numpy(queries), torch.from_numpy(references))
    table = np.linalg.norm(queries[:, None] - references[None], axis=2)
    np.testing.assert_allclose(found.distance, table.min(axis=1))
    np.testing.assert_array_equal(found.row, table.argmin(axis=1))


def test_share_of_closer_pairs() -> None:
    a = np.array([1.0, 2.0, 3.0])
    assert closer_share(a, a) == pytest.approx(0.5)
    assert closer_share(a, a + 10) == 1
    assert closer_share(a + 10, a) == 0


@pytest.mark.slow
def test_copies_stand_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    flat = rng.integers(0, 256, (24, 1, 1, 3)) + rng.normal(0, 30, (24, 32, 32, 3))
    images = flat.clip(0, 255).astype(np.uint8)
    training, held_out, honest = images[:12], images[12:18], images[18:]
    picture = tmp_path / "pairs.png"
    copies = measure_memorisation("copier", training[3:8], training, held_out, picture, tmp_path)
    assert copies["samples"]["p95"] == pytest.approx(0, abs=1e-4)
    assert copies["share_of_pairs_sample_closer"] == 1
    pairs = np.asarray(Image.open(picture))
    assert pairs.shape == (64, 16 * 32, 3)
    assert np.array_equal(pairs[:32], pairs[32:])  # each copy stands above its original
    other = measure_memorisation("honest", honest, training, held_out, picture, tmp_path)
    assert other["samples"]["min"] > 0.1
    assert 0.1 < other["share_of_pairs_sample_closer"] < 0.9
    assert other["n_training"] == 12
