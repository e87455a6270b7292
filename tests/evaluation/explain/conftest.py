"""Verdicts made by hand, and a detector that nobody trained."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from fakeface.base.runtime import make_fabric
from fakeface.detector.decision import DecisionRule
from fakeface.detector.detector import Detector
from fakeface.evaluation.explain import Judged
from fakeface.models.cffn import build_cffn
from fakeface.models.cn import ClassificationNetwork
from fakeface.params import Params

MakeJudged = Callable[..., Judged]


@pytest.fixture
def make_judged() -> MakeJudged:
    """Judged images from sources and scores, with random pixels and embeddings."""

    def make(sources: list[str], scores: list[float], threshold: float = 0.5, seed: int = 0) -> Judged:
        rng = np.random.default_rng(seed)
        count = len(sources)
        return Judged(
            names=np.array([f"{source}/{number:06d}" for number, source in enumerate(sources)]),
            sources=np.array(sources),
            images=rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8),
            scores=np.array(scores),
            embeddings=rng.normal(size=(count, 4)).astype(np.float32),
            threshold=threshold,
        )

    return make


@pytest.fixture
def untrained(tiny_params: Params) -> Detector:
    """Both networks with random weights."""
    torch.manual_seed(0)
    cffn = build_cffn("paper", (2, 3, 4), unit_norm=False)
    return Detector(cffn, ClassificationNetwork(), DecisionRule.at(0.5), 64, make_fabric(tiny_params))
