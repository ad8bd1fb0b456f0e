"""A sweep as it was asked for: what is swept, how, and what is promised. Pure.

Kept with the sweep, so that whichever process goes on with it, or judges it again, knows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from resumectl.model.crash_plan import Edge
from resumectl.model.observation import Promise
from resumectl.model.target import DOWNTIME_S, Subject


@dataclass(frozen=True, slots=True)
class Specification:
    """What a sweep is told.

    Args:
        subject: What is under test.
        later: What runs in the lives after the first.
        promises: Effect or step name to promise.
        timeout_s: Seconds for a life; None: from the baseline.
        on: `sqlite` or `postgres`: where the databases of the trials are.
        isolation: `fork` or `spawn`: how a life begins.
        edge: Only this one; None for both.
        only: Only transitions that this pattern covers.
        max_trials: Only a sample of so many.
        seed: Of the sample.
        deaths: Of each trial: 1 or 2.
        repeat: Trials of each plan.
        fail_fast: End at the first broken promise.
        keep_in: The directory for the places of trials that were not KEPT; None: none is kept.
        downtime_s: How far the clock of each process is ahead of the one before, in seconds.
    """

    subject: Subject
    later: Subject
    promises: Mapping[str, Promise]
    timeout_s: float | None = None
    on: str = "sqlite"
    isolation: str = "fork"
    edge: Edge | None = None
    only: str | None = None
    max_trials: int | None = None
    seed: int = 1
    deaths: int = 1
    repeat: int = 1
    fail_fast: bool = False
    keep_in: str | None = None
    downtime_s: float = DOWNTIME_S

    @property
    def is_of_publisher(self) -> bool:
        """Whether every life is of resumectl's own publisher."""
        return self.subject.target is None and self.later.target is None

    def as_plain(self) -> dict[str, Any]:
        """Itself, for JSON."""
        return {
            **{name: getattr(self, name) for name in self.__slots__},
            "subject": self.subject.as_plain(),
            "later": self.later.as_plain(),
            "promises": dict(self.promises),
        }

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Self:
        """Read it back."""
        return cls(
            **{
                **values,
                "subject": Subject.from_plain(values["subject"]),
                "later": Subject.from_plain(values["later"]),
                "promises": {name: Promise(each) for name, each in values["promises"].items()},
                "edge": Edge(values["edge"]) if values["edge"] else None,
            }
        )
