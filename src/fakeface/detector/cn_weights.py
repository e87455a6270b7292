"""CN weights as safetensors; the header holds what turns its logits into scores and verdicts."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

from fakeface.detector.calibration import UNCALIBRATED, Calibration, CalibrationError
from fakeface.detector.cn import ClassificationNetwork
from fakeface.detector.reference import NO_REFERENCE, PhotographReference, PhotographReferenceError
from fakeface.detector.weights import DetectorWeightsError, fill_module, load_tensors, save_module


class StoredCn(NamedTuple):
    """What a file holds: a CN in evaluation mode, its frozen thresholds on P(fake), what makes scores."""

    cn: ClassificationNetwork
    threshold: float
    lower_threshold: float
    calibration: Calibration
    reference: PhotographReference


def save_cn(
    path: str | Path,
    cn: ClassificationNetwork,
    threshold: float,
    lower_threshold: float | None = None,
    calibration: Calibration = UNCALIBRATED,
    reference: PhotographReference = NO_REFERENCE,
) -> None:
    """Write a CN together with its frozen thresholds and its calibration.

    Args:
        path: of the file.
        cn: the network.
        threshold: an image whose score is above is called fake.
        lower_threshold: and one whose score is below is called real; None for ``threshold``, so that the
            detector is never unsure.
        calibration: from margins to scores; the thresholds are on its scale.
        reference: margins of photographs, taken off before calibration.
    """
    header = {
        "network": "cn",
        "threshold": threshold,
        "lower_threshold": threshold if lower_threshold is None else lower_threshold,
        "calibration": calibration.numbers(),
        "reference": reference.numbers(),
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
    tensors, header = load_tensors(path, "cn", ("threshold", "lower_threshold", "calibration", "reference"))
    threshold, lower = (_probability(path, header, name) for name in ("threshold", "lower_threshold"))
    try:
        calibration = Calibration(**header["calibration"])
    except (TypeError, CalibrationError) as error:
        raise DetectorWeightsError(f"{path}: calibration in the header: {error}") from error
    try:
        stored = header["reference"]
        reference = PhotographReference(tuple(stored.pop("coefficients")), **stored)
    except (AttributeError, KeyError, TypeError, PhotographReferenceError) as error:
        raise DetectorWeightsError(f"{path}: reference in the header: {error}") from error
    if "conv.weight" not in tensors or tensors["conv.weight"].ndim != 4:
        raise DetectorWeightsError(f"{path}: conv.weight is missing or has no four dimensions")
    cn = ClassificationNetwork(tensors["conv.weight"].shape[1])
    fill_module(path, cn, tensors)
    return StoredCn(cn.eval(), threshold, lower, calibration, reference)


def _probability(path: Path, header: dict[str, Any], name: str) -> float:
    value = header[name]
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not known or not 0 <= value <= 1:
        raise DetectorWeightsError(f"{path}: {name} in the header must be in [0, 1], got {value!r}")
    return float(value)
