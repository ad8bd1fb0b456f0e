"""Find where a program does what its `main` does after launch: queues, schedules, tables.

Reads source text; imports nothing of the program. Pure but for reading files.
"""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

_QUEUES = frozenset({"register_queue", "register_queue_async"})
_TABLES = frozenset({"create_all"})
_ENTERED = frozenset({"launch", "run", "serve_forever", "run_forever"})
_FILES_MAX = 200
_SIZE_MAX = 1_000_000


def find_setup(files: Iterable[Path], *, queue: str | None = None) -> dict[str, Any] | None:
    """Return the first place that registers a queue, or that creates tables.

    Args:
        files: Source files, those to be preferred first.
        queue: Name of the queue; None for the creation of tables.

    Returns:
        `file`, `line`, `function` (empty at the top level), and `is_callable`: whether that
        function takes no argument and neither launches DBOS nor serves.
    """
    for file in list(dict.fromkeys(files))[:_FILES_MAX]:
        for found in _calls(file, queue):
            return found
    return None


def _calls(file: Path, queue: str | None) -> Iterator[dict[str, Any]]:
    try:
        if file.stat().st_size > _SIZE_MAX:
            return
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    yield from _within(tree, str(file), None, queue)


def _within(
    node: ast.AST,
    file: str,
    function: ast.FunctionDef | ast.AsyncFunctionDef | None,
    queue: str | None,
) -> Iterator[dict[str, Any]]:
    for child in ast.iter_child_nodes(node):
        inner = child if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
        if _is_wanted(child, queue):
            yield {
                "file": file,
                "line": getattr(child, "lineno", 0),
                "function": function.name if function else "",
                "is_callable": function is not None and _is_plain(function),
            }
        yield from _within(child, file, inner, queue)


def _is_wanted(node: ast.AST, queue: str | None) -> bool:
    if isinstance(node, ast.Constant):
        text = node.value
        return queue is None and isinstance(text, str) and "create table" in text.lower()
    if not isinstance(node, ast.Call):
        return False
    name = _name_of(node.func)
    if queue is None:
        return name in _TABLES
    first = node.args[0] if node.args else None
    # A name that is not written out may be this one.
    return name in _QUEUES and (not isinstance(first, ast.Constant) or first.value == queue)


def _name_of(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _is_plain(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    given = function.args
    required = len(given.posonlyargs) + len(given.args) - len(given.defaults)
    enters = any(
        isinstance(each, ast.Call) and _name_of(each.func) in _ENTERED
        for each in ast.walk(function)
    )
    return required == 0 and not enters and not any(d is None for d in given.kw_defaults)
