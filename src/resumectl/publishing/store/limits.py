"""Check names, ids and concurrency that a user gives. Pure."""

import re

from resumectl.errors import Refusal

# More messages in progress would wait for DBOS's 20 connections and fail after 30 s (seen in
# DBOS 3.4.0 with 300 messages on an unlimited queue).
CONCURRENCY_MAX = 16
DEFAULT_CONCURRENCY = 10  # messages in progress at a time, in each process

_NAME = re.compile(r"[a-z0-9._-]{1,64}")
# An id is a name with room for the number of its batch.
_ID = re.compile(r"[a-z0-9._-]{1,80}")


def checked_name(name: str) -> str:
    """Return the name if it is allowed for a publisher, and refuse it otherwise."""
    if not _NAME.fullmatch(name):
        raise Refusal(
            f"the name {name[:80]!r} is not 1 to 64 of  a-z 0-9 . _ -",
            next_step="choose another, as in  --name alpha",
        )
    return name


def checked_id(batch_id: str) -> str:
    """Return the id if it is allowed for a batch, and refuse it otherwise."""
    if not _ID.fullmatch(batch_id):
        raise Refusal(
            f"the id {batch_id[:100]!r} is not 1 to 80 of  a-z 0-9 . _ -",
            next_step="choose another, as in  --id alpha-1",
        )
    return batch_id


def checked_concurrency(concurrency: int | None) -> int | None:
    """Return the concurrency if a process has enough connections, and refuse it otherwise."""
    if concurrency is not None and not 1 <= concurrency <= CONCURRENCY_MAX:
        raise Refusal(
            f"the concurrency {concurrency} is not 1 to {CONCURRENCY_MAX}",
            next_step="as in  --concurrency 10",
        )
    return concurrency
