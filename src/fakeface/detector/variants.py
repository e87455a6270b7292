"""The variants of the CFFN by the names that params.yaml gives them."""

from __future__ import annotations

from collections.abc import Sequence

from fakeface.detector.cffn import CFFN
from fakeface.detector.features import FeatureNetwork
from fakeface.detector.pretrained_cffn import PretrainedCFFN
from fakeface.detector.residual_cffn import ResidualCFFN

VARIANTS: dict[str, type[FeatureNetwork]] = {
    network.variant: network for network in (CFFN, ResidualCFFN, PretrainedCFFN)
}


def build_cffn(variant: str, feature_levels: Sequence[int], unit_norm: bool) -> FeatureNetwork:
    """A network with random weights.

    Raises:
        ValueError: if there is no such variant.
    """
    if variant not in VARIANTS:
        raise ValueError(f"cffn variant must be one of {', '.join(VARIANTS)}, got {variant!r}")
    return VARIANTS[variant](feature_levels, unit_norm)
