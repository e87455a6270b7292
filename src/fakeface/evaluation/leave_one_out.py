"""One fold: train on some GANs, several times, and score the test images of those left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from lightning_fabric import Fabric

from fakeface.baselines.base import Fit, Scorer
from fakeface.detector.dataset import DetectorData, load_split
from fakeface.detector.scoring import Detector
from fakeface.detector.train_cffn import CffnTrainer
from fakeface.detector.train_cn import train_cn
from fakeface.evaluation.evaluate import PROTOCOLS, laundered_batches
from fakeface.evaluation.fold_scores import FoldScores, Run
from fakeface.evaluation.folds import Fold, fold_params
from fakeface.evaluation.scores import choose_threshold, mean_block
from fakeface.params import Params

# Keeps the draws of the validation photographs apart from those of the trainings and of the test.
THRESHOLD_KEY = 7


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
    detector = Detector(cffn, result.cn, result.threshold, params.image_size, fabric)

    def score(images: np.ndarray) -> np.ndarray:
        return detector.score_and_embed(images, params.evaluate.batch_size)[0]

    return Trained(score, result.threshold)


def with_frozen_threshold(fit: Fit) -> Method:
    """A baseline as a method: its threshold is chosen on validation photographs, as the detector's is."""

    def train_baseline(params: Params, train: DetectorData, val: DetectorData, fabric: Fabric) -> Trained:
        score = fit(params, train, fabric)
        photographs = np.flatnonzero(val.groups == 0)
        images = val.laundered(photographs, params.augmentation, [params.seed, THRESHOLD_KEY])
        return Trained(score, choose_threshold(score(images), params.cn.target_fpr))

    return train_baseline


def score_fold(
    params: Params,
    fold: Fold,
    methods: dict[str, Method],
    seeds: Sequence[int],
    real_dir: Path,
    fake_dir: Path,
    fabric: Fabric,
) -> FoldScores:
    """Train every method with every seed and score the test split under the three protocols.

    The test images are laundered with the experiment's seed, so that all runs see the same pixels.

    Args:
        params: of the experiment.
        fold: which GANs train and which are tested.
        methods: by the name that they have in the results.
        seeds: of the trainings.
        real_dir, fake_dir: as in :func:`fakeface.detector.dataset.load_split`.
        fabric: device and precision.
    """
    train = load_split(real_dir, fake_dir, fold.train_gans, "train")
    val = load_split(real_dir, fake_dir, fold.train_gans, "val")
    test = load_split(real_dir, fake_dir, fold.test_gans, "test")
    runs = []
    for name, method in methods.items():
        for seed in seeds:
            trained = method(fold_params(params, fold, seed), train, val, fabric)
            scores: dict[str, list[np.ndarray]] = {protocol: [] for protocol in PROTOCOLS}
            for protocol, _, images in laundered_batches(params, test):
                scores[protocol].append(trained.score(images))
            joined = {protocol: np.concatenate(parts) for protocol, parts in scores.items()}
            runs.append(Run(name, seed, trained.threshold, joined))
    gans = np.array(["", *test.gans])[test.groups]
    return FoldScores(test.manifest["name"].to_numpy(str), gans, tuple(runs))


def fold_metrics(params: Params, fold: Fold, scores: FoldScores, method: str) -> dict[str, Any]:
    """Content of ``metrics/leave_one_out/<fold>.json``: a block a protocol, averaged over the seeds."""
    runs = scores.of(method)
    blocks = {
        protocol: mean_block(
            scores.labels,
            [run.scores[protocol] for run in runs],
            [run.threshold for run in runs],
            bootstrap=params.evaluate.bootstrap,
            seed=params.seed,
        )
        for protocol in PROTOCOLS
    }
    return {
        "training_gans": list(fold.train_gans),
        "seeds": [run.seed for run in runs],
        "thresholds": [run.threshold for run in runs],
        **blocks,
    }
