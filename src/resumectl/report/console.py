"""Rich tables on standard output, for people. Renders what it is given and opens nothing."""

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from resumectl.text import literal

STATUS_STYLES = {
    "SUCCESS": "green",
    "PENDING": "yellow",
    "ENQUEUED": "cyan",
    "DELAYED": "cyan",
    "NOT_STARTED": "cyan",
    "ERROR": "red",
    "CANCELLED": "magenta",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "red",
    "died": "red",
    "running": "green",
}
VERDICT_STYLES = {"KEPT": "bold green", "BROKEN": "bold red", "VOID": "bold yellow"}
# A pipe has no width: wide enough that rows stay on their lines, for grep.
_PIPE_WIDTH = 200


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    title: str
    justify: Literal["left", "right"] = "left"
    unfolded: int = 1  # characters that are not torn apart, as a date's


# As long as most plans and ids; a UUID is folded once.
_UNFOLDED = 30


def whole(title: str) -> Column:
    """A column of ids, which are searched for and copied, or of sentences."""
    return Column(title, unfolded=_UNFOLDED)


def right(title: str) -> Column:
    """A column of numbers."""
    return Column(title, "right")


# How a table is made to fit, the airiest first: the gap between columns, and how narrow a
# column may become before its texts are folded no further.
_LAYOUTS = ((2, 24), (2, 12), (0, 12), (0, 7))

Cell = str | int | Text | None
Row = Sequence[Cell]


def console(*, stderr: bool = False) -> Console:
    """A console that respects NO_COLOR, COLUMNS and pipes, and takes nothing for markup."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS") else _PIPE_WIDTH
    return Console(
        stderr=stderr,
        width=width,
        # NO_COLOR is taken at its word: no escape sequence at all, not even for bold.
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        markup=False,
        highlight=False,
        emoji=False,
    )


def show(*renderables: RenderableType, on: Console | None = None) -> None:
    """Print to standard output, one below the other, tables with a line between them."""
    target = on or console()
    for index, renderable in enumerate(renderables):
        if index and any(isinstance(each, Sheet) for each in renderables[index - 1 : index + 1]):
            target.print()
        # What is to be copied and typed is one line, however the terminal shows it.
        is_one_line = isinstance(renderable, Text) and renderable.no_wrap is True
        target.print(
            literal(renderable) if isinstance(renderable, str) else renderable,
            soft_wrap=is_one_line,
        )


def cell(value: Cell) -> Text:
    """The cell's text, literally; a zero is a dot, so that what matters stands out."""
    if isinstance(value, Text):
        return value
    if value is None:
        return Text("")
    if value == 0 and isinstance(value, int):
        return Text("·", style="dim")
    text = literal(value)
    return Text(text, style=STATUS_STYLES.get(text, ""))


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table that becomes a list of records where the terminal is too narrow for it.

    Folding goes as far as no heading is broken; beyond that every row is written as lines of
    "heading  value", so that no column is lost.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    footer: Row | None = None

    @property
    def _all_rows(self) -> list[Row]:
        return [*self.rows, *([self.footer] if self.footer else [])]

    def __rich_console__(self, target: Console, options: object) -> Iterable[RenderableType]:
        for gap, foldable_to in _LAYOUTS:
            # The box draws a line between two columns, and nothing at the edges.
            room = target.width - (gap + 1) * (len(self.columns) - 1) - gap
            widths = self._widths(room, foldable_to)
            if widths is not None:
                yield self._table(gap, widths)
                return
        yield self._records()

    def _widths(self, room: int, foldable_to: int) -> list[int] | None:
        """How wide each column is: what it needs at least, then the rest where it is of use."""
        natural, least = [], []
        for index, column in enumerate(self.columns):
            longest = max((cell(row[index]).cell_len for row in self._all_rows), default=1)
            natural.append(max(len(column.title), longest))
            least.append(max(len(column.title), min(max(foldable_to, column.unfolded), longest)))
        if sum(least) > room:
            return None
        while (spare := room - sum(least)) and (
            growing := [i for i, width in enumerate(least) if width < natural[i]]
        ):
            share = max(1, spare // len(growing))
            for index in growing[:spare]:
                least[index] = min(natural[index], least[index] + share)
        return least

    def _table(self, gap: int, widths: Sequence[int]) -> Table:
        table = Table(
            title=Text(literal(self.title), style="bold"),
            title_justify="left",
            box=box.SIMPLE_HEAD,
            header_style="bold",
            show_footer=self.footer is not None,
            show_edge=False,
            pad_edge=False,
            padding=(0, gap, 0, 0),
        )
        for index, column in enumerate(self.columns):
            table.add_column(
                column.title,
                footer=cell(self.footer[index]) if self.footer else "",
                justify=column.justify,
                overflow="fold",
                width=widths[index],
            )
        for row in self.rows:
            table.add_row(*map(cell, row))
        return table

    def _records(self) -> RenderableType:
        width = max(len(column.title) for column in self.columns)
        parts: list[RenderableType] = [Text(literal(self.title), style="bold")]
        for row in self._all_rows:
            parts.append(Text(""))
            for column, value in zip(self.columns, row, strict=True):
                line = Text(f"{column.title:<{width}}  ", style="dim")
                line.append_text(cell(value))
                line.overflow = "fold"
                parts.append(line)
        return Group(*parts)
