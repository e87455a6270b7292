"""What pictures went through before they were prepared: can it be told, and does it move the verdicts?

Photographs are reduced from larger pictures and were compressed before; what a generator puts out at the
network's own size was neither. A detector may learn that history in place of the generator. So the same
photographs are given several histories: a probe tries to tell each from the usual one, after laundering, and
the detector judges all of them at its frozen threshold. Fakes get those that need no larger picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from fakeface.base.hashes import random_stream
from fakeface.data.augmentation import launder, rescaled, reuploaded, through_file
from fakeface.data.image_sets import ImageSet, evenly_spaced
from fakeface.data.preprocess import RESAMPLE, preprocess
from fakeface.detector.batches import DetectorData
from fakeface.detector.detector import Detector
from fakeface.evaluation.leaks import image_features, judge_often, original_squares, random_halves
from fakeface.metrics.scores import score_block
from fakeface.params import Params

# As the pipeline prepares them.
USUAL = "as prepared"
# Sides, in multiples of the network's, to which a picture is reduced before it is prepared: of 64 pixels 66,
# 80, 100 and 130.
BETWEEN = (1.03, 1.25, 1.56, 2.03)
# JPEG qualities of the picture at its own size.
QUALITIES = (90, 75, 50)
KERNELS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
# Photographs of all splits that the probe learns from, at most, and random halves that it averages over.
PROBED, HALVINGS = 400, 2
_FOLDS = 5
# Keeps the draws apart from those of trainings, probes and other tests.
HISTORIES_KEY = 17

# A square picture of any size and the source of its draws to the picture that is then prepared; None if the
# picture is too small for this history.
History = Callable[[Image.Image, int, np.random.Generator], Image.Image | None]


def _reduced(
    picture: Image.Image, size: int, _rng: np.random.Generator, *, ratio: float
) -> Image.Image | None:
    side = round(ratio * size)
    return picture.resize((side, side), RESAMPLE) if picture.width > side else None


def _compressed(picture: Image.Image, _size: int, _rng: np.random.Generator, *, quality: int) -> Image.Image:
    return through_file(picture, "JPEG", quality=quality)


def _compressed_then_reduced(picture: Image.Image, size: int, rng: np.random.Generator) -> Image.Image | None:
    between = _reduced(_compressed(picture, size, rng, quality=75), size, rng, ratio=BETWEEN[1])
    return None if between is None else _compressed(between, size, rng, quality=75)


def _enlarged(
    picture: Image.Image, _size: int, _rng: np.random.Generator, *, kernel: Image.Resampling
) -> Image.Image:
    return rescaled(picture, 2, kernel)


def _reuploaded(picture: Image.Image, _size: int, rng: np.random.Generator) -> Image.Image:
    return Image.fromarray(reuploaded(np.asarray(picture), rng))


# Of photographs at their own size.
OF_ORIGINALS: dict[str, History] = {
    **{f"reduced to {ratio:g} times the size first": partial(_reduced, ratio=ratio) for ratio in BETWEEN},
    **{f"JPEG {quality} at its own size": partial(_compressed, quality=quality) for quality in QUALITIES},
    "JPEG 75, reduced, JPEG 75 again": _compressed_then_reduced,
}
# Of prepared images, photographs and fakes.
OF_PREPARED: dict[str, History] = {
    **{
        f"enlarged twofold, {name}, and reduced": partial(_enlarged, kernel=kernel)
        for name, kernel in KERNELS.items()
    },
    "compressed, then rescaled": _reuploaded,
}


def of_originals(
    squares: Iterable[np.ndarray], names: list[str], size: int, seed: int
) -> dict[str, np.ndarray]:
    """Photographs at their own size with every history of :data:`OF_ORIGINALS`, prepared.

    Args:
        squares: batches uint8 (B, H, H, 3), in the order of ``names``.
        names: of the photographs, N in all.
        size: of the prepared pictures.
        seed: of the experiment.

    Returns:
        uint8 (N, size, size, 3) by history; without those for which one of the photographs is too small.
    """
    found: dict[str, list[np.ndarray]] = {name: [] for name in OF_ORIGINALS}
    rows = iter(names)
    for batch in squares:
        for square in batch:
            picture, of = Image.fromarray(square), next(rows)
            for name in list(found):
                made = OF_ORIGINALS[name](picture, size, random_stream("history", name, seed, of))
                if made is None:
                    del found[name]
                else:
                    found[name].append(preprocess(made, size))
    return {name: np.stack(images) for name, images in found.items()}


def of_prepared(images: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Prepared images uint8 (N, S, S, 3) with every history of :data:`OF_PREPARED`."""
    result = {}
    for name, history in OF_PREPARED.items():
        made = [
            history(Image.fromarray(image), len(image), random_stream("history", name, seed, image.tobytes()))
            for image in images
        ]
        result[name] = np.stack([np.asarray(picture) for picture in made if picture is not None])
    return result


