"""What is recorded of an error in the target process: facts from which advice is made later.

Runs in the target process. Decides nothing and advises nothing: see `advice`.
"""

import linecache
import os
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from resumectl.probe.setup_code import creation_of, find_global, find_tables
from resumectl.probe.user_code import innermost_in_traceback, is_user_file
from resumectl.text import one_line

_MESSAGE_MAX = 2_000
# A name that the program asks the environment for, without saying what to do where it is not set.
_ASKED = re.compile(
    r"""(?:getenv|environ\.get)\(\s*["'](\w+)["']\s*\)|["'](\w+)["']\s+not\s+in\s+(?:os\.)?environ"""
)
# How SQLite and PostgreSQL say that a table is missing.
_NO_TABLE = re.compile(r'no such table: (?:\w+\.)?"?(\w+)|relation "([\w.]+)" does not exist')
_OS_FILES = (os.__file__, "<frozen os>")
_SOURCES = ("", "src", "lib", "app")
_NEEDS_FILES = ("requirements.txt", "pyproject.toml")
_MIGRATIONS = ("alembic.ini", "manage.py")
_PROJECT_FILES = ("pyproject.toml", "setup.py", "setup.cfg")


class Unrunnable(Exception):
    """What the command line names cannot be run.

    Args:
        problem: Which case of `advice` this is.
        said: What is wrong, one line.
        facts: What the advice is made from; plain data.
    """

    def __init__(self, problem: str, said: str, **facts: Any) -> None:
        super().__init__(said)
        self.problem = problem
        self.facts = facts


def facts_of(error: BaseException, *, roots: Sequence[Path]) -> dict[str, Any]:
    """Return what an event tells of an error.

    Args:
        error: As it was caught.
        roots: Directories from which a module that is missing may have been meant.
    """
    if isinstance(error, Unrunnable):
        return {
            "error": str(error),
            "problem": error.problem,
            "where": None,
            "about": error.facts,
            "traceback": "",
        }
    kind = type(error)
    return {
        "error": one_line(error),
        "problem": "exception",
        "type": f"{kind.__module__}.{kind.__qualname__}",
        "message": str(error)[:_MESSAGE_MAX],
        "where": _where(error, roots),
        "about": dict(_about(error, roots)),
        "traceback": "".join(traceback.format_exception(error)),
    }


def _where(error: BaseException, roots: Sequence[Path]) -> dict[str, Any] | None:
    if isinstance(error, SyntaxError) and error.filename:
        text = (error.text or "").strip()
        return {"file": error.filename, "line": error.lineno or 0, "function": "", "text": text}
    return innermost_in_traceback(error.__traceback__, roots)


def _about(error: BaseException, roots: Sequence[Path]) -> Iterator[tuple[str, Any]]:
    """Yield what this kind of error says beyond its message."""
    yield "dbos", _version_of("dbos")
    if isinstance(error, ModuleNotFoundError) and error.name:
        yield from _about_module(error.name, roots)
    module = _half_imported(error)
    if module is not None:
        yield "half_imported", module
    if isinstance(error, FileNotFoundError) and isinstance(error.filename, str):
        there = [root for root in roots if (root / error.filename).exists()]
        if there and not Path(error.filename).is_absolute():
            yield "relative", error.filename
    table = _NO_TABLE.search(str(error))
    if table is not None:
        name = table[1] or table[2]
        bare = name.rpartition(".")[2]
        yield "table", name
        yield "setup", find_tables(source_files(roots, creation_of(bare)), bare)
        yield (
            "migrations",
            [each for each in _MIGRATIONS if any((r / each).is_file() for r in roots)],
        )
    yield from _about_global(error)
    name = _missing_variable(error)
    if name is not None:
        yield "unset", [name]
    else:
        yield "unset", sorted(_unset_variables(error.__traceback__))


def _half_imported(error: BaseException) -> str | None:
    """Return the module that an error misses a name of while it is still being imported."""
    name, file = None, None
    if isinstance(error, ImportError):
        name, file = error.name, error.path
    elif isinstance(error, AttributeError) and isinstance(error.obj, ModuleType):
        name, file = error.obj.__name__, getattr(error.obj, "__file__", None)
    running = {
        _file_of(each)
        for each in _frames(error.__traceback__)
        if each.tb_frame.f_code.co_name == "<module>"
    }
    return name if file in running else None


