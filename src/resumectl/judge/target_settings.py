"""Under which settings the processes of a target ran, as they recorded them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from resumectl.model.observation import LATER_BASELINE, Observation


@dataclass(frozen=True, slots=True)
class TargetSettings:
    """What one program's processes ran with.

    Attributes:
        app_version: Application version that its workflows have.
        is_version_computed: Whether DBOS computed it from the sources of the workflows.
        executor_id: Executor id of its first process.
        replaced: Names of the program's own settings that do not hold in a trial.
        started_at_import: Names of the workflows that its import starts.
    """

    app_version: str
    is_version_computed: bool
    executor_id: str
    replaced: Sequence[str]
    started_at_import: Sequence[str]

    def as_plain(self) -> dict[str, Any]:
        """Return itself for JSON."""
        return {
            "app_version": self.app_version,
            "is_version_computed": self.is_version_computed,
            "executor_id": self.executor_id,
            "replaced": list(self.replaced),
            "started_at_import": list(self.started_at_import),
        }


def settings_of_target(
    runs: Sequence[Observation], *, later: bool = False
) -> TargetSettings | None:
    """Return the settings of a program from its first uninterrupted run; None if it has none.

    Args:
        runs: The uninterrupted runs of a sweep.
        later: Whether of the program that the processes after the crash run.
    """
    for run in runs:
        launched, imported = run.final.last("launched"), run.final.last("imported")
        if (run.plan == LATER_BASELINE) == later and launched and imported:
            return TargetSettings(
                launched["app_version"],
                launched["is_version_computed"],
                launched["executor_id"],
                tuple(launched["replaced"]),
                tuple(name for _, name in imported["started"]),
            )
    return None
