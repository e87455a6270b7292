"""One fold: train on some GANs, several times, and score the test images of those left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from lightning_fabric import Fabric

from fakeface import processes
from fakeface.data.folders import Folders
from fakeface.data.splits import Split
from fakeface.detector.dataset import load_split, load_training
from fakeface.evaluation.fold_metrics import DETECTOR
from fakeface.evaluation.fold_scores import FoldScores, Run
from fakeface.evaluation.folds import Fold, fold_params
from fakeface.evaluation.methods import Method, train_detector
from fakeface.evaluation.predict import laundered_batches
from fakeface.params import Params


def score_fold(
    params: Params,
    fold: Fold,
    methods: Mapping[str, Method],
    seeds: Sequence[int],
    folders: Folders,
    fabric: Fabric,
    split: Split = "test",
    harmed: bool = False,
) -> FoldScores:
    """Train every method with every seed and score images of the left-out GANs under the three protocols.

    The test images are laundered with the experiment's seed, so that all runs see the same pixels.

    Args:
        params: of the experiment.
        fold: which GANs train and which are tested.
        methods: by the name that they have in the results.
        seeds: of the trainings.
        folders: as in :func:`fakeface.detector.dataset.load_training`.
        fabric: devices and precision.
        split: whose images are scored, test or validation.
        harmed: score them harmed, too, see :func:`fakeface.evaluation.predict.laundered_batches`.
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
    trained = [methods[name](fold_params(params, fold, seed), train, val, fabric) for name, seed in keys]
    scores: list[dict[str, list[np.ndarray]]] = [{} for _ in keys]
    for condition, rows, images in laundered_batches(params, test, fabric, harmed=harmed):  # once for all
        for run, method in zip(scores, trained, strict=True):
            run.setdefault(condition, []).append(
                processes.gather_array(method.score(images), len(rows), fabric)
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
    those that choose checkpoint and threshold, which flatters every setting alike. Harmed images are scored,
    too, because good settings are all perfect on the others.
    """
    detectors, seeds = {DETECTOR: train_detector}, [params.seed]
    return {
        fold.name: score_fold(params, fold, detectors, seeds, folders, fabric, "val", harmed=True)
        for fold in folds
    }
