"""Take figures in turn, and sum them up. What is measured is the callers' business."""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

Figure = TypeVar("Figure")


def interleaved(
    contenders: Mapping[str, Callable[[], Figure]], rounds: int
) -> dict[str, list[Figure]]:
    """Run every contender once a round, and who went first goes last in the next: A B B A …"""
    figures: dict[str, list[Figure]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name in list(contenders)[:: -1 if number % 2 else 1]:
            figures[name].append(contenders[name]())
    return figures


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Of each pair, measured one after the other; a machine's speed may change between pairs."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def standard_error(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Of the mean of the pairs' ratios: how far it may be from what many more would give."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return statistics.stdev(ratios) / math.sqrt(len(ratios))


def timed(run: Callable[[], object]) -> Callable[[], float]:
    """The seconds that a run takes."""

    def measure() -> float:
        began = time.perf_counter()
        run()
        return time.perf_counter() - began

    return measure


def median_seconds(contenders: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median seconds of each contender, after a run that warms up file and page caches."""
    runs = {name: timed(run) for name, run in contenders.items()}
    interleaved(runs, 1)
    return {name: statistics.median(figures) for name, figures in interleaved(runs, rounds).items()}
