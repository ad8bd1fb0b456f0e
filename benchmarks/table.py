"""A table as aligned text, which is Markdown as well: for a terminal and for the README."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """A title, columns, rows; the first column is text, the others are numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        lines = [self.columns, *self.rows]
        widths = [max(len(line[index]) for line in lines) for index in range(len(self.columns))]
        rule = [
            ":".rjust(width, "-") if index else "-" * width for index, width in enumerate(widths)
        ]
        body = [_line(self.columns, widths), _line(rule, widths)]
        body += [_line(row, widths) for row in self.rows]
        return "\n".join([self.title, "", *body])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        f"{cell:>{width}}" if index else f"{cell:<{width}}"
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"| {' | '.join(padded)} |"


def judged(kept: bool) -> str:
    """Whether a goal was met, as a cell."""
    return "met" if kept else "MISSED"
