"""Define the spec of a sweep: its target, its options and its promises.

It is stored with the sweep, so that any process can continue the sweep or judge it again.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from resumectl.model.crash_plan import Edge
from resumectl.model.interpreter import Interpreters
from resumectl.model.promise import Promise
from resumectl.model.target import DOWNTIME_S, Target


@dataclass(frozen=True, slots=True)
class SweepSpec:
    """Spec of a sweep.

    Args:
        target: Program of the first process of each trial.
        later: Program of the processes after it.
        promises: Effect or step name to promise.
        timeout_s: Maximum duration of one process, in seconds; None to derive it from the baseline.
        on: Kind of the trials' databases: `sqlite` or `postgres`.
        isolation: Start method of processes: `fork` or `spawn`.
        edge: Edge of the crash points; None for both.
        only: Pattern of the transitions; None for all.
        trials_max: Size of a random sample of the crash points; None for all.
        seed: Random seed of that sample.
        crashes: Number of crashes in each trial: 1 or 2.
        repeat: Number of trials of each crash plan.
        fail_fast: Whether to end at the first broken promise.
        keep_in: Directory for the sandboxes of trials that are not KEPT; None to keep none.
        downtime_s: Offset of the clock of each process from that of the process before it, in seconds.
        budget_s: Maximum time for its trials, in seconds; None for no limit.
        only_failed: Whether to run only what was not KEPT in the last sweep of the target.
        interpreters: Interpreters of the target; None for the built-in publisher.
    """

    target: Target
    later: Target
    promises: Mapping[str, Promise]
    timeout_s: float | None = None
    on: str = "sqlite"
    isolation: str = "fork"
    edge: Edge | None = None
    only: str | None = None
    trials_max: int | None = None
    seed: int = 1
    crashes: int = 1
    repeat: int = 1
    fail_fast: bool = False
    keep_in: str | None = None
    downtime_s: float = DOWNTIME_S
    budget_s: float | None = None
    only_failed: bool = False
    interpreters: Interpreters | None = None

    @property
    def has_publisher(self) -> bool:
        """Whether the target is resumectl's own publisher."""
        return self.target.entry is None and self.later.entry is None
