"""Print tables and text for people on standard output and standard error."""

import os
import sys

from rich.console import Console, RenderableType
from rich.text import Text

from resumectl.report.folding import fold
from resumectl.report.sheet import Sheet
from resumectl.text import literal

VERDICT_STYLES = {
    "KEPT": "bold green",
    "BROKEN": "bold red",
    "UNSTABLE": "bold yellow",
    "VOID": "bold yellow",
}
# A pipe has no width: a row stays on its line, for grep.
_PIPE_WIDTH = 1_000_000
_USUAL_WIDTH = 80


def console(*, stderr: bool = False) -> Console:
    """Return a console that respects NO_COLOR, COLUMNS and pipes, and interprets no markup."""
    stream = sys.stderr if stderr else sys.stdout
    columns = os.environ.get("COLUMNS", "")
    given = int(columns) if columns.isdecimal() else None
    width = given if given or stream.isatty() else _PIPE_WIDTH
    return Console(
        stderr=stderr,
        # With a width of zero, as on some CI services, nothing would be shown.
        width=_USUAL_WIDTH if width == 0 else width,
        # With NO_COLOR there is no escape sequence at all, not even for bold.
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        markup=False,
        highlight=False,
        emoji=False,
    )


def show(*shown: RenderableType, on: Console | None = None) -> None:
    """Print items below each other on standard output, with an empty line around tables.

    No line ends in blanks or breaks a word; see `folding`.
    """
    target = on or console()
    for line in lines(*shown, width=target.width):
        target.print(line, soft_wrap=True)


def lines(*shown: RenderableType, width: int) -> list[Text]:
    """Return the lines of items, with an empty line around tables.

    Args:
        shown: The items.
        width: Width of the terminal, in cells.
    """
    found: list[Text] = []
    for index, each in enumerate(shown):
        if index and any(isinstance(near, Sheet) for near in shown[index - 1 : index + 1]):
            found.append(Text())
        if isinstance(each, Sheet):
            found += each.lines(width)
            continue
        text = each if isinstance(each, Text) else Text(literal(each))
        # Text to copy stays on one line, however wide the terminal is.
        found += [text] if text.no_wrap else fold(text, width)
    for line in found:
        line.rstrip()
    return found
