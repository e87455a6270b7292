"""The decision rule: from the CN's margins to scores and verdicts; and what gives pictures their scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from fakeface.base.errors import FakefaceError
from fakeface.base.tensors import DetectorWeightsError, load_header
from fakeface.data.augmentation import rescaled, through_file
from fakeface.detector.calibration import (
    NO_SCORE_OFFSET,
    UNCALIBRATED,
    Calibration,
    CalibrationError,
    ScoreOffset,
    ScoreOffsetError,
    is_number,
)

VERDICTS = ("real", "unsure", "fake")
# Of the header of a CN's file.
RULE_KEYS = ("threshold", "lower_threshold", "calibration", "score_offset", "photographs")
REAL, UNSURE, FAKE = range(len(VERDICTS))


class DecisionError(FakefaceError, ValueError):
    """The numbers of a stored decision rule are none."""


@dataclass(frozen=True)
class DecisionRule:
    """Everything between the CN's margin and a verdict; fitted on validation images, then frozen.

    Attributes:
        threshold: an image whose score is above is called fake. At most a chosen share of validation
            photographs lies above.
        lower_threshold: an image whose score is below is called real. At most another, larger share of these
            photographs lies above. Where it is not below ``threshold``, nothing is unsure.
        calibration: from margins to P(fake); the thresholds are on its scale.
        score_offset: margins of photographs that miss as much fine detail, taken off before calibration.
        photographs: ascending scores of validation photographs, at equal distances by rank; empty if unknown.

    Raises:
        DecisionError: for a threshold outside [0, 1], or photographs that are not ascending scores.
    """

    threshold: float
    lower_threshold: float
    calibration: Calibration = UNCALIBRATED
    score_offset: ScoreOffset = NO_SCORE_OFFSET
    photographs: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("threshold", "lower_threshold"):
            value = getattr(self, name)
            if not is_number(value) or not 0 <= value <= 1:
                raise DecisionError(f"{name} must be in [0, 1], got {value!r}")
        if not all(is_number(value) and 0 <= value <= 1 for value in self.photographs) or list(
            self.photographs
        ) != sorted(self.photographs):
            raise DecisionError(f"photographs must be ascending scores in [0, 1], got {self.photographs!r}")

    @classmethod
    def at(cls, threshold: float) -> DecisionRule:
        """Uncalibrated, without an offset and never unsure."""
        return cls(threshold, threshold)

    def scores(self, margins: np.ndarray, missing: np.ndarray) -> np.ndarray:
        """P(fake) at even odds, float64 (N,) in [0, 1].

        Args:
            margins: float (N,), the CN's logit of fake less that of real.
            missing: float (N,), see :func:`fakeface.detector.calibration.missing_detail`.
        """
        return self.calibration.scores(margins - self.score_offset.margins(missing))

    def verdicts(self, scores: np.ndarray) -> np.ndarray:
        """int64 (N,), indices into :data:`VERDICTS`, of scores float (N,)."""
        above = scores > self.threshold
        unsure = ~above & (scores >= self.lower_threshold) & (self.lower_threshold < self.threshold)
        return np.where(above, FAKE, np.where(unsure, UNSURE, REAL))

    def ranks(self, scores: np.ndarray) -> np.ndarray | None:
        """Share of validation photographs that score lower, float64 (N,) in [0, 1]; None if unknown.

        It promises nothing about generators that were never seen, unlike a probability.
        """
        if not self.photographs:
            return None
        return np.searchsorted(np.array(self.photographs), scores, side="left") / len(self.photographs)

    def numbers(self) -> dict[str, Any]:
        """The rule as JSON knows it; :meth:`read` reads it."""
        return {
            "threshold": self.threshold,
            "lower_threshold": self.lower_threshold,
            "calibration": self.calibration.numbers(),
            "score_offset": self.score_offset.numbers(),
            "photographs": list(self.photographs),
        }

    @classmethod
    def read(cls, numbers: Mapping[str, Any]) -> DecisionRule:
        """The rule of :meth:`numbers`.

        Raises:
            DecisionError: naming the entry that is missing or wrong.
        """
        try:
            calibration = Calibration(**numbers["calibration"])
        except (TypeError, KeyError, CalibrationError) as error:
            raise DecisionError(f"calibration: {error}") from error
        try:
            stored = dict(numbers["score_offset"])
            score_offset = ScoreOffset(tuple(stored.pop("coefficients")), **stored)
        except (TypeError, ValueError, KeyError, ScoreOffsetError) as error:
            raise DecisionError(f"score_offset: {error}") from error
        try:
            photographs = tuple(numbers["photographs"])
        except (TypeError, KeyError) as error:
            raise DecisionError(f"photographs: {error}") from error
        return cls(numbers["threshold"], numbers["lower_threshold"], calibration, score_offset, photographs)


def rule_of(path: Path, header: Mapping[str, Any]) -> DecisionRule:
    """The rule in the header of a CN's file.

    Raises:
        DetectorWeightsError: if it holds none.
    """
    try:
        return DecisionRule.read(header)
    except DecisionError as error:
        raise DetectorWeightsError(f"{path}: in the header: {error}") from error


def load_rule(path: str | Path) -> DecisionRule:
    """The rule of a CN's file, without the network.

    Raises:
        DetectorWeightsError: if the file is absent, damaged or of another network, or holds no rule.
    """
    return rule_of(Path(path), load_header(Path(path), "cn", RULE_KEYS))


class ImageScorer(Protocol):
    """A detector, whatever its networks run in.

    Attributes:
        rule: from margins to scores and verdicts.
        image_size: side of the images that it takes.
    """

    rule: DecisionRule
    image_size: int

    def score_and_embed(self, images: np.ndarray, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        """Scores and embeddings.

        Args:
            images: uint8 (N, image_size, image_size, 3), already preprocessed and laundered.
            batch_size: images a forward pass, at most.

        Returns:
            calibrated P(fake) float64 (N,) in [0, 1] and embeddings float32 (N, feature_dim).
        """

    def attribution_features(self, images: np.ndarray) -> np.ndarray:
        """What an attribution head is given: embeddings and level statistics, joined, float32 (N, F)."""


# A site compresses or reduces what is uploaded: such copies of a picture deserve the same verdict.
COPY_QUALITY, COPY_SCALE = 75, 0.75


def copies(image: np.ndarray) -> list[np.ndarray]:
    """A compressed and a reduced copy, uint8 (S, S, 3) each, of the same."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    return [
        np.asarray(through_file(picture, "JPEG", quality=COPY_QUALITY)),
        np.asarray(rescaled(picture, COPY_SCALE)),
    ]


def judge_with_copies(
    scorer: ImageScorer, images: np.ndarray, batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Scores and verdicts; a picture is unsure, too, if a copy of it is called the opposite.

    Args:
        scorer: a detector.
        images: uint8 (N, S, S, 3), prepared.
        batch_size: images a forward pass, at most.

    Returns:
        Scores float64 (N,) of the images themselves, and indices into :data:`VERDICTS`, int64 (N,).
    """
    scores, _ = scorer.score_and_embed(images, batch_size)
    verdicts = scorer.rule.verdicts(scores)
    result = verdicts.copy()
    for kind in zip(*map(copies, images), strict=True):
        of_copies = scorer.rule.verdicts(scorer.score_and_embed(np.stack(kind), batch_size)[0])
        # Two unequal verdicts that are not next to each other.
        result[np.abs(of_copies - verdicts) == FAKE - REAL] = UNSURE
    return scores, result
