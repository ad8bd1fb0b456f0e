"""Who may commit while another thread is on its way to the blow, and how many may begin.

Threads and counts, no more: knows neither statements nor databases.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE_S = 1.0


class Gate:
    """Commits pass beside each other; one that the plan's pattern covers passes alone.

    Between such a commit and the blow nothing else becomes durable.

    A commit waits for no lock of the database, so no thread that passes with one waits for
    a thread outside. A statement that a server commits by itself passes as a whole, and may wait
    for a lock: perhaps that of the very transaction that is to pass alone. So that one waits for
    such statements for `PATIENCE_S` seconds at most. What has not come back by then is stopped
    by a lock, and cannot become durable before the transaction that holds it has ended.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._commits = 0
        self._statements = 0
        self._is_alone = False

    def enter(self, *, may_wait_for_lock: bool) -> None:
        """Wait until nobody passes alone, and pass; `leave` must follow.

        Args:
            may_wait_for_lock: With a statement that the server commits, not with a commit.
        """
        with self._lock:  # the condition's own, without the calls that it puts around it
            while self._is_alone:
                self._changed.wait()
            if may_wait_for_lock:
                self._statements += 1
            else:
                self._commits += 1

    def leave(self, *, may_wait_for_lock: bool) -> None:
        """Be through; with the argument that one has entered with."""
        with self._lock:
            if may_wait_for_lock:
                self._statements -= 1
            else:
                self._commits -= 1
            if self._is_alone:
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Pass alone: when everybody who is in the gate has left it, and before anybody else."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_alone)
            self._is_alone = True
            self._changed.wait_for(lambda: not self._commits)
            self._changed.wait_for(lambda: not self._statements, timeout=PATIENCE_S)
        try:
            yield
        finally:
            with self._changed:
                self._is_alone = False
                self._changed.notify_all()


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
