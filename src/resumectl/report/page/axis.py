"""Map times to pixels. Pure.

The axis is linear, but a step that is too short for its name is stretched, as long as half of the width is
left for the rest.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

_STRETCHED_MAX = 0.5  # part of the width


@dataclass(frozen=True, slots=True)
class Need:
    """A stretch of time that needs room. Times in milliseconds."""

    start_ms: float
    end_ms: float
    width_px: float


@dataclass(frozen=True, slots=True)
class _Scale:
    """A line from point to point: times, and their places."""

    times: Sequence[float]
    places: Sequence[float]

    def x(self, at_ms: float) -> float:
        """Return the place of a time."""
        n = min(max(bisect_right(self.times, at_ms) - 1, 0), len(self.times) - 2)
        start, end = self.times[n], self.times[n + 1]
        part = (at_ms - start) / (end - start) if end > start else 0.0
        return self.places[n] + part * (self.places[n + 1] - self.places[n])

    def width(self, need: Need) -> float:
        """Return the width of a stretch of time."""
        return self.x(need.end_ms) - self.x(need.start_ms)


class Axis:
    """An axis from time 0 to an end.

    Args:
        end_ms: End of the axis, in milliseconds.
        width_px: Its width.
        needs: Stretches of time that need room.

    Attributes:
        is_stretched: Whether a stretch of time got more room than it has on a linear axis.
    """

    def __init__(self, end_ms: float, width_px: float, needs: Iterable[Need] = ()) -> None:
        linear = _Scale([0.0, end_ms], [0.0, width_px])
        scale = linear
        short = [need for need in needs if linear.width(need) < need.width_px]
        if short:
            scale = self._stretched(end_ms, width_px, short) or linear
        self._scale = scale
        self.is_stretched = scale is not linear

    def x(self, at_ms: float) -> float:
        """Return the place of a time, in pixels."""
        return round(self._scale.x(at_ms), 1)

    @staticmethod
    def _stretched(end_ms: float, width_px: float, needs: Sequence[Need]) -> _Scale | None:
        """Return the scale with the room that is needed; None if it is too much."""
        edges = {time for need in needs for time in (need.start_ms, need.end_ms)}
        times = sorted({0.0, end_ms, *edges})
        gaps = list(pairwise(times))
        room = [0.0] * len(gaps)  # pixels that each gap gets, besides those of its time
        for need in sorted(needs, key=lambda each: each.end_ms - each.start_ms):
            within = [
                n
                for n, (start, end) in enumerate(gaps)
                if need.start_ms <= start and end <= need.end_ms
            ]
            missing = need.width_px - sum(room[n] for n in within)
            if within and missing > 0:
                room[within[0]] += missing
        if sum(room) > _STRETCHED_MAX * width_px:
            return None
        per_ms = (width_px - sum(room)) / end_ms
        places = [0.0]
        for (start, end), extra in zip(gaps, room, strict=True):
            places.append(places[-1] + (end - start) * per_ms + extra)
        return _Scale(times, places)
