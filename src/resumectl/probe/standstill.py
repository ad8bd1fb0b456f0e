"""Decide whether a process can do no more for its workflows.

Pure: a function of what the process executes, serves and waits for at one instant.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from resumectl.model.snapshot import UnfinishedRow

# Who waits: a workflow by its id, or the client.
CLIENT = None
Wait = tuple[str | None, str]


@dataclass(frozen=True, slots=True)
class Standing:
    """What one process does at one instant.

    Attributes:
        unfinished: The workflows that have not ended, by id.
        missing: Ids that somebody waits for, and that no workflow has.
        executing: Ids of the workflows that this process executes.
        served: Names of the queues that this process takes work from.
        version: The application version of this process.
        waits: Who waits for the result of which workflow.
        has_answer: Whether the client's request has returned.
        paused: Who sleeps, or waits for a message or an event, until after the time is up.
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

    Or it is paused until after the time is up: nobody is left to wake it.
    """
    if now.has_own_thread:
        return False
    dead_ends: set[str | None] = {*stranded(now), *now.missing, *now.paused}
    if not dead_ends:
        return False
    while blocked := {who for who, awaited in now.waits if awaited in dead_ends} - dead_ends:
        dead_ends |= blocked
    return dead_ends.issuperset(now.unfinished) and (now.has_answer or CLIENT in dead_ends)
