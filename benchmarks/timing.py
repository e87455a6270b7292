"""Speeds that can be compared: everything in one run on one machine, repeated, median with range."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

# Median, lowest and highest of a repeated measurement, or one figure by column.
Figures = dict[str, float]


@dataclass(frozen=True)
class Section:
    """One table of benchmarks/results.json.

    Attributes:
        unit: of all rows.
        rows: figures by what was measured.
        ratios: numbers that compare rows, by what they say.
        note: what a reader must know.
    """

    unit: str
    rows: dict[str, Figures]
    ratios: dict[str, float] = field(default_factory=dict)
    note: str = ""


def rate(work: Callable[[], int], seconds: float) -> float:
    """Things a second of ``work() -> how many``, after one call to warm up."""
    work()
    done, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        done += work()
    return done / elapsed


def duration(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_turns(measures: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, Figures]:
    """Several measurements one after the other, again and again: what slows the machine down slows all."""
    values: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(repeats):
        for name, measure in measures.items():
            values[name].append(measure())
    return {name: spread(measured) for name, measured in values.items()}


def rates_in_turns(
    works: Mapping[str, Callable[[], int]], seconds: float, repeats: int
) -> dict[str, Figures]:
    """:func:`in_turns` of :func:`rate`."""
    return in_turns({name: lambda work=work: rate(work, seconds) for name, work in works.items()}, repeats)


def spread(values: Iterable[float]) -> Figures:
    """Median, lowest and highest."""
    values = list(values)
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def slope(sizes: Iterable[float], seconds: Iterable[float]) -> float:
    """Slope of least squares in a log-log plot: 1 where twice the size takes twice the time."""
    x, y = ([math.log(value) for value in values] for values in (sizes, seconds))
    return statistics.linear_regression(x, y).slope
