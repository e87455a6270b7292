"""Speeds that can be compared: everything in one run on one machine, repeated, median with range."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

# Median, lowest and highest.
Figures = dict[str, float]


def rate(work: Callable[[], int], seconds: float) -> float:
    """Things a second of ``work() -> how many``, after one call to warm up."""
    work()
    done, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        done += work()
    return done / elapsed


def side_by_side(works: Mapping[str, Callable[[], int]], seconds: float, repeats: int) -> dict[str, Figures]:
    """Rates of several works, measured in turns: what slows the machine down slows all of them."""
    rates: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            rates[name].append(rate(work, seconds))
    return {name: spread(values) for name, values in rates.items()}


def spread(values: list[float]) -> Figures:
    """Median, lowest and highest."""
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}
