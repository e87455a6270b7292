"""The file that holds a CN and its decision rule."""

from __future__ import annotations

from pathlib import Path

from fakeface.base.tensors import DetectorWeightsError, load_tensors
from fakeface.detector.decision import RULE_KEYS, DecisionRule, rule_of
from fakeface.models.cn import ClassificationNetwork
from fakeface.models.weights import fill_module, save_module


def save_cn(path: str | Path, cn: ClassificationNetwork, rule: DecisionRule) -> None:
    """Write a CN, and its decision rule into the header of the file."""
    save_module(path, cn, {"network": "cn", **rule.numbers()})


def load_cn(path: str | Path) -> tuple[ClassificationNetwork, DecisionRule]:
    """The CN of a file, in evaluation mode, and its decision rule.

    Raises:
        DetectorWeightsError: if the file is absent, damaged or of another network, or its header holds no
            decision rule.
    """
    path = Path(path)
    tensors, header = load_tensors(path, "cn", RULE_KEYS)
    rule = rule_of(path, header)
    if "conv.weight" not in tensors or tensors["conv.weight"].ndim != 4:
        raise DetectorWeightsError(f"{path}: conv.weight is missing or has no four dimensions")
    cn = ClassificationNetwork(tensors["conv.weight"].shape[1])
    fill_module(path, cn, tensors)
    return cn.eval(), rule
