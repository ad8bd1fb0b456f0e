"""Look for DBOS workflows, and for what their tests need, in the source files of a project. Imports none of them."""

import ast
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

# Directories without a project's own code.
_SKIPPED = frozenset(
    {"node_modules", "site-packages", "build", "dist", "migrations", "__pycache__"}
)
_STARTING = ("start_workflow", "start_workflow_async", "enqueue_workflow", "enqueue_workflow_async")
_AFTER_LAUNCH = ("register_queue", "register_queue_async", "apply_schedules", "create_all")
_ENGINES = ("create_engine", "create_async_engine")
_METHODS = ("get", "post", "put", "patch", "delete")
_FILES_MAX = 5_000

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Parameter:
    """Parameter of a function that must be given.

    Attributes:
        name: Its name.
        annotation: Text of its annotation; empty for none.
    """

    name: str
    annotation: str


@dataclass(frozen=True, slots=True)
class FoundTarget:
    """A workflow, or a handler that starts one.

    Attributes:
        file: Path of its file, relative to the project.
        name: Its name, as in `Shop.checkout`.
        line: Number of its line.
        parameters: Parameters that must be given.
        steps: Names of the steps that it calls.
        is_handler: Whether it is a handler of a web application.
    """

    file: str
    name: str
    line: int
    parameters: Sequence[Parameter]
    steps: Sequence[str]
    is_handler: bool


@dataclass(frozen=True, slots=True)
class FoundLine:
    """Another line that a crash test may need to know of.

    Attributes:
        file: Path of its file, relative to the project.
        line: Number of the line.
        what: Text of the call, such as `register_queue("orders")`.
        function: Name of the function around it; empty at the top of a module.
        only_sets_up: Whether that function takes no argument and does nothing else.
    """

    file: str
    line: int
    what: str
    function: str
    only_sets_up: bool


@dataclass(frozen=True, slots=True)
class Scan:
    """What the source files of a project show.

    Attributes:
        targets: Workflows and handlers, in the order of the files.
        set_ups: Calls that a program makes after the launch of DBOS, and databases that it opens.
        engines: Calls that open a database.
        classes: Class to its annotated fields, for arguments that are objects.
        unreadable: Files that are no Python, with the error.
    """

    targets: Sequence[FoundTarget]
    set_ups: Sequence[FoundLine]
    engines: Sequence[FoundLine]
    classes: Mapping[str, Sequence[Parameter]]
    unreadable: Sequence[str]


def scan_project(root: Path) -> Scan:
    """Return what the source files of a project show.

    Args:
        root: Directory of the project.
    """
    targets: list[FoundTarget] = []
    set_ups: list[FoundLine] = []
    engines: list[FoundLine] = []
    unreadable: list[str] = []
    modules: list[tuple[str, ast.Module]] = []
    for path in source_files(root):
        name = str(path.relative_to(root))
        if not path.is_file():
            unreadable.append(f"{name}: it is not a file")
            continue
        try:
            modules.append((name, ast.parse(path.read_text(encoding="utf-8"))))
        except (SyntaxError, ValueError, OSError) as error:
            unreadable.append(f"{name}: {error}")
    steps = {each.name for _, tree in modules for each in _functions(tree) if _has(each, "step")}
    for name, tree in modules:
        targets.extend(_targets(name, tree, steps))
        set_up = {each.name for each in tree.body if _only_sets_up(each)}
        for function, call in _calls(tree, ""):
            what = ast.unparse(call)
            found = FoundLine(name, call.lineno, what, function, function in set_up)
            if _called(call) in _AFTER_LAUNCH and function:
                set_ups.append(found)
            elif _called(call) in _ENGINES:
                engines.append(found)
    classes = {
        each.name: _fields(each)
        for _, tree in modules
        for each in ast.walk(tree)
        if isinstance(each, ast.ClassDef)
    }
    return Scan(targets, set_ups, engines, classes, unreadable)


def _fields(owner: ast.ClassDef) -> list[Parameter]:
    return [
        Parameter(each.target.id, ast.unparse(each.annotation))
        for each in owner.body
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name) and not each.value
    ]