def history_probe(usual: np.ndarray, other: np.ndarray, params: Params, *, seed: int) -> dict[str, Any]:
    """Can photographs with another history be told from those with the usual one, laundered?

    The classifier of the route probe, on random halves: one half has the usual history, the other half the
    other one, and each image its own draw of laundering.

    Args:
        usual, other: the same photographs, uint8 (N, S, S, 3).
        params: protocols.
        seed: of halves and draws.

    Returns:
        ``{auroc, standard_error, aurocs}``, see :func:`fakeface.evaluation.leaks.judge_often`.
    """
    seeds = np.column_stack([np.tile([seed, HISTORIES_KEY], (len(usual), 1)), np.arange(len(usual))])
    protocol = params.protocols.laundered
    features = [image_features(launder(images, [protocol], seeds)) for images in (usual, other)]
    halves = random_halves(len(usual), HALVINGS, np.random.default_rng([seed, HISTORIES_KEY]))
    return judge_often(features[0], features[1], halves, _FOLDS, seed)


def originals(params: Params, raw: Path, names: list[str]) -> dict[str, np.ndarray]:
    """:func:`of_originals` of photographs in the folder of the download, by their names.

    Raises:
        ArchiveError, CorruptImageError: if they cannot be read.
        ImageSetError: if the download lacks one.
    """
    with original_squares(params, raw, names) as squares:
        return of_originals(squares, names, params.image_size, params.seed)


def histories_report(
    params: Params, detector: Detector, photographs: Mapping[str, ImageSet], test: DetectorData, raw: Path
) -> dict[str, Any]:
    """Every history: the probe, and the detector's figures at its frozen threshold, laundered.

    At most ``robustness.images`` photographs of the test split, and as many fakes of each GAN, are judged.
    The probe has at most :data:`PROBED` photographs of all splits.

    Args:
        params: of the experiment.
        detector: trained.
        photographs: image sets by split.
        test: the test split.
        raw: folder of the download.

    Returns:
        ``threshold``; ``photographs.<history>``: ``n``, ``fpr``, ``auroc`` against the fakes as prepared,
        and ``probe``; ``fakes.<history>``: ``n``, ``recall``, ``auroc`` against the photographs as prepared;
        ``left_out``: histories for which photographs are too small. With ``<name>_ci95``.
    """
    threshold = detector.rule.threshold
    chosen = test.thinned(params.robustness.images, params.robustness.images)
    fakes = chosen.images(np.flatnonzero(chosen.groups > 0))
    rows = np.flatnonzero(chosen.groups == 0)
    judged = {USUAL: chosen.images(rows)}
    names = chosen.manifest["name"].iloc[rows].tolist()
    judged |= originals(params, raw, names) | of_prepared(judged[USUAL], params.seed)
    probed = _probed(params, photographs, raw)

    def scores(images: np.ndarray) -> np.ndarray:
        seeds = np.column_stack(
            [np.tile([params.seed, HISTORIES_KEY, 1], (len(images), 1)), np.arange(len(images))]
        )
        laundered = launder(images, [params.protocols.laundered], seeds)
        return detector.score_and_embed(laundered, params.evaluate.batch_size)[0]

    def block(real: np.ndarray, fake: np.ndarray, *wanted: str) -> dict[str, Any]:
        labels = np.repeat([0, 1], [len(real), len(fake)])
        options = {"bootstrap": params.evaluate.bootstrap, "seed": params.seed}
        found = score_block(labels, np.concatenate([real, fake]), threshold, **options)
        return {key: value for key, value in found.items() if key.removesuffix("_ci95") in wanted}

    of_reals = {
        name: scores(images) for name, images in tqdm(judged.items(), desc="photographs", disable=None)
    }
    of_fakes = {USUAL: scores(fakes)} | {
        name: scores(images)
        for name, images in tqdm(of_prepared(fakes, params.seed).items(), desc="fakes", disable=None)
    }
    report: dict[str, Any] = {"threshold": threshold, "photographs": {}, "fakes": {}}
    for name, values in tqdm(of_reals.items(), desc="probes", disable=None):
        report["photographs"][name] = {
            "n": len(values),
            **block(values, of_fakes[USUAL], "fpr", "auroc"),
            "probe": None
            if name == USUAL or name not in probed
            else history_probe(probed[USUAL], probed[name], params, seed=params.seed),
        }
    for name, values in of_fakes.items():
        figures = block(of_reals[USUAL], values, "recall", "auroc")
        report["fakes"][name] = {"n": len(values), **figures}
    report["left_out"] = sorted(set(OF_ORIGINALS) - set(judged))
    return report


def _probed(params: Params, photographs: Mapping[str, ImageSet], raw: Path) -> dict[str, np.ndarray]:
    """Photographs of all splits by history."""
    images = [image for part in photographs.values() for image in part.images]
    names = [name for part in photographs.values() for name in part.manifest["name"]]
    rows = evenly_spaced(np.arange(len(images)), PROBED)
    usual = np.stack([images[row] for row in rows])
    found = originals(params, raw, [names[row] for row in rows])
    return {USUAL: usual} | found | of_prepared(usual, params.seed)


def histories_headline(report: dict[str, Any]) -> dict[str, Any]:
    """Content of metrics/histories.json: the worst figure over all histories, laundered.

    ``fpr`` of photographs, ``recall`` of fakes, and ``probe_auroc``, the furthest from 0.5.
    """
    probes = [block["probe"]["auroc"] for block in report["photographs"].values() if block["probe"]]
    known = [auroc for auroc in probes if auroc is not None]
    return {
        "worst_fpr": max(block["fpr"] for block in report["photographs"].values()),
        "worst_recall": min(block["recall"] for block in report["fakes"].values()),
        "worst_probe_auroc": max(known, key=lambda auroc: abs(auroc - 0.5), default=None),
    }
