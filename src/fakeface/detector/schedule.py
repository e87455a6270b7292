"""Learning rate as a pure function of the step, so that a resumed run needs no scheduler's state."""

from __future__ import annotations

import math
from typing import Literal

# Share of the steps in which a cosine schedule rises to its peak.
WARM_UP = 0.1

Schedule = Literal["constant", "cosine"]


def learning_rate(schedule: Schedule, peak: float, step: int, total: int) -> float:
    """Rate of one step.

    ``cosine`` rises linearly for a tenth of the steps, then falls along half a cosine to nearly zero
    (Loshchilov and Hutter, "SGDR", ICLR 2017, without restarts).

    Args:
        schedule: ``constant`` or ``cosine``.
        peak: the highest rate, > 0.
        step: 0 <= step < total.
        total: steps of the training.

    Returns:
        A rate in (0, peak].
    """
    if schedule == "constant":
        return peak
    rise = max(1, round(WARM_UP * total))
    if step < rise:
        return peak * (step + 1) / rise
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise)))
