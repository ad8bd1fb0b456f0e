"""Who may commit while another thread is on its way to the blow, and how many may begin.

Threads and counts, no more: knows neither statements nor databases.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from resumectl.probe import pace

PATIENCE_S = 1.0


class _Door:
    """Of the gate: shut while one passes alone."""

    __slots__ = ("changed", "is_shut", "lock")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.is_shut = False


class _Passage:
    """Threads that are in the gate beside each other; a `with` passes, and costs little."""

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
    """Commits pass beside each other; one that the plan's pattern covers passes alone.

    Between such a commit and the blow nothing else becomes durable.

    A commit waits for no lock of the database, so no thread that passes with one waits for
    a thread outside. A statement that a server commits by itself passes as a whole, and may wait
    for a lock: perhaps that of the very transaction that is to pass alone. So that one waits for
    such statements for `PATIENCE_S` seconds at most, stretched where the machine is slow. What has not come back by then is stopped
    by a lock, and cannot become durable before the transaction that holds it has ended.

    Attributes:
        commits: For a `with`: pass with a commit, or with what may not fall before a blow.
        statements: The same, with a statement that the server commits by itself.
    """

    def __init__(self) -> None:
        self._door = _Door()
        self.commits = _Passage(self._door)
        self.statements = _Passage(self._door)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Pass alone: when everybody who is in the gate has left it, and before anybody else."""
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
    """Lets so many begin, and no more.

    Args:
        places: How many.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._changed = threading.Condition()

    def take(self) -> None:
        """Take a place; wait for one that is given back if there is none, for ever if need be."""
        with self._changed:
            self._changed.wait_for(lambda: self._free)
            self._free -= 1

    def give_back(self, places: int) -> None:
        """What began has come to nothing."""
        with self._changed:
            self._free += places
            self._changed.notify_all()
