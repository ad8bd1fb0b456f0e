"""Append events to the event file, which outlives this process.

Each event is one `os.write` to an open descriptor, so a SIGKILL loses no written event. Knows neither
DBOS nor SQL.
"""

import os

from resumectl.model.event_file import line_of
from resumectl.model.events import Event
from resumectl.model.process_exit import DISK_FULL


class EventLog:
    """Event file of this process; the process ends if an event cannot be written.

    Args:
        descriptor: Descriptor of a file that is open for appending.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, event: Event) -> None:
        """Append one event."""
        line = line_of(event)
        try:
            is_whole = os.write(self._descriptor, line) == len(line)
        except OSError:
            is_whole = False
        if not is_whole:
            os._exit(DISK_FULL)


def open_event_log(path: str) -> EventLog:
    """Open an event file for appending; create it if it does not exist.

    Args:
        path: Path of the file.
    """
    return EventLog(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
