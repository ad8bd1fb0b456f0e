"""No file of the project uses a word that docs/style.md retires."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
STYLE = "docs/style.md"
NOT_SEARCHED = {STYLE, Path(__file__).relative_to(CHECKOUT).as_posix()}  # they name the words
# What a word stands in: letters, and not more; `old_life` and `LifeEnding` have it, `lifecycle` not.
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_SUFFIXES = {".py", ".md", ".toml", ".yaml", ".yml", ".json", ".svg", ".ini", ""}


def retired_words() -> list[str]:
    text = (CHECKOUT / STYLE).read_text()
    table = text.partition("| never write | write |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| ")][1:]
    return [word.strip() for row in rows for word in row.split(",")]


def project_files() -> list[str]:
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.check_output(listed, cwd=CHECKOUT, text=True).splitlines()
    return [
        name
        for name in names
        if name not in NOT_SEARCHED
        and Path(name).suffix in _SUFFIXES
        and (CHECKOUT / name).exists()
    ]


def uses(text: str, words: list[str]) -> Iterator[tuple[int, str]]:
    """Yield the line number and the line of each use of a word."""
    pattern = re.compile(rf"(?<![a-z])({'|'.join(words)})s?(?![a-z])", re.IGNORECASE)
    for number, line in enumerate(text.splitlines(), start=1):
        if pattern.search(_CAMEL.sub(" ", line)):
            yield number, line.strip()


def test_no_file_uses_a_retired_word() -> None:
    words = retired_words()
    assert {"life", "zygote", "by chance", "mended"} <= set(words)
    files = project_files()
    assert {"README.md", "src/resumectl/cli/help.py", "docs/index.md"} <= set(files)
    found = [
        f"{name}:{number}: {line}"
        for name in files
        for number, line in uses((CHECKOUT / name).read_text(), words)
    ]
    assert not found, "\n".join(found)


def test_word_is_found_in_a_sentence_a_name_and_a_class_and_not_inside_another() -> None:
    text = "The victims of a life.\nold_life = 1\nclass LifeEnding:\na lifecycle\nby chance\nalive"
    assert [number for number, _ in uses(text, ["life", "by chance"])] == [1, 2, 3, 5]
