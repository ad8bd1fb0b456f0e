"""Turn a table for the terminal into one for a page. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from resumectl.report.sheet import Sheet, cell


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a page.

    Attributes:
        title: Its caption.
        columns: Headings, each with the side on which the texts stand.
        rows: Texts of the cells.
    """

    title: str
    columns: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[str]]


def table_of(sheet: Sheet) -> Table:
    """Return the table of a sheet, with all of its columns."""
    return Table(
        title=sheet.title,
        columns=[(column.title, column.justify) for column in sheet.columns],
        rows=[[cell(value).plain for value in row] for row in sheet.rows],
    )
