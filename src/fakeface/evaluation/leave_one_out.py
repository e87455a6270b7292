"""One fold: train on some GANs, several times, with every method, and score what is left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from lightning_fabric import Fabric

from fakeface.base import processes
from fakeface.base.runtime import device_name
from fakeface.data.image_sets import Folders, Split
from fakeface.detector.activations import NetworkInputs
from fakeface.detector.batches import DetectorData, load_split, load_training
from fakeface.detector.detector import Detector, in_turns
from fakeface.detector.train_cffn import CffnTrainer
from fakeface.detector.train_cn import train_cn
from fakeface.detector.views import Views, views_of_test
from fakeface.evaluation.folds import DETECTOR, Fold, FoldScores, Run, fold_params, nested_folds
from fakeface.params import Params

# One fold: train on some GANs, several times, and score the test images of those left out.
#
# Nothing is measured here: what the scores say is computed by :mod:`fakeface.evaluation.compare`, so that
# another way to measure trains nothing anew.

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
        result.rule,
        params.image_size,
        fabric,
    )

    inputs = NetworkInputs(params, cffn, fabric)

    def score(views: Views) -> np.ndarray:
        return detector.judge(*inputs.read_with_detail(views))[0]

    return Trained(score, result.rule.threshold, inputs.prepare)


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
        corrupted: score them corrupted, too, see :func:`fakeface.detector.views.views_of_test`.
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
        Run(
            name,
            seed,
            method.threshold,
            {key: np.concatenate(parts) for key, parts in run.items()},
            device_name(fabric.device),
        )
        for (name, seed), method, run in zip(keys, trained, scores, strict=True)
    )
    gans = np.array(["", *test.gans])[test.groups]
    return FoldScores(test.manifest["name"].to_numpy(str), gans, runs)


def score_detector(params: Params, fold: Fold, folders: Folders, fabric: Fabric) -> FoldScores:
    """Our detector on a fold, once a seed of ``leave_one_out.seeds``."""
    seeds = range(params.seed, params.seed + params.leave_one_out.seeds)
    return score_fold(params, fold, {DETECTOR: train_detector}, seeds, folders, fabric)


def score_nested(params: Params, folders: Folders, fabric: Fabric) -> dict[str, dict[str, FoldScores]]:
    """The folds of :func:`fakeface.evaluation.folds.nested_folds`, scored on the validation split.

    Settings are chosen by this: neither a held-out GAN nor a test image plays a part. The photographs are
    those that choose checkpoint and threshold, which flatters every setting alike. Corrupted images are
    scored, too, because good settings are all perfect on the others.

    Returns:
        Scores by name of the fold, for ``gans`` and for ``upsamplers``.
    """
    detectors, seeds = {DETECTOR: train_detector}, [params.seed]
    return {
        kind: {
            fold.name: score_fold(params, fold, detectors, seeds, folders, fabric, "val", corrupted=True)
            for fold in folds
        }
        for kind, folds in nested_folds(params).items()
    }