def _about_global(error: BaseException) -> Iterator[tuple[str, Any]]:
    """Yield where the program's `main` sets the global that an error is about."""
    frames = [each for each in _frames(error.__traceback__) if is_user_file(_file_of(each))]
    if not frames:
        return
    for name in _unset_names(error, frames[-1]):
        found = find_global(Path(_file_of(frames[-1])), name)
        if found is not None:
            yield "global", found
            return


def _unset_names(error: BaseException, at: TracebackType) -> list[str]:
    """Return the globals that an error may say are not set, or None."""
    if isinstance(error, NameError) and not isinstance(error, UnboundLocalError):
        return [str(error.name)]
    if isinstance(error, AttributeError) and error.obj is None:
        line = linecache.getline(_file_of(at), at.tb_lineno)
        names = [each for each in at.tb_frame.f_code.co_names if f"{each}.{error.name}" in line]
        return [each for each in names if at.tb_frame.f_globals.get(each, "") is None]
    return []


def _file_of(at: TracebackType) -> str:
    return at.tb_frame.f_code.co_filename


def _about_module(name: str, roots: Sequence[Path]) -> Iterator[tuple[str, Any]]:
    yield "module", name
    package = name.partition(".")[0]
    # Several distributions may share a package that has no file, unless it is the user's.
    there = sys.modules.get(package)
    is_users = any(is_user_file(f"{each}/") for each in getattr(there, "__path__", ()))
    if is_users or getattr(there, "__file__", None):
        yield "package", package
        return
    yield "needs", _named_needs(roots)
    found = source_directory(name, roots)
    if found is not None:
        yield "source", str(found)
        yield "project", _project_of(found)


def _named_needs(roots: Sequence[Path]) -> str | None:
    """Return the file of a project that names the distributions that it needs."""
    places = (root / name for root in reversed(roots) for name in _NEEDS_FILES)
    return next((str(each) for each in places if each.is_file()), None)


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def source_directory(module: str, roots: Sequence[Path]) -> Path | None:
    """Return the directory from which a module could be imported, were it on the path.

    Args:
        module: Full name of the module.
        roots: Directories to begin at; those above them are looked at too.
    """
    top = module.partition(".")[0]
    for root in roots:
        for directory in (root, *root.parents[:4]):
            for name in _SOURCES:
                place = directory / name
                if (place / top).is_dir() or (place / f"{top}.py").is_file():
                    return place
    return None


def _project_of(source: Path) -> str | None:
    for directory in (source, *source.parents[:1]):
        if any((directory / name).is_file() for name in _PROJECT_FILES):
            return str(directory)
    return None


def _missing_variable(error: BaseException) -> str | None:
    """Return the environment variable that an error says is not set."""
    frames = list(_frames(error.__traceback__))
    if isinstance(error, KeyError) and frames and error.args:
        innermost = frames[-1].tb_frame.f_code
        if innermost.co_filename in _OS_FILES and innermost.co_name == "__getitem__":
            return str(error.args[0])
    return None


def _frames(at: TracebackType | None) -> Iterator[TracebackType]:
    while at is not None:
        yield at
        at = at.tb_next


def _unset_variables(at: TracebackType | None) -> set[str]:
    """Return the variables that the files of a traceback ask for and that are not set."""
    files = {each.tb_frame.f_code.co_filename for each in _frames(at)}
    return {
        name
        for file in files
        if is_user_file(file)
        for names in _ASKED.findall(_text_of(file))
        for name in names
        if name and name not in os.environ
    }


def _text_of(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def source_files(roots: Sequence[Path], mention: str) -> list[Path]:
    """Return the files that may say how something is set up.

    These are the user's modules that were imported, and files beside the target that mention what
    is missing, or import one of these modules: other programs may lie in the same directory.

    Args:
        roots: Directories of the program.
        mention: Pattern of what mentions it.
    """
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    imported = [Path(each) for each in files if isinstance(each, str) and is_user_file(each)]
    stems = "|".join(re.escape(each.stem) for each in imported)
    imports = rf"^\s*(?:from|import)\s+(?:{stems})\b"
    related = re.compile(f"{mention}|{imports}" if stems else mention, re.MULTILINE)
    beside = sorted(roots[-1].glob("*.py")) if roots else []
    return [*imported, *(each for each in beside if related.search(_text_of(str(each))))]
