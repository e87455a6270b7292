"""Plots are tested on the sets that the detector's training is tested on."""

from detector.conftest import image_sets, tiny_params

__all__ = ["image_sets", "tiny_params"]