def source_files(root: Path) -> Iterator[Path]:
    """Yield the Python files of a project, without those of environments, builds and libraries.

    Args:
        root: Directory of the project.
    """
    count = 0
    for directory, below, files in os.walk(root):
        below[:] = sorted(
            each
            for each in below
            if each not in _SKIPPED
            and not each.startswith(".")
            and not Path(directory, each, "pyvenv.cfg").exists()
        )
        for file in sorted(files):
            if file.endswith(".py") and count < _FILES_MAX:
                count += 1
                yield Path(directory, file)


def _functions(tree: ast.AST) -> Iterator[Function]:
    return (each for each in ast.walk(tree) if isinstance(each, Function))


def _targets(file: str, tree: ast.Module, steps: set[str]) -> Iterator[FoundTarget]:
    for owner, function in _named_functions(tree):
        is_workflow, is_handler = _has(function, "workflow"), _is_handler(function)
        if not is_workflow and not is_handler:
            continue
        called = dict.fromkeys(_called(each) for _, each in _calls(function, ""))
        yield FoundTarget(
            file,
            f"{owner}.{function.name}" if owner else function.name,
            function.lineno,
            _required(function, is_method=bool(owner)),
            [name for name in called if name in steps],
            not is_workflow,
        )


def _named_functions(tree: ast.Module) -> Iterator[tuple[str, Function]]:
    """Yield the functions that have a name in their module, each with the name of its class."""
    for node in tree.body:
        if isinstance(node, Function):
            yield "", node
        elif isinstance(node, ast.ClassDef) and _is_known_to_dbos(node):
            for inner in node.body:
                # A method needs an instance, which only the user can name.
                if isinstance(inner, Function) and _is_static(inner):
                    yield node.name, inner


def _is_known_to_dbos(owner: ast.ClassDef) -> bool:
    """Return whether DBOS finds a class again after a crash."""
    bases = {_called(each) for each in (*owner.bases, *owner.decorator_list)}
    return bool(bases & {"DBOSConfiguredInstance", "dbos_class"})


def _is_static(function: Function) -> bool:
    names = {_called(each) for each in function.decorator_list}
    return bool(names & {"staticmethod", "classmethod"})


def _has(function: Function, decorator: str) -> bool:
    """Return whether a function has a decorator of DBOS."""
    return any(
        _called(each) == decorator and "DBOS" in ast.unparse(each)
        for each in function.decorator_list
    )


def _is_handler(function: Function) -> bool:
    """Return whether a function is a handler of a web application, and starts a workflow."""
    routes = any(
        isinstance(each, ast.Call) and _called(each) in _METHODS for each in function.decorator_list
    )
    return routes and any(_called(each) in _STARTING for _, each in _calls(function, ""))


def _called(node: ast.expr) -> str:
    """Return the last part of the name of what is called, or of a decorator."""
    if isinstance(node, ast.Call):
        return _called(node.func)
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _calls(tree: ast.AST, function: str) -> Iterator[tuple[str, ast.Call]]:
    """Yield the calls in a tree, each with the name of the outermost function around it."""
    for node in ast.iter_child_nodes(tree):
        inner = function or (node.name if isinstance(node, Function) else "")
        if isinstance(node, ast.Call):
            yield function, node
        yield from _calls(node, inner)


def _only_sets_up(node: ast.stmt) -> TypeGuard[Function]:
    """Return whether a statement defines a function without arguments that only does what follows a launch."""
    return (
        isinstance(node, Function)
        and not _required(node, is_method=False)
        and all(_called(call) in _AFTER_LAUNCH for _, call in _calls(node, ""))
    )


def _required(function: Function, *, is_method: bool) -> list[Parameter]:
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args]
    given = every[: len(every) - len(arguments.defaults)]
    is_class_method = any(_called(each) == "classmethod" for each in function.decorator_list)
    return [
        Parameter(each.arg, ast.unparse(each.annotation) if each.annotation else "")
        for each in given[is_method and is_class_method :]
    ]
