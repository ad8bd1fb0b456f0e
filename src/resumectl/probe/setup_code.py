"""Find the setup code of a program: code that registers queues, creates tables or sets globals.

Only reads source files; imports nothing of the program.
"""

import ast
import builtins
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.util import decode_source
from pathlib import Path

from resumectl.model.target_error import GlobalSetup, SetupCode
from resumectl.probe.module_loader import locate

_QUEUES = frozenset({"register_queue", "register_queue_async"})
_TABLES = frozenset({"create_all"})
_ENTERED = frozenset({"launch", "run", "serve_forever", "run_forever"})
_MAIN = "__name__ == '__main__'"  # as `ast.unparse` writes it
_FILES_MAX = 200
_SIZE_MAX = 1_000_000

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class _Fragment:
    """A fragment of a program's source.

    Args:
        file: File of the fragment.
        tree: Syntax tree of the file.
        node: Syntax tree of the fragment.
        function: Innermost function around the fragment; None at the top level.
        is_of_main: Whether it runs only if the file is the main program.
    """

    file: Path
    tree: ast.Module
    node: ast.AST
    function: _Function | None
    is_of_main: bool

    @property
    def is_callable(self) -> bool:
        """Whether its function takes no argument and neither launches DBOS nor serves."""
        return self.function is not None and _is_plain(self.function)

    @property
    def rank(self) -> int:
        """Rank, the best first: a function that can be called, then code of a main, then other functions."""
        if self.is_callable:
            return 0
        return 1 if self.function is None or _launches_or_serves(self.function) else 2

    def to_setup_code(self, lines: Iterable[str]) -> SetupCode:
        """Return the fragment as setup code, as an event records it.

        Args:
            lines: Python lines that do the same elsewhere.
        """
        return SetupCode(
            file=str(self.file),
            line=getattr(self.node, "lineno", 0),
            function=self.function.name if self.function else "",
            is_callable=self.is_callable,
            lines=tuple(lines),
        )


def find_queue(files: Iterable[Path], queue: str) -> SetupCode | None:
    """Return the best code that registers a queue, with the registrations beside it; None if there is none.

    Args:
        files: Source files, the preferred ones first.
        queue: Name of the queue.
    """
    found = _first(files, lambda fragment: _registers(fragment, queue))
    if found is None:
        return None
    siblings = [each for each in _siblings(found) if _is_registration(each)]
    return found.to_setup_code(_setup_lines(siblings))


def find_tables(files: Iterable[Path], table: str) -> SetupCode | None:
    """Return the best code that creates tables; None if there is none.

    The result has no lines if a local variable of the function creates the tables.

    Args:
        files: Source files of the program, the preferred ones first.
        table: Name of the missing table.
    """
    found = _first(files, lambda fragment: _creates(fragment, table))
    if found is None:
        return None
    imported: dict[str, list[str]] = {}
    call = _text(found.node, found, imported) if isinstance(found.node, ast.Call) else "..."
    return found.to_setup_code([*_imports(imported), call] if call != "..." else [])


def find_global(file: Path, name: str) -> GlobalSetup | None:
    """Return the code of a program's `main` that sets a global variable; None if there is none.

    Its lines are the statement, after the statements that set the names it uses.

    Args:
        file: File of the module that has the variable.
        name: Name of the variable.
    """
    found = _first([file], lambda fragment: _sets(fragment, name))
    if found is None:
        return None
    later = _siblings(found)
    later = later[[each.node for each in later].index(found.node) :]
    calls = [each.node for each in later if isinstance(each.node, ast.Call)]
    return GlobalSetup(
        name=name,
        is_before_launch=any(_name_of(each.func) == "launch" for each in calls),
        code=found.to_setup_code(_with_dependencies(found)),
    )


def _siblings(fragment: _Fragment) -> list[_Fragment]:
    """Return all fragments of the same function, in order."""
    return [
        each
        for each in _descendants(
            _Fragment(fragment.file, fragment.tree, fragment.tree, None, False)
        )
        if each.function is fragment.function and each.is_of_main is fragment.is_of_main
    ]


def _first(files: Iterable[Path], is_wanted: Callable[[_Fragment], bool]) -> _Fragment | None:
    for file in list(dict.fromkeys(files))[:_FILES_MAX]:
        fragments = list(_fragments(file, is_wanted))
        if fragments:
            return min(fragments, key=lambda each: each.rank)
    return None


def _fragments(file: Path, is_wanted: Callable[[_Fragment], bool]) -> Iterator[_Fragment]:
    try:
        if file.stat().st_size > _SIZE_MAX:
            return
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    yield from filter(is_wanted, _descendants(_Fragment(file, tree, tree, None, False)))


def _descendants(outer: _Fragment) -> Iterator[_Fragment]:
    is_main = isinstance(outer.node, ast.If) and ast.unparse(outer.node.test) == _MAIN
    for child in ast.iter_child_nodes(outer.node):
        function = child if isinstance(child, _Function) else outer.function
        fragment = _Fragment(outer.file, outer.tree, child, function, outer.is_of_main or is_main)
        yield fragment
        yield from _descendants(fragment)


# ------------------------------------------------------------- queues


def _is_registration(fragment: _Fragment) -> bool:
    return isinstance(fragment.node, ast.Call) and _name_of(fragment.node.func) in _QUEUES


