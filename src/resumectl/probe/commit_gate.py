"""Let commits pass while no other thread is about to kill the process, and limit how many start.

Knows only threads and counts, neither statements nor databases.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from resumectl.probe import pace

PATIENCE_S = 1.0


class _Door:
    """State of a gate: shut while one thread passes alone."""

    __slots__ = ("changed", "is_shut", "lock")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.is_shut = False


class _Passage:
    """Context of the threads that pass the gate at the same time; entering it is cheap."""

    __slots__ = ("_door", "inside")

    def __init__(self, door: _Door) -> None:
        self._door = door
        self.inside = 0

    def __enter__(self) -> None:
        door = self._door
        with door.lock:  # the condition's own lock, without the condition's wrapper calls
            while door.is_shut:
                door.changed.wait()
            self.inside += 1

    def __exit__(self, *_error: object) -> None:
        door = self._door
        with door.lock:
            self.inside -= 1
            if door.is_shut:
                door.changed.notify_all()


class Gate:
    """Gate that commits pass together, and that a commit which the crash matches passes alone.

    Between such a commit and the kill nothing else becomes durable.

    A commit waits for no lock of the database, so no thread in the gate waits for a thread outside.
    An autocommitting statement is in the gate from its start to its end. It may wait for a lock, perhaps
    for one of the transaction that is to pass alone. That transaction waits for such statements for at
    most `PATIENCE_S` seconds, or longer on a slow machine. A statement that has not returned by then
    waits for a lock. It cannot become durable before the transaction that holds the lock has ended.

    Attributes:
        commits: Context for a commit, or for anything that must not happen between commit and kill.
        statements: Context for an autocommitting statement.
    """

    def __init__(self) -> None:
        self._door = _Door()
        self.commits = _Passage(self._door)
        self.statements = _Passage(self._door)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Enter the gate alone: after all threads in it have left, and before any other enters."""
        changed = self._door.changed
        with changed:
            changed.wait_for(lambda: not self._door.is_shut)
            self._door.is_shut = True
            changed.wait_for(lambda: not self.commits.inside)
            changed.wait_for(lambda: not self.statements.inside, timeout=pace.stretched(PATIENCE_S))
        try:
            yield
        finally:
            with changed:
                self._door.is_shut = False
                changed.notify_all()


class Hold:
    """Limit for the number of transactions that start.

    Args:
        places: Maximum number of transactions.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._changed = threading.Condition()

    def take(self) -> None:
        """Take a place; wait until one is given back if none is free."""
        with self._changed:
            self._changed.wait_for(lambda: self._free)
            self._free -= 1

    def give_back(self, places: int) -> None:
        """Give back the places of a transaction that was rolled back."""
        with self._changed:
            self._free += places
            self._changed.notify_all()
