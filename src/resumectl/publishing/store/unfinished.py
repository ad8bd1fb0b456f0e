"""Find the workflows that can still deliver, and their batches. Reads only.

The workflow of a batch starts one workflow for each message. These can outlive it: cancelling,
failing, dead-lettering or deleting a batch leaves them on the queue. A fork of a batch, or of a
message, delivers for that batch as well.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from resumectl.database import Snapshot, in_parts
from resumectl.publishing.store.dbos_tables import PUBLISHER_CLASS, has_not_ended, workflow_status
from resumectl.publishing.store.models import batches, deliveries, messages
from resumectl.publishing.store.state import PENDING, Active

_ws, _m = workflow_status.c, messages.c


@dataclass(frozen=True, slots=True)
class Origin:
    """The batch, or the message of a batch, that a workflow delivers."""

    batch_id: str
    message: int | None  # None: the whole batch
    is_fork: bool  # a fork, or started by one


def origins(connection: Snapshot, workflow_ids: Collection[str]) -> dict[str, Origin]:
    """Return the origin of each workflow, by its id; workflows of no batch are left out.

    The id alone does not tell: a fork can have any id.
    """
    known: set[str] = set()
    lineage: dict[str, tuple[str | None, str | None]] = {}
    frontier = set(workflow_ids)
    while frontier:
        for part in in_parts(sorted(frontier)):
            query = sa.select(batches.c.id).where(batches.c.id.in_(part))
            known.update(connection.scalars(query))
        frontier -= known
        above: set[str] = set()
        for part in in_parts(sorted(frontier)):
            rows = sa.select(_ws.workflow_uuid, _ws.parent_workflow_id, _ws.forked_from)
            for row in connection.execute(rows.where(_ws.workflow_uuid.in_(part))):
                lineage[row.workflow_uuid] = row.parent_workflow_id, row.forked_from
                above.update(filter(None, (row.parent_workflow_id, row.forked_from)))
        frontier = above - known - lineage.keys()

    def origin(workflow_id: str) -> Origin | None:
        if workflow_id in known:
            return Origin(workflow_id, None, is_fork=False)
        parent, forked_from = lineage.get(workflow_id, (None, None))
        if parent is not None:
            above = origin(parent)
            number = workflow_id.removeprefix(f"{parent}-")
            if above is None or not number.isdigit():
                return None
            return Origin(above.batch_id, int(number), above.is_fork)
        if forked_from is not None:
            above = origin(forked_from)
            return above and Origin(above.batch_id, above.message, is_fork=True)
        return None

    found = ((each, origin(each)) for each in workflow_ids)
    return {each: it for each, it in found if it is not None}


def active_workflows(connection: Snapshot) -> dict[str, Active]:
    """Return the unfinished workflows of each batch that has any, by batch id."""
    parent = _ws.parent_workflow_id
    # One pass: children are counted by parent, and roots are listed.
    root = sa.case((parent.is_(None), _ws.workflow_uuid))
    query = (
        sa.select(parent, root, sa.func.count())
        .where(has_not_ended(), _ws.class_name == PUBLISHER_CLASS)
        .group_by(parent, root)
    )
    below: dict[str, int] = {}
    roots: set[str] = set()
    for parent_id, root_id, count in connection.execute(query):
        if parent_id is None:
            roots.add(root_id)
        else:
            below[parent_id] = int(count)
    found: defaultdict[str, Active] = defaultdict(Active)
    for workflow_id, origin in origins(connection, {*below, *roots}).items():
        found[origin.batch_id] += Active(
            workflows=below.get(workflow_id, 0) + (workflow_id in roots),
            children=below.get(origin.batch_id, 0) if workflow_id == origin.batch_id else 0,
            may_deliver_any=origin.is_fork and origin.message is None,
            forked_messages=frozenset() if origin.message is None else {origin.message},
        )
    return dict(found)


def undelivered(
    connection: Snapshot, batch_ids: Sequence[str], active: Mapping[str, Active]
) -> dict[str, dict[str | None, int]]:
    """Count undelivered messages, by batch and by the status of the workflow of the message.

    It costs some index look-ups for each message: call it for incomplete batches only.

    Args:
        connection: Connection to a database with DBOS's tables, in a snapshot.
        batch_ids: Ids of the batches.
        active: Unfinished workflows of each batch, by batch id.
    """
    found: dict[str, dict[str | None, int]] = {each: {} for each in batch_ids}
    for part in in_parts(batch_ids):
        query = _left().add_columns(sa.func.count()).where(_m.batch_id.in_(part))
        for batch_id, status, count in connection.execute(query.group_by(_m.batch_id, _ws.status)):
            found[batch_id][status] = int(count)
    for batch_id in found:
        forked = active.get(batch_id, Active()).forked_messages
        if forked:
            query = _left().where(_m.batch_id == batch_id, _m.number.in_(forked))
            for _, status in connection.execute(query):
                found[batch_id][status] -= 1
                found[batch_id][PENDING] = found[batch_id].get(PENDING, 0) + 1
    return found


def _left() -> sa.Select[Any]:
    """Return the query for batch and workflow status of each undelivered message."""
    own_id = _m.batch_id + "-" + sa.cast(_m.number, sa.Text)
    is_delivered = sa.exists().where(
        deliveries.c.batch_id == _m.batch_id, deliveries.c.message_number == _m.number
    )
    return (
        sa.select(_m.batch_id, _ws.status)
        .select_from(messages.outerjoin(workflow_status, _ws.workflow_uuid == own_id))
        .where(~is_delivered)
    )
