"""Hold the client of a control run back until nothing else makes progress, as a late client does.

A control run is a run without a crash in which the clock is set ahead, as after a crash. In a trial,
waits for the clock end as soon as the next process starts, and the client may call later. Without
a hold, the two would race in the control run, and its outcome would be random.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class ClientHold:
    """Makes the client's thread wait before each of its writes, except the first.

    Before the first commit there is no workflow that could make progress meanwhile.

    Args:
        wait_for_silence: Function that waits until nothing has been committed for a while.
    """

    def __init__(self, wait_for_silence: Callable[[], None]) -> None:
        self._wait_for_silence = wait_for_silence
        self._has_begun = False
        self._time_goes_on = threading.Event()
        self._time_goes_on.set()

    @contextmanager
    def while_time_passes(self) -> Iterator[None]:
        """Enter this context while time passes: the client does not write during that pause."""
        self._time_goes_on.clear()
        try:
            yield
        finally:
            self._time_goes_on.set()

    def begin(self) -> None:
        """Hold the client from now on: something is committed."""
        self._has_begun = True

    def before_write(self) -> None:
        """Wait if this is the client's thread; other threads write at once."""
        if not self._has_begun or threading.current_thread() is not threading.main_thread():
            return
        while True:
            self._wait_for_silence()
            if self._time_goes_on.is_set():
                return
            self._time_goes_on.wait()
