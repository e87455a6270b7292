"""How far the detector's scores hold when all test images are corrupted in one way and to one strength."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from fakeface.data.augmentation import CORRUPTIONS, corrupt, launder, unavailable
from fakeface.metrics.scores import bootstrap_samples, interval, score_block
from fakeface.params import Params

# Types alone: the report takes names from here, and is written without PyTorch.
if TYPE_CHECKING:
    from fakeface.detector.batches import DetectorData
    from fakeface.detector.detector import Detector

# The entry of the images as prepared, and its one strength.
NONE, NO_STRENGTH = "none", 0.0
# Keeps the noise apart from the draws of the trainings and of the other tests.
ROBUSTNESS_KEY = 13


def strength_name(strength: float) -> str:
    """A strength as a key of the metrics: 95, 0.5."""
    return f"{strength:g}"


def corrupted_scores(
    params: Params, detector: Detector, test: DetectorData, family: str, strength: float, bar: tqdm[Any]
) -> np.ndarray:
    """P(fake) of every image after one corruption and ``robustness.protocol``, float64 (N,).

    Photographs and fakes are treated alike; a batch of ``evaluate.batch_size`` images is held at a time. The
    draws of an image depend on ``seed`` and on its row, so an image has one pattern of noise and one chain of
    the protocol, whatever the strength. ``family`` is a key of
    ``CORRUPTIONS``, or ``none``, for which the strength means nothing.

    Raises:
        CorruptionError: for an unknown family or strength, or a codec that Pillow lacks.
    """
    scores = np.empty(len(test), dtype=np.float64)
    step = params.evaluate.batch_size
    protocol = getattr(params.protocols, params.robustness.protocol)
    for start in range(0, len(test), step):
        rows = np.arange(start, min(start + step, len(test)))
        images = test.images(rows)
        seeds = np.column_stack([np.tile([params.seed, ROBUSTNESS_KEY], (len(rows), 1)), rows])
        if family != NONE:
            images = corrupt(images, family, strength, seeds)
        # The last 1 keeps these draws apart from the noise.
        images = launder(images, [protocol], np.column_stack([seeds, np.ones_like(rows)]))
        scores[rows] = detector.score_and_embed(images, len(rows))[0]
        bar.update(len(rows))
    return scores


class _Blocks:
    """Turns the scores of a condition into its block; knows those of the images as prepared."""

    def __init__(self, params: Params, threshold: float, test: DetectorData, clean: np.ndarray) -> None:
        self.threshold = threshold
        self.bootstrap, self.seed = params.evaluate.bootstrap, params.seed
        self.labels = test.labels
        unseen = np.isin(test.groups, [i for i, gan in enumerate(test.gans, 1) if gan in params.held_out])
        self.parts = {"auroc_seen": ~unseen, "auroc_unseen": unseen | (test.groups == 0)}
        self.clean_auroc = score_block(self.labels, clean, threshold)["auroc"]
        self.clean_samples = self._auroc_samples(clean)

    def _auroc_samples(self, scores: np.ndarray) -> np.ndarray:
        """AUROC of each resample, float64 (bootstrap,); the images drawn are those of any other scores."""
        if not self.bootstrap:
            return np.empty(0)
        return bootstrap_samples(self.labels, scores, self.threshold, self.bootstrap, self.seed)["auroc"]

    def block(self, scores: np.ndarray) -> dict[str, Any]:
        options: dict[str, Any] = {"bootstrap": self.bootstrap, "seed": self.seed}
        block = score_block(self.labels, scores, self.threshold, **options)
        undefined = block.pop("undefined", {})
        for name, rows in self.parts.items():
            part = score_block(self.labels[rows], scores[rows], self.threshold, **options)
            block |= {key.replace("auroc", name): part[key] for key in ("auroc", "auroc_ci95") if key in part}
            if part["auroc"] is None:
                undefined[name] = part["undefined"]["auroc"]
        known = "auroc" not in undefined
        block["auroc_drop"] = self.clean_auroc - block["auroc"] if known else None
        if self.bootstrap:
            drops = self.clean_samples - self._auroc_samples(scores)
            block["auroc_drop_ci95"] = interval(drops) if known else None
        if not known:
            undefined["auroc_drop"] = undefined["auroc"]
        return block | ({"undefined": undefined} if undefined else {})


def robustness_metrics(params: Params, detector: Detector, test: DetectorData) -> dict[str, Any]:
    """A block of scores for each strength of each corruption, at the frozen threshold.

    All conditions have the same images: at most ``robustness.images`` photographs, and as many fakes of each
    GAN, evenly spaced. Families whose codec this build of Pillow lacks are left out, with a line on stderr.

    Returns:
        ``threshold``, ``held_out``, ``protocol``, ``skipped`` (family left out: reason) and, for ``none`` and
        each family, ``{<strength>: block}`` from weak to strong; ``none`` has the one strength ``"0"``. A
        block is that of :func:`fakeface.metrics.scores.score_block` over all GANs with, besides,
        ``auroc_seen`` and ``auroc_unseen`` (the same photographs against the GANs of training, and those
        held out) and ``auroc_drop``, the AUROC of ``none`` minus this one. The interval of the drop is
        paired: a resample draws the same images for both.
    """
    chosen = test.thinned(params.robustness.images, params.robustness.images)
    skipped = unavailable()
    for family, reason in skipped.items():
        print(f"robustness: {family} is skipped: {reason}", file=sys.stderr)
    grid = {family: strengths for family, strengths in CORRUPTIONS.items() if family not in skipped}
    result: dict[str, Any] = {
        "threshold": detector.rule.threshold,
        "held_out": list(params.held_out),
        "protocol": params.robustness.protocol,
        "skipped": skipped,
    }
    total = (1 + sum(len(strengths) for strengths in grid.values())) * len(chosen)
    with tqdm(total=total, unit="img", desc="robustness", disable=None) as bar:
        clean = corrupted_scores(params, detector, chosen, NONE, NO_STRENGTH, bar)
        blocks = _Blocks(params, detector.rule.threshold, chosen, clean)
        result[NONE] = {strength_name(NO_STRENGTH): blocks.block(clean)}
        for family, strengths in grid.items():
            result[family] = {}
            for strength in strengths:
                scores = corrupted_scores(params, detector, chosen, family, strength, bar)
                result[family][strength_name(strength)] = blocks.block(scores)
    return result


def robustness_headline(report: dict[str, Any]) -> dict[str, Any]:
    """Content of metrics/robustness.json: ``worst_auroc`` of each family, over its strengths and all GANs."""
    worst = {}
    for family in CORRUPTIONS:
        if family in report:
            values = [block["auroc"] for block in report[family].values() if block["auroc"] is not None]
            worst[family] = min(values, default=None)
    return {"worst_auroc": worst}
