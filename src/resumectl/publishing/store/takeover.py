"""Divide unfinished work into what a new process may take up and what it must leave alone.

At launch, DBOS recovers what is PENDING under the process's executor id and version. The rest
stays PENDING, and DBOS does not report it. This module does, with the reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from resumectl.publishing.store import records, workflows
from resumectl.publishing.store.dbos_tables import has_dbos_tables
from resumectl.publishing.store.view import View
from resumectl.publishing.store.workflows import Unfinished
from resumectl.settings import Settings


@dataclass(frozen=True, slots=True)
class Blocked:
    """Unfinished work that this process may not take up."""

    workflow: Unfinished
    reason: str
    next_step: str


@dataclass(frozen=True, slots=True)
class Survey:
    """All unfinished work, divided into available and blocked."""

    available: tuple[Unfinished, ...]
    blocked: tuple[Blocked, ...]
    unstarted: tuple[str, ...]  # ids of batches whose workflow was never started

    @property
    def batches(self) -> list[str]:
        """The ids of the batches in the available work."""
        parents = [w.parent or w.workflow_id for w in self.available if w.publisher is not None]
        return list(dict.fromkeys([*parents, *self.unstarted]))

    @property
    def roots(self) -> list[str]:
        """The ids of the workflows that no other available workflow waits for.

        They end last. Most are batches; a cancelled batch does not wait for its messages.
        """
        ids = {each.workflow_id for each in self.available}
        mine = [w.workflow_id for w in self.available if w.publisher and w.parent not in ids]
        return [*mine, *self.unstarted]

    @property
    def next_steps(self) -> list[str]:
        """The next steps that take up this work, the most effective first."""
        mine = [] if self.is_empty else ["resumectl resume"]
        return list(dict.fromkeys([*mine, *(each.next_step for each in self.blocked)]))

    @property
    def is_empty(self) -> bool:
        """Whether this process can take up nothing."""
        return not self.available and not self.unstarted


def survey(view: View, settings: Settings) -> Survey:
    """Return all unfinished work, and take up none."""
    connection = view.connection
    unstarted = tuple(records.unstarted_batches(connection, settings))
    if not has_dbos_tables(connection, settings):
        return Survey((), (), unstarted)
    found = workflows.unfinished(connection, settings)
    held = {each.executor for each in found if each.executor and view.is_held(each.executor)}
    available, blocked = divide(found, held, settings.app_version)
    return Survey(tuple(available), tuple(blocked), unstarted)


def divide(
    found: Sequence[Unfinished], held: set[str], app_version: str
) -> tuple[list[Unfinished], list[Blocked]]:
    """Divide unfinished workflows into available and blocked ones. Pure.

    Args:
        found: All unfinished workflows.
        held: Executor ids that running processes hold.
        app_version: Application version of this process.
    """
    by_id = {each.workflow_id: each for each in found}
    available: list[Unfinished] = []
    blocked: list[Blocked] = []
    for workflow in found:
        holder = _running_holder(workflow, by_id, held)
        if workflow.app_version not in (app_version, None):
            blocked.append(
                Blocked(
                    workflow,
                    f"of application version {workflow.app_version}",
                    f"resumectl resume --app-version {workflow.app_version}",
                )
            )
        elif holder is not None:
            blocked.append(
                Blocked(
                    workflow,
                    f"of the running executor {holder}",
                    "wait for it, or end that process; then  resumectl resume",
                )
            )
        else:
            available.append(workflow)
    return available, blocked


def _running_holder(
    workflow: Unfinished, by_id: dict[str, Unfinished], held: set[str]
) -> str | None:
    """Return the running executor of a workflow, or of the batch that it is part of."""
    if workflow.status == "PENDING":
        return workflow.executor if workflow.executor in held else None
    parent = by_id.get(workflow.parent or "")
    return _running_holder(parent, by_id, held) if parent else None
