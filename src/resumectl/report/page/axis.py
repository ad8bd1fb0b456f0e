"""Map times to pixels. Pure.

Between two events, the axis is linear. A pause gets a width that grows with the square root of its length, so
that long pauses leave room for what happens. Steps that are too short for their names are stretched, as
long as half of the width is left for the rest.
"""

import math
from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

_STRETCHED_MAX = 0.5  # part of the width


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
        self._places = list(self._times)
        self._place([0.0] * (len(self._times) - 1), width_px)
        self._place(self._rooms(needs, _STRETCHED_MAX * width_px), width_px)

    def x(self, at_ms: float) -> float:
        """Return the place of a time, in pixels."""
        n = min(max(bisect_right(self._times, at_ms) - 1, 0), len(self._times) - 2)
        start, end = self._times[n], self._times[n + 1]
        part = (at_ms - start) / (end - start)
        return round(self._places[n] + part * (self._places[n + 1] - self._places[n]), 1)

    def _rooms(self, needs: Sequence[Need], left_px: float) -> list[float]:
        """Return the pixels that each gap between two events gets, besides those of its length."""
        rooms = [0.0] * (len(self._times) - 1)
        gaps = list(pairwise(self._times))
        for need in needs:
            within = [
                n
                for n, (start, end) in enumerate(gaps)
                if need.start_ms <= start and end <= need.end_ms
            ]
            has = self.x(need.end_ms) - self.x(need.start_ms) + sum(rooms[n] for n in within)
            missing = need.width_px - has
            if within and 0 < missing <= left_px:
                rooms[within[0]] += missing
                left_px -= missing
        # The rest of the axis gives this room away.
        kept = 1 - sum(rooms) / max(self._places[-1], 1)
        return [
            room + (1 - kept) * (self._places[n + 1] - self._places[n]) if room else 0.0
            for n, room in enumerate(rooms)
        ]

    def _place(self, rooms: Sequence[float], width_px: float) -> None:
        """Set the place of each event."""
        weights = [math.sqrt(end - start) for start, end in pairwise(self._times)]
        per_weight = (width_px - sum(rooms)) / (sum(weights) or 1.0)
        places = [0.0]
        for weight, room in zip(weights, rooms, strict=True):
            places.append(places[-1] + weight * per_weight + room)
        self._places = places
