"""From scores to verdicts, and the file that holds the CN with all that makes its decisions."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fakeface.detector.calibration import UNCALIBRATED, Calibration, CalibrationError
from fakeface.detector.score_offset import NO_SCORE_OFFSET, ScoreOffset, ScoreOffsetError
from fakeface.models.cn import ClassificationNetwork
from fakeface.models.weights import DetectorWeightsError, fill_module, load_tensors, save_module

# -------------------------------------------------------------------------------------------------
# What the detector says of an image, from its score and two frozen thresholds.

VERDICTS = ("real", "unsure", "fake")


def verdicts(scores: np.ndarray, threshold: float, lower_threshold: float) -> np.ndarray:
    """Fake above ``threshold``, real below ``lower_threshold``, unsure from the one to the other.

    Thresholds are chosen one on photographs, one on fakes. Where the classes hardly overlap, the lower one
    comes out at or above the other; then nothing is unsure, and what is not above ``threshold`` is real.

    Args:
        scores: float (N,) of P(fake).
        threshold: at most a wanted share of photographs lies above.
        lower_threshold: at most a wanted share of fakes lies below.

    Returns:
        int64 (N,), indices into :data:`VERDICTS`.
    """
    above = scores > threshold
    undecided = ~above & (scores >= lower_threshold) & (lower_threshold < threshold)
    return np.where(above, 2, np.where(undecided, 1, 0))


# -------------------------------------------------------------------------------------------------
# CN weights as safetensors; the header holds what turns its logits into scores and verdicts.


class StoredCn(NamedTuple):
    """What a file holds: a CN in evaluation mode, its frozen thresholds on P(fake), what makes scores."""

    cn: ClassificationNetwork
    threshold: float
    lower_threshold: float
    calibration: Calibration
    score_offset: ScoreOffset


def save_cn(
    path: str | Path,
    cn: ClassificationNetwork,
    threshold: float,
    lower_threshold: float | None = None,
    calibration: Calibration = UNCALIBRATED,
    score_offset: ScoreOffset = NO_SCORE_OFFSET,
) -> None:
    """Write a CN together with its frozen thresholds and its calibration.

    Args:
        path: of the file.
        cn: the network.
        threshold: an image whose score is above is called fake.
        lower_threshold: and one whose score is below is called real; None for ``threshold``, so that the
            detector is never unsure.
        calibration: from margins to scores; the thresholds are on its scale.
        score_offset: margins of photographs, taken off before calibration.
    """
    header = {
        "network": "cn",
        "threshold": threshold,
        "lower_threshold": threshold if lower_threshold is None else lower_threshold,
        "calibration": calibration.numbers(),
        "score_offset": score_offset.numbers(),
    }
    save_module(path, cn, header)


def load_cn(path: str | Path) -> StoredCn:
    """The CN of a file with its thresholds and its calibration.

    A file from before there was a calibration is refused: its threshold is on another scale.

    Raises:
        DetectorWeightsError: if the file is absent, damaged or of another network, or its header lacks a
            number or holds one out of range.
    """
    path = Path(path)
    tensors, header = load_tensors(
        path, "cn", ("threshold", "lower_threshold", "calibration", "score_offset")
    )
    threshold, lower = (_probability(path, header, name) for name in ("threshold", "lower_threshold"))
    try:
        calibration = Calibration(**header["calibration"])
    except (TypeError, CalibrationError) as error:
        raise DetectorWeightsError(f"{path}: calibration in the header: {error}") from error
    try:
        stored = header["score_offset"]
        score_offset = ScoreOffset(tuple(stored.pop("coefficients")), **stored)
    except (AttributeError, KeyError, TypeError, ScoreOffsetError) as error:
        raise DetectorWeightsError(f"{path}: score_offset in the header: {error}") from error
    if "conv.weight" not in tensors or tensors["conv.weight"].ndim != 4:
        raise DetectorWeightsError(f"{path}: conv.weight is missing or has no four dimensions")
    cn = ClassificationNetwork(tensors["conv.weight"].shape[1])
    fill_module(path, cn, tensors)
    return StoredCn(cn.eval(), threshold, lower, calibration, score_offset)


def _probability(path: Path, header: dict[str, Any], name: str) -> float:
    value = header[name]
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not known or not 0 <= value <= 1:
        raise DetectorWeightsError(f"{path}: {name} in the header must be in [0, 1], got {value!r}")
    return float(value)
