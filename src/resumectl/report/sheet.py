"""Lay out tables that fit the terminal without breaking a word, a date or an id.

The first layout that fits is used: every column as wide as its longest text; sentences folded at
blanks; columns in their short form; less important columns left out, with a note; and at last each
row as lines of "heading  value", with every column. In a pipe, each row is one line.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Literal

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from resumectl.report.folding import WORD_MAX, fold, widest_piece
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
    "killed": "red",
    "running": "green",
}

Cell = str | int | Text | None
Row = Sequence[Cell]


class ColumnKind(Enum):
    """How the texts of a column may be folded."""

    WORDS = "at blanks, where there is no other way to fit"
    ID = "never, but for the heading: it is searched for and copied"
    SENTENCE = "at blanks, and within what is longer than any word"


# Minimum width of a column of sentences, in cells.
_SENTENCE_MIN = 24


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Args:
        title: Heading, folded at blanks.
        justify: Side on which the texts stand.
        kind: Rule for folding the texts.
        short: Function that returns the short form of a text, for narrow terminals; None if there
            is none.
        dispensable: Above 0, the column may be left out on narrow terminals, the highest first.
    """

    title: str
    justify: Literal["left", "right"] = "left"
    kind: ColumnKind = ColumnKind.WORDS
    short: Callable[[str], str] | None = None
    dispensable: int = 0


def ids(title: str, *, dispensable: int = 0) -> Column:
    """Return a column of ids, crash plans and other names that are copied."""
    return Column(title, kind=ColumnKind.ID, dispensable=dispensable)


def sentences(title: str) -> Column:
    """Return a column of running text."""
    return Column(title, kind=ColumnKind.SENTENCE)


def words(title: str, *, dispensable: int = 0) -> Column:
    """Return a column of words, such as statuses or commands."""
    return Column(title, dispensable=dispensable)


def right(title: str, *, dispensable: int = 0) -> Column:
    """Return a column of numbers."""
    return Column(title, "right", kind=ColumnKind.ID, dispensable=dispensable)


def dates(title: str, *, dispensable: int = 0) -> Column:
    """Return a column of dates as `text.clock` writes them; the short form has no year."""
    return Column(
        title, kind=ColumnKind.ID, short=lambda date: date[len("2026-") :], dispensable=dispensable
    )


def names(title: str, *, dispensable: int = 0) -> Column:
    """Return a column of names of functions; the short form has no class."""
    return Column(
        title,
        kind=ColumnKind.ID,
        short=lambda name: name.rpartition(".")[2],
        dispensable=dispensable,
    )


def cell(value: Cell) -> Text:
    """Return the text of a cell, escaped; a zero becomes a dot."""
    if isinstance(value, Text):
        return value
    if value is None:
        return Text("")
    if value == 0 and isinstance(value, int):
        return Text("·", style="dim")
    text = literal(value)
    return Text(text, style=STATUS_STYLES.get(text, ""))


@dataclass(frozen=True, slots=True)
class _Layout:
    """One way to lay a table out."""

    gap: int  # blanks between two columns
    is_short: bool = False
    folds: frozenset[ColumnKind] = frozenset()


_LAYOUTS = (
    _Layout(gap=3),
    _Layout(gap=2),
    _Layout(gap=3, folds=frozenset({ColumnKind.SENTENCE})),
    _Layout(gap=2, folds=frozenset({ColumnKind.SENTENCE})),
    _Layout(gap=2, folds=frozenset({ColumnKind.SENTENCE}), is_short=True),
    _Layout(gap=2, folds=frozenset(ColumnKind), is_short=True),
    _Layout(gap=1, folds=frozenset(ColumnKind), is_short=True),
)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table that becomes a list of records if the terminal is too narrow."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    footer: Row | None = None

    def __rich_console__(self, target: Console, options: object) -> Iterable[Text]:
        return self.lines(target.width)

    def lines(self, width: int) -> list[Text]:
        """Return the lines for a terminal.

        Args:
            width: Width of the terminal, in cells.
        """
        every = [
            list(map(cell, row)) for row in (*self.rows, *([self.footer] if self.footer else []))
        ]
        grid = _Grid(self.columns, every, has_footer=self.footer is not None)
        title = fold(Text(literal(self.title), style="bold"), width)
        for layout in _LAYOUTS:
            if (shown := grid.laid_out(layout, width)) is not None:
                return [*title, *shown]
        left_out: list[str] = []
        for column in sorted(self.columns, key=lambda c: -c.dispensable):
            if not column.dispensable:
                break
            grid = grid.without(column)
            left_out.append(column.title)
            if (shown := grid.laid_out(_LAYOUTS[-1], width)) is not None:
                note = f"not shown here: {', '.join(left_out)}; a wider terminal or --json has them"
                return [*title, *shown, *fold(Text(note, style="dim"), width)]
        return [*title, *_records(self.columns, every, width)]


