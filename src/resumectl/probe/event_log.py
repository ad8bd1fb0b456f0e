"""The record of one life: what happened, line by line, in a file that outlives the process.

One `os.write` an event to a descriptor that is open already: what was written is there after
a SIGKILL. Knows nothing of DBOS, and nothing of SQL.
"""

import json
import os
import time
from typing import Any

# How a life ends whose disk is full: what it would show is the disk's doing, and proves nothing.
DISK_FULL_STATUS = 71


class Recorder:
    """Appends events to the record; a life whose events cannot be recorded is at its end.

    Args:
        descriptor: Of a file that is open for appending.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, kind: str, **fields: Any) -> None:
        """Record one event: its kind, the time in microseconds, and what belongs to it."""
        event = {"kind": kind, "at_us": time.monotonic_ns() // 1000, **fields}
        line = json.dumps(event, default=shown).encode() + b"\n"
        try:
            is_whole = os.write(self._descriptor, line) == len(line)
        except OSError:
            is_whole = False
        if not is_whole:
            os._exit(DISK_FULL_STATUS)


def shown(value: object) -> str:
    """A value that JSON does not know, as text that is the same in every process."""
    if isinstance(value, set | frozenset):
        return f"{type(value).__name__}({sorted(map(repr, value))})"
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 (the program's own, and no reason to end it)
        return f"<{type(value).__name__}>"
    # The address that Python's own repr ends in differs from process to process.
    return text.partition(" at 0x")[0] + ">" if " at 0x" in text else text


def read(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The events of a record, the last of which may have been cut off by the death."""
    events = []
    with open(path, "rb") as lines:  # noqa: PTH123 (also of a path that is text)
        for line in lines:
            if line.endswith(b"\n"):
                events.append(json.loads(line))
    return events
