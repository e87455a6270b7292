"""The decision rule: from the CN's margins to scores and verdicts; and what gives pictures their scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fakeface.base.errors import FakefaceError
from fakeface.base.tensors import DetectorWeightsError, load_header
from fakeface.detector.calibration import UNCALIBRATED, Calibration, CalibrationError, is_number
from fakeface.detector.score_offset import NO_SCORE_OFFSET, ScoreOffset, ScoreOffsetError

VERDICTS = ("real", "unsure", "fake")
# Of the header of a CN's file.
RULE_KEYS = ("threshold", "lower_threshold", "calibration", "score_offset")


class DecisionError(FakefaceError, ValueError):
    """The numbers of a stored decision rule are none."""


@dataclass(frozen=True)
class DecisionRule:
    """Everything between the CN's margin and a verdict; fitted on validation images, then frozen.

    Attributes:
        threshold: an image whose score is above is called fake. At most a chosen share of validation
            photographs lies above.
        lower_threshold: an image whose score is below is called real. At most a chosen share of validation
            fakes lies below. Where it is not below ``threshold``, nothing is unsure.
        calibration: from margins to P(fake); the thresholds are on its scale.
        score_offset: margins of photographs that miss as much fine detail, taken off before calibration.

    Raises:
        DecisionError: for a threshold outside [0, 1].
    """

    threshold: float
    lower_threshold: float
    calibration: Calibration = UNCALIBRATED
    score_offset: ScoreOffset = NO_SCORE_OFFSET

    def __post_init__(self) -> None:
        for name in ("threshold", "lower_threshold"):
            value = getattr(self, name)
            if not is_number(value) or not 0 <= value <= 1:
                raise DecisionError(f"{name} must be in [0, 1], got {value!r}")

    @classmethod
    def at(cls, threshold: float) -> DecisionRule:
        """Uncalibrated, without an offset and never unsure."""
        return cls(threshold, threshold)

    def scores(self, margins: np.ndarray, missing: np.ndarray) -> np.ndarray:
        """P(fake) at even odds, float64 (N,) in [0, 1].

        Args:
            margins: float (N,), the CN's logit of fake less that of real.
            missing: float (N,), see :func:`fakeface.detector.score_offset.missing_detail`.
        """
        return self.calibration.scores(margins - self.score_offset.margins(missing))

    def verdicts(self, scores: np.ndarray) -> np.ndarray:
        """int64 (N,), indices into :data:`VERDICTS`, of scores float (N,)."""
        above = scores > self.threshold
        unsure = ~above & (scores >= self.lower_threshold) & (self.lower_threshold < self.threshold)
        return np.where(above, 2, np.where(unsure, 1, 0))

    def numbers(self) -> dict[str, Any]:
        """The rule as JSON knows it; :meth:`read` reads it."""
        return {
            "threshold": self.threshold,
            "lower_threshold": self.lower_threshold,
            "calibration": self.calibration.numbers(),
            "score_offset": self.score_offset.numbers(),
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
        return cls(numbers["threshold"], numbers["lower_threshold"], calibration, score_offset)


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
