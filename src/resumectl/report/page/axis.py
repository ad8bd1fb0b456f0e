"""Map times to pixels. Pure.

Between two events, the axis is linear. A pause gets a width that grows with the square root of its length, so
that long pauses leave room for what happens. Steps that are too short for their names are stretched, as
long as the rest does not shrink too much.
"""

import math
from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

_TAKEN_MAX = 0.6  # part of the width of everything else


@dataclass(frozen=True, slots=True)
class Need:
    """A stretch of time that needs room. Times in milliseconds."""

    start_ms: float
    end_ms: float
    width_px: float


class Axis:
    """An axis from time 0 to an end.

    Args:
        end_ms: End of the axis, in milliseconds.
        width_px: Its width.
        events_ms: Times at which something happens, in milliseconds.
        needs: Stretches of time that need room, the most important first.
    """

    def __init__(
        self,
        end_ms: float,
        width_px: float,
        events_ms: Collection[float],
        needs: Sequence[Need] = (),
    ) -> None:
        edges = {time for need in needs for time in (need.start_ms, need.end_ms)}
        self._times = sorted({0.0, end_ms, *events_ms, *edges})
        weights = [math.sqrt(end - start) for start, end in pairwise(self._times)]
        per_weight = width_px / (sum(weights) or 1.0)
        widths = self._stretched([weight * per_weight for weight in weights], needs)
        self._places = list(accumulate(widths, initial=0.0))

    def x(self, at_ms: float) -> float:
        """Return the place of a time, in pixels."""
        n = min(max(bisect_right(self._times, at_ms) - 1, 0), len(self._times) - 2)
        start, end = self._times[n], self._times[n + 1]
        part = (at_ms - start) / (end - start)
        return round(self._places[n] + part * (self._places[n + 1] - self._places[n]), 1)

    def _stretched(self, widths: Sequence[float], needs: Sequence[Need]) -> list[float]:
        """Return the width of each gap between two events, in pixels, with room for the needs.

        Args:
            widths: Width of each gap without any need.
            needs: Stretches of time that need room.
        """
        gaps = list(pairwise(self._times))
        given: dict[int, float] = {}  # gap to its width: it does not shrink
        free_px, taken_px = sum(widths), 0.0
        for need in needs:
            within = [
                n
                for n, (start, end) in enumerate(gaps)
                if need.start_ms <= start and end <= need.end_ms
            ]
            wanted = {n: given.get(n, widths[n]) for n in within}
            missing_px = max(0.0, need.width_px - sum(wanted.values()))
            left_px = free_px - sum(widths[n] for n in within if n not in given)
            if within and taken_px + missing_px <= _TAKEN_MAX * left_px:
                wanted[within[0]] += missing_px
                given.update(wanted)
                free_px, taken_px = left_px, taken_px + missing_px
        kept = 1 - taken_px / (free_px or 1.0)
        return [given.get(n, kept * width) for n, width in enumerate(widths)]
