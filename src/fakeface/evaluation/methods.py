"""A detector as the folds see it: trained on two splits, it scores images against a frozen threshold."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from lightning_fabric import Fabric

from fakeface.detector.dataset import DetectorData
from fakeface.detector.scoring import Detector
from fakeface.detector.train_cffn import CffnTrainer
from fakeface.detector.train_cn import train_cn
from fakeface.params import Params

# uint8 (N, S, S, 3) to P(fake) float64 (N,).
Scorer = Callable[[np.ndarray], np.ndarray]


class Trained(NamedTuple):
    """Images uint8 (N, S, S, 3) to P(fake) float64 (N,), and the frozen threshold."""

    score: Scorer
    threshold: float


# Trains on (params of the fold, training split, validation split).
Method = Callable[[Params, DetectorData, DetectorData, Fabric], Trained]


def train_detector(params: Params, train: DetectorData, val: DetectorData, fabric: Fabric) -> Trained:
    """CFFN, then CN, as ``params`` describe them."""
    trainer = CffnTrainer(params, train, val, fabric)
    cffn = trainer.fit().cffn
    result = train_cn(params, cffn, train, val, fabric)
    trainer.checkpoint.discard()
    detector = Detector(
        cffn,
        result.cn,
        result.threshold,
        params.image_size,
        fabric,
        calibration=result.calibration,
        reference=result.reference,
    )

    def score(images: np.ndarray) -> np.ndarray:
        return detector.score_and_embed(images, params.evaluate.batch_size)[0]

    return Trained(score, result.threshold)


def with_cffn(margin: float | None = None, reference: str | None = None, **changes: object) -> Method:
    """Our detector with another CFFN and, unless None, another margin or reference; all else is the same."""

    def train_variant(params: Params, train: DetectorData, val: DetectorData, fabric: Fabric) -> Trained:
        update: dict[str, object] = {"cffn": params.cffn.model_copy(update=changes)}
        if margin is not None:
            update["margin"] = margin
        if reference is not None:
            update["cn"] = params.cn.model_copy(update={"reference": reference})
        return train_detector(params.model_copy(update=update), train, val, fabric)

    return train_variant
