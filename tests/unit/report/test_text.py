"""Words around numbers, and words for a shell."""

import ast
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import CHECKOUT

from resumectl.text import counted, shell_word

NOUNS = (
    "workflows", "steps", "deliveries", "times", "trials", "kills", "crash points",
    "processes", "batches", "messages", "lines", "threads", "tasks", "runs", "attempts",
    "baselines", "findings", "exposures", "requests", "sweeps", "rows", "instances", "services",
    "files", "errors", "failures", "engines", "tables", "connections", "points",
)  # fmt: skip
# An adjective may stand between; a verb ends in s, as in "main creates tables".
COUNTED = re.compile(rf" (?:[a-z]*[a-rt-z] )?(?:{'|'.join(NOUNS)})\b")


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "0 workflows"), (1, "1 workflow"), (2, "2 workflows"), (1234, "1,234 workflows")],
)
def test_a_number_has_its_noun(number: int, expected: str) -> None:
    assert counted(number, "workflow") == expected


def test_a_plural_of_its_own() -> None:
    assert [counted(n, "delivery", "deliveries") for n in (1, 2)] == ["1 delivery", "2 deliveries"]


def uncounted(path: Path) -> Iterator[str]:
    """Yield what an f-string says of a number with a noun that is always in the plural."""
    for text in ast.walk(ast.parse(path.read_text())):
        if not isinstance(text, ast.JoinedStr):
            continue
        for value, after in zip(text.values, text.values[1:], strict=False):
            if (
                isinstance(value, ast.FormattedValue)
                and isinstance(after, ast.Constant)
                and COUNTED.match(str(after.value))
                and not re.search(r"counted\(|[A-Z]_MAX", ast.unparse(value))
            ):
                yield f"{path.name}:{text.lineno}: {ast.unparse(text)}"


@pytest.mark.parametrize(
    "path",
    sorted((CHECKOUT / "src").rglob("*.py")),
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_no_message_says_1_workflows(path: Path) -> None:
    assert list(uncounted(path)) == []


@pytest.mark.parametrize(
    "text",
    ["plain", "two words", "it's", "", "$HOME", "a\nb", "a\tb'c\\d", "\x1b[31m", "\u202eabc", "é"],
)
def test_a_shell_takes_a_word_as_it_is(text: str) -> None:
    word = shell_word(text)
    assert word.isprintable()
    printed = subprocess.run(
        ["bash", "-c", f"printf %s {word}"],
        capture_output=True,
        check=True,
        env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
    ).stdout
    assert printed.decode() == text
    if text.isprintable():
        assert shlex.split(word) == [text]
