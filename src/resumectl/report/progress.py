"""Show progress bars of commands that wait, on standard error, and only on a terminal."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar
from rich.text import Text

from resumectl.report.console import console
from resumectl.text import literal

# Each count costs a query; this is often enough for the eye.
_LOOK_EVERY_S = 0.2


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.0f}/s" if speed else "")


_COLUMNS = (
    TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(),
    TimeRemainingColumn(),
)  # fmt: skip


class WorkDone(NamedTuple):
    """The progress of some work."""

    said: str
    done: int
    total: int


ReadWorkDone = Callable[[], WorkDone]


class Progress:
    """The progress bars of a command; without bars it does nothing."""

    def __init__(self, bars: Bar | None, looks: Sequence[ReadWorkDone]) -> None:
        self._bars = bars
        self._looks = looks
        self._tasks: dict[ReadWorkDone, TaskID] = {}
        self._looked_at = 0.0

    def poll(self, _statuses: object = None) -> None:
        """Update the bars if the interval has passed."""
        now = time.monotonic()
        if self._bars is None or now - self._looked_at < _LOOK_EVERY_S:
            return
        self._looked_at = now
        self.look()

    def look(self) -> None:
        """Update the bars."""
        if self._bars is None:
            return
        for each in self._looks:
            seen = each()
            said = literal(seen.said)
            if each not in self._tasks:
                # The rate of this process: work that was done before does not count.
                self._tasks[each] = self._bars.add_task(said, total=seen.total, completed=seen.done)
            self._bars.update(
                self._tasks[each], description=said, total=seen.total, completed=seen.done
            )


@contextmanager
def progress_bar(looks: Sequence[ReadWorkDone], *, hidden: bool = False) -> Iterator[Progress]:
    """Show bars with rate and time left, until the end of the block.

    Args:
        looks: Functions that return the progress, one for each bar.
        hidden: Show no bar, for example if log lines go to the same terminal.
    """
    target = console(stderr=True)
    if hidden or not target.is_terminal:
        yield Progress(None, looks)
        return
    with Bar(*_COLUMNS, console=target, transient=True) as bars:
        progress = Progress(bars, looks)
        progress.look()  # before anything is done
        yield progress
        progress.look()
