"""Each baseline as a whole: trained on photographs, judged on others."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import make_params
from lightning_fabric import Fabric
from sklearn.metrics import roc_auc_score

from evaluation.baselines.conftest import joined, upsampled
from fakeface.evaluation import baselines
from fakeface.evaluation.baselines import BASELINES, BaselineDataError
from fakeface.params import Params

pytestmark = pytest.mark.parametrize("name", BASELINES)


def test_upsampled_photographs_are_told_apart(
    name: str, faces: np.ndarray, fabric: Fabric, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Clean, because JPEG takes from these smooth photographs what upsampling would.
    params = make_params(**{"device": "cpu", "cn.views": 1, "cffn.augmentation": "clean"})
    altered = upsampled(faces[:30])
    score = BASELINES[name](params, joined(faces[:30], altered[:20], altered[20:]), fabric)
    images = np.concatenate([faces[30:], upsampled(faces[30:])])
    scores = score(images)
    assert scores.dtype == np.float64
    assert scores.shape == (60,)
    assert scores.min() >= 0
    assert scores.max() <= 1
    assert roc_auc_score(np.repeat([0, 1], 30), scores) > 0.9
    monkeypatch.setattr(baselines, "BATCH", 7)
    np.testing.assert_allclose(score(images[:20]), scores[:20], atol=1e-5)
    assert score(images[:0]).shape == (0,)


def test_labels_without_information_give_chance(
    name: str, params: Params, faces: np.ndarray, fabric: Fabric
) -> None:
    score = BASELINES[name](params, joined(faces[:15], faces[15:30], gans=("dcgan",)), fabric)
    assert 0.25 < roc_auc_score(np.repeat([0, 1], 15), score(faces[30:])) < 0.75


def test_the_same_seed_gives_the_same_scores(
    name: str, params: Params, faces: np.ndarray, fabric: Fabric
) -> None:
    data = joined(faces[:6], upsampled(faces[:6]), gans=("dcgan",))
    first, second = (BASELINES[name](params, data, fabric)(faces[6:12]) for _ in range(2))
    assert (first == second).all()
    other = params.model_copy(update={"seed": params.seed + 1})
    assert (BASELINES[name](other, data, fabric)(faces[6:12]) != first).any()


def test_the_cap_on_training_images_holds(
    name: str, params: Params, faces: np.ndarray, fabric: Fabric, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above the cap a baseline is trained on the subset that the cap leaves, and no other image matters."""
    monkeypatch.setattr(baselines, "MAX_FEATURE_BYTES", 8 * 4 * 3 * 64 * 64)
    monkeypatch.setattr(baselines, "MAX_VIEWS", 8)
    monkeypatch.setattr(baselines.fit_lite0_probe, "__defaults__", (8,))
    altered = upsampled(faces[:8])
    capped = BASELINES[name](params, joined(faces[:8], altered, gans=("dcgan",)), fabric)(faces[8:12])
    faces_changed, altered_changed = faces[:8].copy(), altered.copy()
    faces_changed[1::2], altered_changed[1::2] = 0, 255
    changed = joined(faces_changed, altered_changed, gans=("dcgan",))
    assert (BASELINES[name](params, changed, fabric)(faces[8:12]) == capped).all()


def test_training_needs_both_classes(name: str, params: Params, faces: np.ndarray, fabric: Fabric) -> None:
    with pytest.raises(BaselineDataError, match="got none of dcgan"):
        BASELINES[name](params, joined(faces[:1], faces[:0], gans=("dcgan",)), fabric)
    with pytest.raises(BaselineDataError, match="got none of photographs"):
        BASELINES[name](params, joined(faces[:0], faces[:4], gans=("dcgan",)), fabric)


def test_images_of_another_size_are_refused(
    name: str, params: Params, faces: np.ndarray, fabric: Fabric
) -> None:
    score = BASELINES[name](params, joined(faces[:2], upsampled(faces[:2]), gans=("dcgan",)), fabric)
    with pytest.raises(
        ValueError, match=r"images must be uint8 \(N, 64, 64, 3\), got uint8 \(2, 32, 32, 3\)"
    ):
        score(faces[:2, ::2, ::2])