def _registers(fragment: _Fragment, queue: str) -> bool:
    if not isinstance(fragment.node, ast.Call) or not _is_registration(fragment):
        return False
    named = [each.value for each in fragment.node.keywords if each.arg == "name"]
    first = next(iter([*fragment.node.args, *named]), None)
    if isinstance(first, ast.Name):
        first = _constants(fragment.tree).get(first.id, first)
    # A computed name may be the name that is searched.
    return not isinstance(first, ast.Constant) or first.value == queue


def _constants(tree: ast.Module) -> dict[str, ast.expr]:
    """Return the values of the top-level names of a file that are set exactly once."""
    found: dict[str, list[ast.expr]] = {}
    for each in tree.body:
        if isinstance(each, ast.Assign | ast.AnnAssign) and each.value is not None:
            for name in _assigned_names(each):
                found.setdefault(name, []).append(each.value)
    return {name: values[0] for name, values in found.items() if len(values) == 1}


def _setup_lines(fragments: list[_Fragment]) -> list[str]:
    """Return lines that make the same calls in another file, after the imports of the names they use."""
    calls: list[str] = []
    imported: dict[str, list[str]] = {}
    for fragment in fragments:
        assert isinstance(fragment.node, ast.Call)
        arguments = _arguments(fragment.node, fragment, imported)
        name = _name_of(fragment.node.func)
        awaits = "await " if name.endswith("_async") else ""
        calls.append(f"{awaits}DBOS.{name}({arguments})")
    return [*_imports(imported), *calls]


def _arguments(call: ast.Call, fragment: _Fragment, imported: dict[str, list[str]]) -> str:
    texts = [_text(each, fragment, imported) for each in call.args]
    for each in call.keywords:
        text = _text(each.value, fragment, imported)
        texts.append(f"{each.arg}={text}" if each.arg else f"**{text}")
    return ", ".join(texts)


def _imports(imported: dict[str, list[str]]) -> list[str]:
    return [
        f"from {module} import {', '.join(dict.fromkeys(names))}"
        for module, names in imported.items()
    ]


def _text(value: ast.expr, fragment: _Fragment, imported: dict[str, list[str]]) -> str:
    """Return the text of an expression; `...` if it uses a local variable of its function.

    Args:
        value: The expression.
        fragment: Fragment that contains the expression.
        imported: Module to the names that the text needs; this function adds names.
    """
    used = [each.id for each in ast.walk(value) if isinstance(each, ast.Name)]
    own = [each for each in used if not hasattr(builtins, each)]
    if not {name for each in fragment.tree.body for name in _assigned_names(each)}.issuperset(own):
        return "..."
    if own:
        imported.setdefault(locate(str(fragment.file)).name, []).extend(own)
    text = ast.get_source_segment(decode_source(fragment.file.read_bytes()), value) or "..."
    return ast.unparse(value) if "\n" in text else text


# ------------------------------------------------------------- tables and globals


def _creates(fragment: _Fragment, table: str) -> bool:
    node = fragment.node
    if isinstance(node, ast.Call):
        return _name_of(node.func) in _TABLES
    text = node.value if isinstance(node, ast.Constant) else None
    return isinstance(text, str) and re.search(creation_of(table), text) is not None


def creation_of(table: str) -> str:
    """Return the pattern of a statement that creates a table."""
    return rf"(?i:create\s+table)[^(]*\b{re.escape(table)}\b"


def _sets(fragment: _Fragment, name: str) -> bool:
    if not isinstance(fragment.node, ast.stmt) or name not in _assigned_names(fragment.node):
        return False
    if fragment.function is None:
        return fragment.is_of_main
    # Only a `global` statement of the innermost function counts.
    return any(
        isinstance(each, ast.Global) and name in each.names for each in ast.walk(fragment.function)
    )


def _with_dependencies(fragment: _Fragment) -> list[str]:
    """Return a statement, after the earlier statements of the same function that set the names it uses."""
    siblings = _siblings(fragment)
    needed, lines = {fragment.node}, [fragment.node]
    for each in reversed(siblings[: [other.node for other in siblings].index(fragment.node)]):
        used = {n.id for node in needed for n in ast.walk(node) if isinstance(n, ast.Name)}
        if isinstance(each.node, ast.stmt) and used.intersection(_assigned_names(each.node)):
            needed.add(each.node)
            lines.insert(0, each.node)
    return [_statement(each) for each in lines]


def _assigned_names(statement: ast.stmt) -> list[str]:
    """Return the names that a statement assigns."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return [each.asname or each.name.partition(".")[0] for each in statement.names]
    if isinstance(statement, _Function | ast.ClassDef):
        return [statement.name]
    targets: list[ast.expr]
    if isinstance(statement, ast.AnnAssign) and statement.value is not None:
        targets = [statement.target]
    elif isinstance(statement, ast.Assign):
        targets = statement.targets
    else:
        return []
    return [
        each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)
    ]


def _statement(node: ast.AST) -> str:
    """Return the text of a statement in one line, to be placed below a `global` statement."""
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        return f"{ast.unparse(node.target)} = {ast.unparse(node.value)}"
    return ast.unparse(node) if not isinstance(node, _Function | ast.ClassDef) else "..."


# ------------------------------------------------------------- functions


def _name_of(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _is_plain(function: _Function) -> bool:
    given = function.args
    required = len(given.posonlyargs) + len(given.args) - len(given.defaults)
    return (
        required == 0
        and not _launches_or_serves(function)
        and not any(d is None for d in given.kw_defaults)
    )


def _launches_or_serves(function: _Function) -> bool:
    """Return whether a function launches DBOS, or serves."""
    return any(
        isinstance(each, ast.Call) and _name_of(each.func) in _ENTERED
        for each in ast.walk(function)
    )
