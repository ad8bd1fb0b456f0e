"""Decide whether a process can do no more for its workflows.

Pure: a function of what the process executes, serves and waits for at one instant.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from resumectl.model.snapshot import UnfinishedRow

# A waiter: a workflow by its id, or the client.
CLIENT = None
Wait = tuple[str | None, str]


@dataclass(frozen=True, slots=True)
class Standing:
    """State of one process at one instant.

    Attributes:
        unfinished: The workflows that have not ended, by id.
        missing: Ids that the client or a workflow waits for, and that no workflow has.
        executing: Ids of the workflows that this process executes.
        served: Names of the queues that this process takes work from.
        version: The application version of this process.
        waits: Pairs of a waiting workflow, or the client, and the workflow whose result it awaits.
        has_answer: Whether the client's request has returned.
        paused: Workflows, and perhaps the client, that sleep or wait for a message or an event until
            after the time limit.
        has_own_thread: Whether a thread of the program's own is alive, which may act at any time.
    """

    unfinished: Mapping[str, UnfinishedRow]
    missing: Collection[str]
    executing: Collection[str]
    served: Collection[str]
    version: str
    waits: Collection[Wait]
    has_answer: bool
    paused: Collection[str | None]
    has_own_thread: bool


def stranded(now: Standing) -> frozenset[str]:
    """Return the unfinished workflows that nothing in this process will ever execute.

    DBOS 3.4.0 looks for PENDING workflows once, at launch. A process takes ENQUEUED ones from the
    queues that it serves, and those of another application version from none.
    """
    return frozenset(
        workflow_id
        for workflow_id, row in now.unfinished.items()
        if workflow_id not in now.executing
        and (
            row.status == "PENDING"
            or (
                row.status == "ENQUEUED"
                and (row.queue not in now.served or row.version not in (None, now.version))
            )
        )
    )


def can_do_no_more(now: Standing) -> bool:
    """Return whether all that is unfinished is stranded, or waits for what is stranded or missing.

    A workflow that is paused until after the time limit counts as well: nothing will wake it.
    """
    if now.has_own_thread:
        return False
    blocked_for_good: set[str | None] = {*stranded(now), *now.missing, *now.paused}
    if not blocked_for_good:
        return False
    while (
        blocked := {waiter for waiter, awaited in now.waits if awaited in blocked_for_good}
        - blocked_for_good
    ):
        blocked_for_good |= blocked
    return blocked_for_good.issuperset(now.unfinished) and (
        now.has_answer or CLIENT in blocked_for_good
    )
