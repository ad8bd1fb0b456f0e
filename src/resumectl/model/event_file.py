"""Read and format the file in which a target process records its events, one line of JSON each."""

import json
import os

from resumectl.model.codec import SchemaError, any_of, to_json
from resumectl.model.events import EVENTS, Event


def line_of(event: Event) -> bytes:
    """Return an event as one line of an event file."""
    return to_json(event).encode() + b"\n"


def read_events(path: str | os.PathLike[str]) -> tuple[Event, ...]:
    """Read an event file, whose last line the kill may have cut off.

    Args:
        path: Path of the file.

    Returns:
        The events; none if there is no file.

    Raises:
        SchemaError: A line is no event of this schema.
    """
    events = []
    try:
        with open(path, "rb") as lines:  # noqa: PTH123 (also of a path that is text)
            for number, line in enumerate(lines, start=1):
                if line.endswith(b"\n"):
                    events.append(_event_in(line, number))
    except FileNotFoundError:
        return ()
    return tuple(events)


def _event_in(line: bytes, number: int) -> Event:
    try:
        event: Event = any_of(EVENTS, json.loads(line))
    except ValueError as error:  # SchemaError, JSONDecodeError
        raise SchemaError(f"event {number}: {error}") from None
    return event
