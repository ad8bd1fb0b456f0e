"""Fold text into lines without breaking a word, a date or an id. Pure.

A line is broken at blanks, and after the characters that a caller names; nowhere else, unless a
piece is wider than the line may be.
"""

import re
from collections.abc import Iterator

from rich.cells import cell_len
from rich.text import Text

# A longer piece is a value, not a word that is read or copied, and may be broken anywhere in
# running text. A UUID has 36 characters.
WORD_MAX = 40
_READABLE = "/_.,:-"


def widest_piece(text: str, breaks: str = "") -> int:
    """Return the width of the widest piece that may not be broken, in cells.

    Args:
        text: The text.
        breaks: Characters after which the text may be broken, besides blanks.
    """
    return max((cell_len(text[start:end]) for start, end in _pieces(text, breaks)), default=0)


def fold(text: Text, width: int, breaks: str = "") -> list[Text]:
    """Return the lines of a text, each as wide as allowed; blanks at a break are left out.

    Args:
        text: The text, with its styles.
        width: Width of a line, in cells; a wider piece is broken.
        breaks: Characters after which the text may be broken, besides blanks.
    """
    plain = text.plain
    if cell_len(plain) <= width and "\n" not in plain:
        return [text]
    lines: list[Text] = []
    begin, end = 0, 0  # of the line at hand; leading blanks, as of a tree, are part of the first
    for piece_start, piece_end in _pieces(plain, breaks):
        for start, stop in _chunks(plain, piece_start, piece_end, width):
            if cell_len(plain[begin:stop]) > width:
                if end > begin:
                    lines.append(text[begin:end])
                begin = start
            end = stop
    lines.append(text[begin:end])
    return lines


def _pieces(text: str, breaks: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each piece that may not be broken."""
    pattern = r"\S+"
    if breaks:
        those = re.escape(breaks)
        pattern = rf"[^\s{those}]*[{those}]+|[^\s{those}]+"
    for found in re.finditer(pattern, text):
        yield found.span()


def _chunks(text: str, start: int, end: int, width: int) -> Iterator[tuple[int, int]]:
    """Yield the piece or, if it is wider than a line, its parts."""
    begin = start
    while True:
        cells, at = 0, begin
        # Not the width of the whole rest: a long value has many lines.
        while at < end and (cells := cells + cell_len(text[at])) <= width:
            at += 1
        if at == end:
            break
        at = max(at, begin + 1)
        # A break after a slash or an underscore reads better than one within a word.
        readable = max(text.rfind(mark, begin, at) for mark in _READABLE) + 1
        if readable > begin + (at - begin) // 2:
            at = readable
        yield begin, at
        begin = at
    yield begin, end
