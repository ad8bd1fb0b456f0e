"""One line that says what a command is doing: on standard error, and only on a terminal.

Shown from the command's first moment, before what it needs is imported, and gone when it ends.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TimeElapsedColumn
from rich.text import Text

from resumectl.report.console import console
from resumectl.text import literal

Said = Callable[[], str]
_REFRESH_PER_S = 4


class _What(ProgressColumn):
    """Asks again at each refresh: what is being done may change by itself."""

    def render(self, task: Task) -> Text:
        return Text(literal(task.fields["said"]()), no_wrap=True, overflow="ellipsis")


class Activity:
    """What a command is doing; without a line, says nothing."""

    def __init__(self, line: Progress | None) -> None:
        self._line = line
        self._task: TaskID | None = None
        if line is not None:
            self._task = line.add_task("", total=None, said=lambda: "starting")

    def say(self, said: str | Said) -> None:
        """Say what is being done from now on.

        Args:
            said: A text, or a function that returns it and is asked several times a second.
        """
        if self._line is not None and self._task is not None:
            what = said if callable(said) else lambda: said
            self._line.update(self._task, said=what, refresh=True)

    def stop(self) -> None:
        """Take the line away, as a progress bar is to take its place."""
        if self._line is not None:
            self._line.stop()


@contextmanager
def activity(*, hidden: bool = False) -> Iterator[Activity]:
    """Show a line until the end of the block.

    Args:
        hidden: Show none, as when log lines run over the same terminal.
    """
    target = console(stderr=True)
    if hidden or not target.is_terminal:
        yield Activity(None)
        return
    columns = (SpinnerColumn("line"), _What(), TimeElapsedColumn())
    with Progress(
        *columns, console=target, transient=True, refresh_per_second=_REFRESH_PER_S
    ) as line:
        yield Activity(line)
