"""Name the workflows of sweeps, and recognise them."""

import re
from collections.abc import Sequence

# No batch can have such an id: the name of a publisher contains no colon.
PREFIX = "sweep:"
_WORKFLOW_ID = re.compile(rf"({PREFIX}(\d+))(-\d+)*")


def workflow_id_of(sweep_id: int) -> str:
    """Return the id of a sweep's workflow, which is also the name of its queue."""
    return f"{PREFIX}{sweep_id}"


def sweep_ids(workflow_ids: Sequence[str]) -> list[int]:
    """Return the numbers of the sweeps of workflows."""
    found = map(_WORKFLOW_ID.fullmatch, workflow_ids)
    return sorted({int(each[2]) for each in found if each})


def queue_of(workflow_id: str) -> str | None:
    """Return the queue of a sweep's workflow; None for any other workflow."""
    found = _WORKFLOW_ID.fullmatch(workflow_id)
    return found[1] if found else None
