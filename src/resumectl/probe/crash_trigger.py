"""Count the transitions that a crash matches, and end the process at the crash point.

Knows neither statements nor databases. The caller makes sure that nothing else is committed between
a matching commit and the kill.
"""

import os
import signal
import threading
from collections.abc import Callable, Sequence
from typing import NoReturn

from resumectl.model.crash_plan import EXIT_STATUS, Crash, Edge, KillMethod
from resumectl.probe.sql_facts import Fact


def _unchanged(transition: str) -> str:
    return transition


class CrashTrigger:
    """Ends this process at one crash point, or pauses it there.

    Args:
        crash: Crash point and kill method.
        note: Records the crash point, as in `after:alpha-1-7/step-1`, before the kill; must be one
            system call on a descriptor that is already open.
        pause: Function to call at the crash point instead of ending the process; None to end it.
        named: Function that returns the name that plans have for a transition.
    """

    def __init__(
        self,
        crash: Crash,
        note: Callable[[str], None],
        pause: Callable[[], None] | None = None,
        named: Callable[[str], str] = _unchanged,
    ) -> None:
        self.crash = crash
        self._note = note
        self._pause = pause
        self._named = named
        self._has_paused = False
        self._matched = 0

    def matching(self, facts: Sequence[Fact]) -> list[Fact]:
        """Return the facts that the crash matches."""
        covers = self.crash.at.covers
        return [fact for fact in facts if covers(self._named(fact.name))]

    def fire_if_due(self, edge: Edge, matching: Sequence[Fact]) -> None:
        """End or pause the process if the crash is at this edge of one of these facts.

        Args:
            edge: Side of the commit.
            matching: Facts of the commit that the crash matches.
        """
        self._fire_at(edge, [self._named(fact.name) for fact in matching])

    def pause_in_step(self, transition: str) -> None:
        """Pause at the end of a step's body, if the pause is before the commit of its record.

        Later, in the transaction, a database such as SQLite lets no other thread write meanwhile.

        Args:
            transition: Name of the transition that the record makes durable.
        """
        named = self._named(transition)
        if self._pause is not None and self.crash.at.covers(named):
            self._fire_at(Edge.BEFORE, [named])

    def _fire_at(self, edge: Edge, transitions: Sequence[str]) -> None:
        index = self.crash.at.n - 1 - self._matched
        if self._has_paused or self.crash.edge is not edge or not 0 <= index < len(transitions):
            return
        self._note(f"{edge}:{transitions[index]}")
        if self._pause is None:
            end_process(self.crash.method)
        self._has_paused = True
        self._pause()

    def count(self, matching: Sequence[Fact]) -> None:
        """Count facts that the crash matches and that have just been committed."""
        self._matched += len(matching)


def end_process(method: KillMethod) -> NoReturn:
    """End this process; nothing in this thread runs afterwards.

    Args:
        method: Method that ends the process.
    """
    if method is KillMethod.EXIT:
        os._exit(EXIT_STATUS)
    if method is KillMethod.TERM:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        os.kill(os.getpid(), signal.SIGTERM)
    else:
        os.kill(os.getpid(), signal.SIGKILL)
    # The signal is on its way, but this thread may still be scheduled once more. Without blocking
    # here, it has been observed to send the COMMIT that the kill was to precede.
    while True:
        threading.Event().wait()
