"""Rich tables on standard output, for people. Renders what it is given and opens nothing."""

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from rich import box
from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from resumectl.report.text import literal

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
# A pipe has no width: wide enough that rows stay on their lines, for grep.
_PIPE_WIDTH = 200


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    title: str
    justify: Literal["left", "right"] = "left"
    unfolded: int = 1  # characters that are not torn apart, as a date's


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
    return Console(stderr=stderr, width=width, markup=False, highlight=False, emoji=False)


def show(*renderables: RenderableType, on: Console | None = None) -> None:
    """Print to standard output, one below the other, tables with a line between them."""
    target = on or console()
    for index, renderable in enumerate(renderables):
        if index and any(isinstance(each, Sheet) for each in renderables[index - 1 : index + 1]):
            target.print()
        target.print(renderable)


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

    def __rich_console__(self, target: Console, options: object) -> Iterable[RenderableType]:
        for gap, foldable_to in _LAYOUTS:
            table = self._table(gap, foldable_to)
            endless = target.options.update(width=10_000)
            if Measurement.get(target, endless, table).minimum <= target.width:
                yield table
                return
        yield self._records()

    def _table(self, gap: int, foldable_to: int) -> Table:
        table = Table(
            title=Text(self.title, style="bold"),
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
                min_width=max(len(column.title), self._short_width(index, foldable_to)),
            )
        for row in self.rows:
            table.add_row(*map(cell, row))
        return table

    def _short_width(self, index: int, foldable_to: int) -> int:
        longest = max((cell(row[index]).cell_len for row in self.rows), default=1)
        return min(max(foldable_to, self.columns[index].unfolded), longest)

    def _records(self) -> RenderableType:
        width = max(len(column.title) for column in self.columns)
        parts: list[RenderableType] = [Text(self.title, style="bold")]
        rows = [*self.rows, *([self.footer] if self.footer else [])]
        for row in rows:
            parts.append(Text(""))
            for column, value in zip(self.columns, row, strict=True):
                line = Text(f"{column.title:<{width}}  ", style="dim")
                line.append_text(cell(value))
                line.overflow = "fold"
                parts.append(line)
        return Group(*parts)
