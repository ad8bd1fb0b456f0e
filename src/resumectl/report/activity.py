"""Show what a command is doing, on one line of standard error, and only on a terminal.

The line appears before the command's own imports, and disappears when the command ends.
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
    """A column that asks for its text again at each refresh."""

    def render(self, task: Task) -> Text:
        return Text(literal(task.fields["said"]()), no_wrap=True, overflow="ellipsis")


class Activity:
    """The line that shows what a command is doing; without a terminal it shows nothing."""

    def __init__(self, line: Progress | None) -> None:
        self._line = line
        self._task: TaskID | None = None
        if line is not None:
            self._task = line.add_task("", total=None, said=lambda: "starting")

    def say(self, said: str | Said) -> None:
        """Show another text.

        Args:
            said: The text, or a function that returns it and is called at each refresh.
        """
        if self._line is not None and self._task is not None:
            what = said if callable(said) else lambda: said
            self._line.update(self._task, said=what, refresh=True)

    def stop(self) -> None:
        """Remove the line, for example before a progress bar."""
        if self._line is not None:
            self._line.stop()


@contextmanager
def activity(*, hidden: bool = False) -> Iterator[Activity]:
    """Show a line until the end of the block.

    Args:
        hidden: Show no line, for example if log lines go to the same terminal.
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
