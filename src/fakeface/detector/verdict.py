"""What the detector says of an image, from its score and two frozen thresholds."""

from __future__ import annotations

import numpy as np

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
