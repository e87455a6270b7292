"""The baselines by the names that tables and commands use."""

from __future__ import annotations

from fakeface.baselines import dct, lite0_probe, spectrum
from fakeface.baselines.base import Fit

BASELINES: dict[str, Fit] = {"dct": dct.fit, "spectrum": spectrum.fit, "lite0": lite0_probe.fit}