@dataclass(frozen=True, slots=True)
class _Grid:
    """The texts of a table: its rows, and perhaps a footer as the last row."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Text]]
    has_footer: bool

    def without(self, column: Column) -> "_Grid":
        """Return the layout without one of the columns."""
        index = self.columns.index(column)
        rest = [i for i in range(len(self.columns)) if i != index]
        return replace(
            self,
            columns=[self.columns[i] for i in rest],
            rows=[[row[i] for i in rest] for row in self.rows],
        )

    def laid_out(self, layout: _Layout, width: int) -> list[Text] | None:
        """Return the lines in this layout; None if it does not fit."""
        shown = self._shortened() if layout.is_short else self
        room = width - layout.gap * (len(self.columns) - 1)
        widths = shown._widths(layout, room)
        return None if widths is None else list(shown._lines(widths, layout.gap))

    def _shortened(self) -> "_Grid":
        return replace(
            self,
            rows=[
                [
                    Text(column.short(text.plain), style=text.style) if column.short else text
                    for column, text in zip(self.columns, row, strict=True)
                ]
                for row in self.rows
            ],
        )

    def _widths(self, layout: _Layout, room: int) -> list[int] | None:
        """Return the width of each column: its minimum, and a share of the rest."""
        natural, least = [], []
        for index, column in enumerate(self.columns):
            texts = [row[index].plain for row in self.rows]
            longest = max(map(cell_len, texts), default=0)
            natural.append(max(cell_len(column.title), longest))
            least.append(
                _least(column, texts, longest) if column.kind in layout.folds else natural[-1]
            )
        if sum(least) > room:
            return None
        while (spare := room - sum(least)) and (
            growing := [i for i, width in enumerate(least) if width < natural[i]]
        ):
            share = max(1, spare // len(growing))
            for index in growing[:spare]:
                least[index] = min(natural[index], least[index] + share)
        return least

    def _lines(self, widths: Sequence[int], gap: int) -> Iterator[Text]:
        headings = [Text(column.title, style="bold") for column in self.columns]
        yield from self._line(headings, widths, gap)
        yield Text("─" * (sum(widths) + gap * (len(widths) - 1)))
        for index, row in enumerate(self.rows):
            if self.has_footer and index == len(self.rows) - 1:
                yield Text("")
            yield from self._line(row, widths, gap)

    def _line(self, row: Sequence[Text], widths: Sequence[int], gap: int) -> Iterator[Text]:
        """Yield the lines of a row: more than one if a text is folded."""
        folded = [fold(text, width) for text, width in zip(row, widths, strict=True)]
        for at in range(max(map(len, folded))):
            line = Text()
            for column, lines, width in zip(self.columns, folded, widths, strict=True):
                text = lines[at] if at < len(lines) else Text("")
                blanks = Text(" " * (width - text.cell_len))
                for part in (blanks, text) if column.justify == "right" else (text, blanks):
                    line.append_text(part)
                line.append(" " * gap)
            line.rstrip()
            yield line


def _least(column: Column, texts: Sequence[str], longest: int) -> int:
    """Return the minimum width of a column, below which a word would break."""
    piece = max(map(widest_piece, texts), default=0)
    folded = {
        ColumnKind.ID: longest,
        ColumnKind.WORDS: piece,
        ColumnKind.SENTENCE: min(longest, max(_SENTENCE_MIN, min(piece, WORD_MAX))),
    }[column.kind]
    return max(widest_piece(column.title), folded)


def _records(
    columns: Sequence[Column], rows: Iterable[Sequence[Text]], width: int
) -> Iterator[Text]:
    """Yield each row as lines of "heading  value"; a long value is folded beside its heading."""
    indent = max(cell_len(column.title) for column in columns) + 2
    for row in rows:
        yield Text("")
        for column, text in zip(columns, row, strict=True):
            heading = Text(f"{column.title:<{indent}}", style="dim")
            beside = width - indent
            if widest_piece(text.plain) <= beside:
                first, *more = fold(text, beside)
                more = [Text(" " * indent).append_text(line) for line in more]
            else:  # below its heading, where there is more room
                first, more = Text(""), fold(text, width)
            line = heading.append_text(first)
            line.rstrip()
            yield line
            yield from more
