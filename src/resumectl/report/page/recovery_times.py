"""Measure how long recoveries took: until each workflow moved, and until all was done. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from resumectl.model.crash_plan import subject_of
from resumectl.model.events import (
    BecameQuiet,
    Committed,
    ControlReached,
    Event,
    LaunchStarted,
    StepReplayed,
    StepStarted,
)
from resumectl.model.observation import Observation, ProcessRecord
from resumectl.statuses import UNFINISHED

_BINS = 60


@dataclass(frozen=True, slots=True)
class RecoveryTime:
    """Duration of one recovery, from the launch of the last process.

    Attributes:
        moved_ms: Time until each workflow that had not ended did something, in milliseconds.
        done_ms: Time until all workflows had ended, in milliseconds; None if they never did.
    """

    moved_ms: Sequence[float]
    done_ms: float | None


@dataclass(frozen=True, slots=True)
class Distribution:
    """Durations of one kind.

    Attributes:
        name: What took this time.
        values_ms: Durations in milliseconds, in ascending order.
    """

    name: str
    values_ms: Sequence[float]

    def quantile_ms(self, part: float) -> float:
        """Return the duration below which this part of all durations lies, in milliseconds.

        Args:
            part: From 0 to 1.
        """
        return self.values_ms[min(len(self.values_ms) - 1, int(part * len(self.values_ms)))]

    def bins(self, end_ms: float) -> list[float]:
        """Return the height of each bar of a histogram, from 0 to 1.

        Args:
            end_ms: End of the axis, in milliseconds.
        """
        counts = [0] * _BINS
        for value in self.values_ms:
            counts[min(_BINS - 1, int(value / end_ms * _BINS))] += 1
        highest = max(counts)
        return [count / highest for count in counts]


def recovery_time(trial: Observation) -> RecoveryTime | None:
    """Return how long the recovery of a trial took; None if nothing recovered."""
    if len(trial.processes) < 2:
        return None
    before, final = trial.processes[-2:]
    launch, quiet = final.last(LaunchStarted), final.last(BecameQuiet)
    if launch is None:
        return None
    unfinished = {row.id for row in before.snapshot.workflows if row.status in UNFINISHED}
    moved: dict[str, float] = {}
    for event in final.events:
        for workflow in _workflows(event):
            if workflow in unfinished:
                moved.setdefault(workflow, (event.at_us - launch.at_us) / 1000)
    done_ms = (quiet.at_us - launch.at_us) / 1000 if quiet is not None else None
    return RecoveryTime(list(moved.values()), done_ms)


def baseline_ms(runs: Sequence[Observation]) -> list[float]:
    """Return the durations of uninterrupted runs, from their launch, in milliseconds.

    Args:
        runs: Uninterrupted runs; one in which a thread was paused is left out.
    """
    unpaused = (run.final for run in runs if run.final.last(ControlReached) is None)
    return [ms for process in unpaused for ms in _whole_ms(process)]


def _whole_ms(process: ProcessRecord) -> Iterator[float]:
    launch, quiet = process.last(LaunchStarted), process.last(BecameQuiet)
    if launch is not None and quiet is not None:
        yield (quiet.at_us - launch.at_us) / 1000


def _workflows(event: Event) -> Iterator[str]:
    if isinstance(event, Committed):
        # A process that puts a workflow back on its queue does not yet continue it.
        yield from (
            subject_of(fact.name) for fact in event.facts if not fact.name.endswith("/requeued")
        )
    elif isinstance(event, StepStarted | StepReplayed) and event.site.workflow is not None:
        yield event.site.workflow


def distributions(times: Sequence[RecoveryTime], usual_ms: Sequence[float]) -> list[Distribution]:
    """Return the distributions of a sweep that have values; none if nothing recovered.

    Args:
        times: Recovery time of each trial.
        usual_ms: Durations of the uninterrupted runs, in milliseconds.
    """
    every = [
        ("baseline: launch to end", list(usual_ms)),
        ("launch until a workflow continues", [ms for each in times for ms in each.moved_ms]),
        ("launch until all is done", [each.done_ms for each in times if each.done_ms is not None]),
    ]
    found = [Distribution(name, sorted(values)) for name, values in every if values]
    return found if len(found) > 1 else []  # the baseline alone says nothing about a recovery
