"""Collect the facts of an error in the target process, from which advice is made later.

Decides nothing and advises nothing.
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

from resumectl.model.target_error import (
    ClassWithoutName,
    CodeLine,
    GlobalSetup,
    MissingModule,
    MissingTable,
    Mistyped,
    PythonError,
    TargetError,
)
from resumectl.probe.setup_code import creation_of, find_global, find_tables
from resumectl.probe.user_code import innermost_in_traceback, is_user_file
from resumectl.text import one_line

_MESSAGE_MAX = 2_000
_TRACEBACK_MAX = 50_000
# An environment variable that the program reads without a default.
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
    """The command line names something that cannot be run.

    Args:
        summary: Description of the problem, one line.
        cause: Facts from which advice is made.
    """

    def __init__(self, summary: str, cause: ClassWithoutName | Mistyped) -> None:
        super().__init__(summary)
        self.cause = cause


def describe_error(error: BaseException, *, roots: Sequence[Path]) -> TargetError:
    """Return the facts of an error, as an event records them.

    Args:
        error: The error as it was caught.
        roots: Directories of the program.
    """
    if isinstance(error, Unrunnable):
        return TargetError(str(error), error.cause)
    kind = type(error)
    cause = PythonError(
        type=f"{kind.__module__}.{kind.__qualname__}",
        message=str(error)[:_MESSAGE_MAX],
        where=_where(error, roots),
        traceback="".join(traceback.format_exception(error))[-_TRACEBACK_MAX:],
        dbos_version=_version_of("dbos"),
        missing_module=_missing_module(error, roots),
        half_imported=_half_imported(error),
        relative_path=_relative_path(error, roots),
        missing_table=_missing_table(error, roots),
        unset_global=_unset_global(error),
        unset_variables=_missing_variables(error),
    )
    return TargetError(one_line(error), cause)


def _where(error: BaseException, roots: Sequence[Path]) -> CodeLine | None:
    if isinstance(error, SyntaxError) and error.filename:
        return CodeLine(error.filename, error.lineno or 0, "", (error.text or "").strip())
    return innermost_in_traceback(error.__traceback__, roots)


def _relative_path(error: BaseException, roots: Sequence[Path]) -> str | None:
    """Return the relative path of a missing file that is in a directory of the program."""
    if not (isinstance(error, FileNotFoundError) and isinstance(error.filename, str)):
        return None
    name = error.filename
    is_there = any((root / name).exists() for root in roots)
    return name if is_there and not Path(name).is_absolute() else None


def _missing_table(error: BaseException, roots: Sequence[Path]) -> MissingTable | None:
    """Return the missing table that an error names, and where the program creates it."""
    table = _NO_TABLE.search(str(error))
    if table is None:
        return None
    name = table[1] or table[2]
    bare = name.rpartition(".")[2]
    return MissingTable(
        table=name,
        setup=find_tables(source_files(roots, creation_of(bare)), bare),
        migrations=tuple(
            each for each in _MIGRATIONS if any((root / each).is_file() for root in roots)
        ),
    )


def _half_imported(error: BaseException) -> str | None:
    """Return the partially imported module in which an error misses a name."""
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


def _unset_global(error: BaseException) -> GlobalSetup | None:
    """Return the code of the program's `main` that sets the global variable of an error."""
    frames = [each for each in _frames(error.__traceback__) if is_user_file(_file_of(each))]
    if not frames:
        return None
    file = Path(_file_of(frames[-1]))
    setups = (find_global(file, name) for name in _unset_names(error, frames[-1]))
    return next((setup for setup in setups if setup is not None), None)


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


def _missing_module(error: BaseException, roots: Sequence[Path]) -> MissingModule | None:
    """Return the missing module that an error names, and where it could come from."""
    if not (isinstance(error, ModuleNotFoundError) and error.name):
        return None
    package = error.name.partition(".")[0]
    # A package without a file may be shared by several distributions, unless it is the user's.
    imported = sys.modules.get(package)
    is_users = any(is_user_file(f"{each}/") for each in getattr(imported, "__path__", ()))
    if is_users or getattr(imported, "__file__", None):
        return MissingModule(error.name, package, needs_file=None, source=None, project=None)
    source = source_directory(error.name, roots)
    return MissingModule(
        module=error.name,
        package=None,
        needs_file=_needs_file(roots),
        source=str(source) if source is not None else None,
        project=_project_of(source) if source is not None else None,
    )


def _needs_file(roots: Sequence[Path]) -> str | None:
    """Return the file of a project that lists its dependencies."""
    candidates = (root / name for root in reversed(roots) for name in _NEEDS_FILES)
    return next((str(each) for each in candidates if each.is_file()), None)


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def source_directory(module: str, roots: Sequence[Path]) -> Path | None:
    """Return the directory that would have to be on the path to import a module.

    Args:
        module: Full name of the module.
        roots: Directories to search, with their parent directories.
    """
    top = module.partition(".")[0]
    for root in roots:
        for directory in (root, *root.parents[:4]):
            for name in _SOURCES:
                candidate = directory / name
                if (candidate / top).is_dir() or (candidate / f"{top}.py").is_file():
                    return candidate
    return None


def _project_of(source: Path) -> str | None:
    for directory in (source, *source.parents[:1]):
        if any((directory / name).is_file() for name in _PROJECT_FILES):
            return str(directory)
    return None


def _missing_variables(error: BaseException) -> tuple[str, ...]:
    """Return the environment variables that may have caused an error."""
    missing = _missing_variable(error)
    if missing is not None:
        return (missing,)
    return tuple(sorted(_unset_variables(error.__traceback__)))


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
    """Return the unset variables that the files of a traceback read."""
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
    """Return the files that may contain setup code.

    These are the user's imported modules, and files beside the target that mention the missing
    thing or import one of these modules. Other programs may be in the same directory.

    Args:
        roots: Directories of the program.
        mention: Pattern of a text that mentions the missing thing.
    """
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    imported = [Path(each) for each in files if isinstance(each, str) and is_user_file(each)]
    stems = "|".join(re.escape(each.stem) for each in imported)
    imports = rf"^\s*(?:from|import)\s+(?:{stems})\b"
    related = re.compile(f"{mention}|{imports}" if stems else mention, re.MULTILINE)
    beside = sorted(roots[-1].glob("*.py")) if roots else []
    return [*imported, *(each for each in beside if related.search(_text_of(str(each))))]
