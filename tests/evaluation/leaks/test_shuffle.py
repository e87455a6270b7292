"""Shuffled labels cannot be predicted, unless the test was trained on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from evaluation.leaks.conftest import as_json, saved_as_jpeg
from fakeface.evaluation import metadata as cross_validation
from fakeface.evaluation.leaks import shuffled_labels_probe


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
    class EverythingTrains(cross_validation.StratifiedKFold):
        def split(self, X: Any, y: Any, groups: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for _, test in super().split(X, y, groups):
                yield np.arange(len(y)), test

    monkeypatch.setattr(cross_validation, "StratifiedKFold", EverythingTrains)
    assert shuffled_labels_probe(*labelled, shuffles=2)["auroc"] > 0.95


def test_labels_that_are_none(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = labelled
    for wrong in (labels[1:], labels + 1):
        with pytest.raises(ValueError, match=r"labels must be \(240,\) of 0 and 1"):
            shuffled_labels_probe(images, wrong)
