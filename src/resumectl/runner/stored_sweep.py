"""Describe one stored sweep, as a list of sweeps shows it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from resumectl.errors import Refusal
from resumectl.model.codec import Plain
from resumectl.model.events import EVENT_SCHEMA
from resumectl.model.promise import Promise
from resumectl.model.sweep_spec import SweepSpec
from resumectl.runner.stored_form import spec_from, spec_to_plain


@dataclass(frozen=True, slots=True)
class StoredSweep:
    """One sweep in a list. Numbers of trials are those of its last round.

    Attributes:
        id: Number of the sweep; 0 for trials that are not stored.
        target: Target of the sweep, for people.
        stored_spec: Spec of the sweep, as stored data.
        started_at_ms: Start time, in milliseconds since the epoch.
        crash_points: Number of its crash points.
        seconds: Duration, in seconds; None until it has ended.
        verdicts: Verdict to its number of trials; None until the sweep has ended.
        planned: Number of trials that are planned.
        trials: Number of trials that have ended.
    """

    id: int
    target: str
    stored_spec: Mapping[str, Plain]
    started_at_ms: int
    crash_points: int
    seconds: float | None
    verdicts: Mapping[str, int] | None
    planned: int
    trials: int

    @property
    def is_readable(self) -> bool:
        """Whether this version of resumectl can read it."""
        return self.stored_spec.get("schema") == EVENT_SCHEMA

    @property
    def spec(self) -> SweepSpec:
        """Spec of the sweep.

        Raises:
            Refusal: Another version of resumectl has stored it.
        """
        return spec_from(self.id, self.stored_spec)

    def with_promises(self, promises: Mapping[str, Promise]) -> "StoredSweep":
        """Return the sweep with more promises in its spec, so that replay lines include them.

        Args:
            promises: Effect, step or table to promise.

        Raises:
            Refusal: Another version of resumectl has stored it.
        """
        spec = replace(self.spec, promises={**self.spec.promises, **promises})
        return replace(self, stored_spec=spec_to_plain(spec))


def no_sweep(sweep_id: int) -> Refusal:
    """Return the refusal for a sweep that does not exist."""
    return Refusal(f"there is no sweep {sweep_id}", next_step="resumectl sweeps")
