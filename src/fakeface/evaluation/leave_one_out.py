"""One fold: train on some GANs, several times, with every method, and score what is left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from lightning_fabric import Fabric

from fakeface.base import processes
from fakeface.data.image_sets import Folders, Split
from fakeface.detector.activations import NetworkInputs
from fakeface.detector.batches import DetectorData, load_split, load_training
from fakeface.detector.detector import Detector
from fakeface.detector.train_cffn import CffnTrainer
from fakeface.detector.train_cn import train_cn
from fakeface.detector.views import Views, every_view, threshold_kinds
from fakeface.evaluation.baselines import BASELINES, Fit
from fakeface.evaluation.compare import DETECTOR
from fakeface.evaluation.evaluate import in_turns, views_of_test
from fakeface.evaluation.fold_scores import FoldScores, Run
from fakeface.evaluation.folds import Fold, fold_params
from fakeface.metrics.scores import choose_threshold
from fakeface.params import Params

# -------------------------------------------------------------------------------------------------
# A detector as the folds see it: trained on two splits, it scores images against a frozen threshold.

# A batch of N views to P(fake) float64 (N,).
Scorer = Callable[[Views], np.ndarray]


@dataclass(frozen=True)
class Trained:
    """A trained method.

    Attributes:
        score: gives P(fake).
        threshold: frozen.
        prepare: is told of all views that will be scored.
    """

    score: Scorer
    threshold: float
    prepare: Callable[[Views], None] = lambda _: None


# Trains on (params of the fold, training split, validation split) with a seed.
Method = Callable[[Params, DetectorData, DetectorData, Fabric, int], Trained]


def train_detector(
    params: Params, train: DetectorData, val: DetectorData, fabric: Fabric, seed: int
) -> Trained:
    """CFFN, then CN, as ``params`` describe them."""
    trainer = CffnTrainer(params, train, val, fabric, seed=seed)
    cffn = trainer.fit().cffn
    result = train_cn(params, cffn, train, val, fabric, seed=seed)
    trainer.checkpoint.discard()
    detector = Detector(
        cffn,
        result.cn,
        result.threshold,
        params.image_size,
        fabric,
        calibration=result.calibration,
        score_offset=result.score_offset,
    )

    inputs = NetworkInputs(params, cffn, fabric)

    def score(views: Views) -> np.ndarray:
        return detector.judge(*inputs.read_with_detail(views))[0]

    return Trained(score, result.threshold, inputs.prepare)


def with_cffn(margin: float | None = None, score_offset: str | None = None, **changes: object) -> Method:
    """Our detector with another CFFN and, unless None, another margin or score offset; all else is equal."""

    def train_variant(
        params: Params, train: DetectorData, val: DetectorData, fabric: Fabric, seed: int
    ) -> Trained:
        update: dict[str, object] = {"cffn": params.cffn.model_copy(update=changes)}
        if margin is not None:
            update["margin"] = margin
        if score_offset is not None:
            update["cn"] = params.cn.model_copy(update={"score_offset": score_offset})
        return train_detector(params.model_copy(update=update), train, val, fabric, seed)

    return train_variant


# -------------------------------------------------------------------------------------------------
# One fold: train on some GANs, several times, and score the test images of those left out.


def score_fold(
    params: Params,
    fold: Fold,
    methods: Mapping[str, Method],
    seeds: Sequence[int],
    folders: Folders,
    fabric: Fabric,
    split: Split = "test",
    corrupted: bool = False,
) -> FoldScores:
    """Train every method with every seed and score images of the left-out GANs under the three protocols.

    All runs see the same views of the test images, whatever their seeds.

    Args:
        params: of the experiment.
        fold: which GANs train and which are tested.
        methods: by the name that they have in the results.
        seeds: of the trainings.
        folders: as in :func:`fakeface.detector.batches.load_training`.
        fabric: devices and precision.
        split: whose images are scored, test or validation.
        corrupted: score them corrupted, too, see :func:`fakeface.evaluation.evaluate.views_of_test`.
    """
    settings = params.leave_one_out
    # Photographs are scarce and choose the threshold: all of them validate.
    val_fakes = None if settings.train_images is None else max(1, settings.train_images // 4)
    train = load_training(folders, fold.train_gans)
    train = train.thinned(settings.train_images, settings.train_images)
    val = load_split(folders.real, folders.fake, fold.train_gans, "val").thinned(None, val_fakes)
    test = load_split(folders.real, folders.fake, fold.test_gans, split)
    test = test.thinned(settings.test_images, settings.test_images)
    keys = [(name, seed) for name in methods for seed in seeds]
    of_fold = fold_params(params, fold)
    trained = [methods[name](of_fold, train, val, fabric, seed) for name, seed in keys]
    scores: list[dict[str, list[np.ndarray]]] = [{} for _ in keys]
    conditions = views_of_test(params, test, corrupted=corrupted)
    for method in trained:
        for views in conditions.values():
            method.prepare(views)
    for condition, views in in_turns(params, conditions, fabric):
        # One object for all methods, so that its pixels are made once.
        own = views[processes.share(len(views), fabric, padded=True)]
        for run, method in zip(scores, trained, strict=True):
            run.setdefault(condition, []).append(
                processes.gather_array(method.score(own), len(views), fabric)
            )
    runs = tuple(
        Run(name, seed, method.threshold, {key: np.concatenate(parts) for key, parts in run.items()})
        for (name, seed), method, run in zip(keys, trained, scores, strict=True)
    )
    gans = np.array(["", *test.gans])[test.groups]
    return FoldScores(test.manifest["name"].to_numpy(str), gans, runs)


def score_detector(params: Params, fold: Fold, folders: Folders, fabric: Fabric) -> FoldScores:
    """Our detector on a fold, once a seed of ``leave_one_out.seeds``."""
    seeds = range(params.seed, params.seed + params.leave_one_out.seeds)
    return score_fold(params, fold, {DETECTOR: train_detector}, seeds, folders, fabric)


def score_nested(
    params: Params, folds: Sequence[Fold], folders: Folders, fabric: Fabric
) -> dict[str, FoldScores]:
    """Folds among the GANs that may be seen, scored on the validation split.

    Settings are chosen by this: neither a held-out GAN nor a test image plays a part. The photographs are
    those that choose checkpoint and threshold, which flatters every setting alike. Corrupted images are
    scored, too, because good settings are all perfect on the others.
    """
    detectors, seeds = {DETECTOR: train_detector}, [params.seed]
    return {
        fold.name: score_fold(params, fold, detectors, seeds, folders, fabric, "val", corrupted=True)
        for fold in folds
    }


# -------------------------------------------------------------------------------------------------
# What our detector is compared with on the same folds: the paper's, one without pairs, and baselines.


def with_frozen_threshold(fit: Fit) -> Method:
    """A baseline as a method: its threshold is chosen on validation photographs, by the detector's rule."""

    def train_baseline(
        params: Params, train: DetectorData, val: DetectorData, fabric: Fabric, seed: int
    ) -> Trained:
        # All that is random about a baseline is which views it trains on.
        score = fit(params.model_copy(update={"seed": seed}), train, fabric)
        photographs = np.flatnonzero(val.groups == 0)
        thresholds = [
            choose_threshold(
                score(every_view(val, kind, params.seed, photographs).pixels), params.cn.target_fpr
            )
            for kind in threshold_kinds(params)
        ]
        return Trained(lambda views: score(views.pixels), max(thresholds))

    return train_baseline


# `paper`: Hsu, Zhuang and Lee's network, loss and margin, whatever the params say of ours.
# `cross_entropy`: our network without pairs; a linear layer classifies its embedding.
COMPARED: dict[str, Method] = {
    "paper": with_cffn(
        score_offset="none",
        margin=0.5,
        variant="paper",
        loss="contrastive",
        unit_norm=False,
        feature_levels=(2, 3, 4),
        pairing="batch",
        pseudo_fakes=0.0,
        corrupted=0.0,
        crop=None,
    ),
    "cross_entropy": with_cffn(loss="cross_entropy", pairing="batch"),
    **{name: with_frozen_threshold(fit) for name, fit in BASELINES.items()},
}


def score_compared(params: Params, fold: Fold, folders: Folders, fabric: Fabric) -> FoldScores:
    """What ours is compared with on the same fold, once a seed of ``leave_one_out.baseline_seeds``."""
    seeds = range(params.seed, params.seed + params.leave_one_out.baseline_seeds)
    return score_fold(params, fold, COMPARED, seeds, folders, fabric)
