"""Objectives are built from the small params that the detector's training is tested with."""

from detector.conftest import tiny_params

__all__ = ["tiny_params"]
