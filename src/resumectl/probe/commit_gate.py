"""Let commits pass while no other thread is about to kill the process, and limit how many begin.

Threads and counts, no more: knows neither statements nor databases.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from resumectl.probe import pace

PATIENCE_S = 1.0


class _Door:
    """The state of a gate: shut while one thread passes alone."""

    __slots__ = ("changed", "is_shut", "lock")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.is_shut = False


class _Passage:
    """Threads that are in the gate at the same time; entering it is cheap."""

    __slots__ = ("_door", "inside")

    def __init__(self, door: _Door) -> None:
        self._door = door
        self.inside = 0

    def __enter__(self) -> None:
        door = self._door
        with door.lock:  # the condition's own, without the calls that it puts around it
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
    """Commits pass at the same time; one that the crash matches passes alone.

    Between such a commit and the kill nothing else becomes durable.

    A commit waits for no lock of the database, so no thread in the gate waits for a thread outside.
    A statement that a server commits by itself is in the gate as a whole, and may wait for a lock:
    perhaps that of the very transaction that is to pass alone. That transaction waits for such
    statements for `PATIENCE_S` seconds at most, stretched where the machine is slow. A statement that
    has not come back by then waits for a lock, and cannot become durable before the transaction that
    holds it has ended.

    Attributes:
        commits: Context for a commit, or for anything that may not happen before a kill.
        statements: Context for a statement that the server commits by itself.
    """

    def __init__(self) -> None:
        self._door = _Door()
        self.commits = _Passage(self._door)
        self.statements = _Passage(self._door)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Pass alone: after all threads in the gate have left it, and before any other."""
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
    """Limits how many transactions begin.

    Args:
        places: Maximum number.
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
