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
    """Unfinished work that this process may not take."""

    workflow: Unfinished
    reason: str
    next_step: str


@dataclass(frozen=True, slots=True)
class Survey:
    """All unfinished work, divided."""

    available: tuple[Unfinished, ...]
    blocked: tuple[Blocked, ...]
    unstarted: tuple[str, ...]  # ids of batches whose workflow was never started

    @property
    def batches(self) -> list[str]:
        """The batches among what is available, each once."""
        parents = [w.parent or w.workflow_id for w in self.available if w.publisher is not None]
        return list(dict.fromkeys([*parents, *self.unstarted]))

    @property
    def roots(self) -> list[str]:
        """Return what ends last: the workflows that no other one of these waits for.

        That is a batch, mostly; but a batch that was cancelled does not wait for its messages.
        """
        ids = {each.workflow_id for each in self.available}
        mine = [w.workflow_id for w in self.available if w.publisher and w.parent not in ids]
        return [*mine, *self.unstarted]

    @property
    def next_steps(self) -> list[str]:
        """Return what takes this work up, the way that takes up most of it first."""
        mine = [] if self.is_empty else ["resumectl resume"]
        return list(dict.fromkeys([*mine, *(each.next_step for each in self.blocked)]))

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing that this process could take up."""
        return not self.available and not self.unstarted


def survey(view: View, settings: Settings) -> Survey:
    """Look at all unfinished work, and take none of it."""
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
    """Divide unfinished work into what is available and what is not. Pure.

    Args:
        found: All of it.
        held: Executor ids that running processes hold.
        app_version: Of the process that asks.
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
