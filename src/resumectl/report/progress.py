"""The progress bar of the commands that wait: on standard error, and only on a terminal."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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

from resumectl.publishing.state import Counts
from resumectl.report.console import console

# Counting costs a query; often enough for the eye.
_LOOK_EVERY_S = 0.2


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.0f}/s" if speed else "")


class Progress:
    """Keeps a bar in step with what is counted; without a bar, does nothing."""

    def __init__(self, bar: Bar | None, look: Callable[[], Counts]) -> None:
        self._bar = bar
        self._look = look
        self._task: TaskID | None = None
        self._looked_at = 0.0

    def poll(self, _statuses: object = None) -> None:
        """Look again, if it is time."""
        now = time.monotonic()
        if self._bar is None or now - self._looked_at < _LOOK_EVERY_S:
            return
        self._looked_at = now
        self.look()

    def look(self) -> None:
        """Look now."""
        if self._bar is None:
            return
        counts = self._look()
        done = counts.delivered + counts.missing
        if self._task is None:
            self._task = self._bar.add_task("delivering", total=counts.expected, completed=done)
        self._bar.update(self._task, total=counts.expected, completed=done)


@contextmanager
def progress_bar(look: Callable[[], Counts], *, hidden: bool = False) -> Iterator[Progress]:
    """A bar with rate and time left, gone when the work is done.

    Args:
        look: Counts the messages that are waited for.
        hidden: Show none, as when log lines run over the same terminal.
    """
    target = console(stderr=True)
    if hidden or not target.is_terminal:
        yield Progress(None, look)
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Bar(*columns, console=target, transient=True) as bar:
        progress = Progress(bar, look)
        yield progress
        progress.look()
