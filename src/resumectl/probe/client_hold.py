"""Let the client of a control run act only when nothing goes on without it, as a late client does.

In a trial, what waits for the clock ends as soon as its process is back, and the client may ask
later. Without a hold, the two would race in the control run, and its outcome would be luck.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class ClientHold:
    """Has the client's thread wait before each of its writes.

    Args:
        wait_for_silence: Waits until nothing has been committed for a while.
    """

    def __init__(self, wait_for_silence: Callable[[], None]) -> None:
        self._wait_for_silence = wait_for_silence
        self._time_goes_on = threading.Event()
        self._time_goes_on.set()

    @contextmanager
    def while_time_passes(self) -> Iterator[None]:
        """Enter where time passes: the silence of that pause is not one in which the client acts."""
        self._time_goes_on.clear()
        try:
            yield
        finally:
            self._time_goes_on.set()

    def before_write(self) -> None:
        """Wait, if this is the client's thread; the others write when they like."""
        if threading.current_thread() is not threading.main_thread():
            return
        while True:
            self._wait_for_silence()
            if self._time_goes_on.is_set():
                return
            self._time_goes_on.wait()
