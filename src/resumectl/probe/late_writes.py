"""Hold back in a control run what would come late after an outage: the client, and work in progress.

A control run is a run without a crash in which the clock is set ahead, as after a crash. In a trial,
waits for the clock end as soon as the next process starts. The client may call later, and a step that
was running begins again. Without a hold, these would race with the ended waits in the control run, and
its outcome would be random.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from resumectl.probe.execution_context import here, is_client_here


class LateWrites:
    """Makes writes wait until nothing else makes progress.

    The client waits before each of its writes, except the first: before the first commit there is no
    workflow that could make progress meanwhile. A workflow that is running while time passes waits
    before its next write. One that waits in DBOS at that time does not.

    Args:
        wait_for_silence: Function that waits until nothing has been committed for a while.
    """

    def __init__(self, wait_for_silence: Callable[[], None]) -> None:
        self._wait_for_silence = wait_for_silence
        self._has_begun = False
        self._at_work: set[str] = set()  # workflows that have written, or begun a step
        self._late: set[str] = set()
        self._time_goes_on = threading.Event()
        self._time_goes_on.set()

    @contextmanager
    def while_time_passes(self) -> Iterator[None]:
        """Enter this context while time passes: nothing late is written during that pause."""
        own, _ = here()
        self._late = self._at_work - {own}
        self._time_goes_on.clear()
        try:
            yield
        finally:
            self._time_goes_on.set()

    def begin(self) -> None:
        """Hold the client from now on: something is committed."""
        self._has_begun = True

    def work_begins(self) -> None:
        """Note that this workflow, if it is one, begins a step or writes."""
        workflow, _ = here()
        if workflow is not None:
            self._at_work.add(workflow)

    def wait_has_ended(self) -> None:
        """Let this workflow write at once: it waited in DBOS while time passed."""
        workflow, _ = here()
        self._late.discard(workflow or "")

    def before_write(self) -> None:
        """Wait if the write comes late; else return at once."""
        workflow, _ = here()
        if workflow in self._late:
            self._wait_for_others()
            self._late.clear()
        elif self._has_begun and is_client_here():
            self._wait_for_others()
        self.work_begins()

    def _wait_for_others(self) -> None:
        while True:
            self._wait_for_silence()
            if self._time_goes_on.is_set():
                return
            self._time_goes_on.wait()
