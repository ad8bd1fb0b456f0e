"""The limits on functions and names of the source that ruff does not check."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import resumectl

_SOURCE = Path(resumectl.__file__).parent
LINES_MAX = 60


def _functions() -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in sorted(_SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, node


def test_no_function_has_more_than_60_lines() -> None:
    lengths = {
        f"{path.relative_to(_SOURCE)}:{node.lineno} {node.name}": (node.end_lineno or 0)
        - node.lineno
        + 1
        for path, node in _functions()
    }
    assert len(lengths) > 1_000
    assert {name: lines for name, lines in lengths.items() if lines > LINES_MAX} == {}


def test_no_two_public_classes_have_the_same_name() -> None:
    names = Counter(
        node.name
        for path in _SOURCE.rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert len(names) > 100
    assert [name for name, number in names.items() if number > 1] == []
