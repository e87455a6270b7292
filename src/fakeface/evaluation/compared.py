"""What our detector is compared with on the same folds: the paper's, one without pairs, and baselines."""

from __future__ import annotations

import numpy as np
from lightning_fabric import Fabric

from fakeface.baselines.base import Fit
from fakeface.baselines.registry import BASELINES
from fakeface.data.folders import Folders
from fakeface.detector.dataset import DetectorData
from fakeface.detector.train_cn import THRESHOLD_KEY
from fakeface.evaluation.fold_scores import FoldScores
from fakeface.evaluation.folds import Fold
from fakeface.evaluation.leave_one_out import score_fold
from fakeface.evaluation.methods import Method, Trained, with_cffn
from fakeface.evaluation.scores import choose_threshold
from fakeface.params import Params


def with_frozen_threshold(fit: Fit) -> Method:
    """A baseline as a method: its threshold is chosen on validation photographs, by the detector's rule."""

    def train_baseline(params: Params, train: DetectorData, val: DetectorData, fabric: Fabric) -> Trained:
        score = fit(params, train, fabric)
        photographs = np.flatnonzero(val.groups == 0)
        thresholds = [
            choose_threshold(
                score(val.laundered(photographs, [chain], [params.seed, THRESHOLD_KEY, number, 0])),
                params.cn.target_fpr,
            )
            for number, chain in enumerate(params.augmentation)
        ]
        return Trained(score, max(thresholds))

    return train_baseline


# `paper`: Hsu, Zhuang and Lee's network, loss and margin, whatever the params say of ours.
# `cross_entropy`: our network without pairs; a linear layer classifies its embedding.
COMPARED: dict[str, Method] = {
    "paper": with_cffn(
        reference="none",
        margin=0.5,
        variant="paper",
        loss="contrastive",
        unit_norm=False,
        feature_levels=(2, 3, 4),
        pairing="batch",
        pseudo_fakes=0.0,
        harmed=0.0,
        crop=None,
    ),
    "cross_entropy": with_cffn(loss="cross_entropy", pairing="batch"),
    **{name: with_frozen_threshold(fit) for name, fit in BASELINES.items()},
}


def score_compared(params: Params, fold: Fold, folders: Folders, fabric: Fabric) -> FoldScores:
    """What ours is compared with on the same fold, once a seed of ``leave_one_out.baseline_seeds``."""
    seeds = range(params.seed, params.seed + params.leave_one_out.baseline_seeds)
    return score_fold(params, fold, COMPARED, seeds, folders, fabric)
