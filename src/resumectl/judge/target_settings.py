"""Read the settings that the processes of a target recorded."""

from collections.abc import Sequence
from dataclasses import dataclass

from resumectl.model.events import Launched, TargetImported
from resumectl.model.observation import LATER_BASELINE, Observation


@dataclass(frozen=True, slots=True)
class TargetSettings:
    """Settings of the processes of one program.

    Attributes:
        app_version: Application version that its workflows have.
        is_version_computed: Whether DBOS computed it from the sources of the workflows.
        executor_id: Executor id of its first process.
        replaced: Names of the program's settings that a trial replaces.
        started_at_import: Names of the workflows that its import starts.
    """

    app_version: str
    is_version_computed: bool
    executor_id: str
    replaced: tuple[str, ...]
    started_at_import: tuple[str, ...]


def settings_of_target(
    runs: Sequence[Observation], *, later: bool = False
) -> TargetSettings | None:
    """Return the settings of a program from its first uninterrupted run; None if it has none.

    Args:
        runs: The uninterrupted runs of a sweep.
        later: Whether to read those of the program of the later processes.
    """
    for run in runs:
        launched, imported = run.final.last(Launched), run.final.last(TargetImported)
        if (run.plan == LATER_BASELINE) == later and launched and imported:
            return TargetSettings(
                launched.app_version,
                launched.is_version_computed,
                launched.executor_id,
                launched.replaced_settings,
                tuple(each.name for each in imported.started),
            )
    return None
