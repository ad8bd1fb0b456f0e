"""Find the interpreters that run the target, and say how they start the probe."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import resumectl
from resumectl.errors import NothingProved, Refusal
from resumectl.model.interpreter import Interpreter, Interpreters, Source
from resumectl.model.target import Target
from resumectl.release import dbos_release, require_dbos
from resumectl.runner.fork_server_client import ProbeStart
from resumectl.runner.interpreter_description import Candidate, describe

PACKAGE = Path(resumectl.__file__).parent
_START = PACKAGE / "probe" / "start.py"
# How resumectl's own interpreter starts a module; its name and arguments follow.
OWN_START = (sys.executable, str(_START), "")


def own_interpreter() -> Interpreter:
    """Return the interpreter of resumectl itself.

    Raises:
        Refusal: Its DBOS is not supported.
    """
    require_dbos()
    return Interpreter(
        path=sys.executable,
        source=Source.OWN,
        is_own=True,
        python=".".join(map(str, sys.version_info[:3])),
        dbos=dbos_release(),
        sqlalchemy=version("sqlalchemy"),
    )


def find_interpreter(
    given: str | None, program: Path, environ: Mapping[str, str] = os.environ
) -> Interpreter:
    """Return the interpreter that runs a program.

    It is the one of `--python`, else of RESUMECTL_PYTHON, else of the active virtual environment, else
    of the directory `.venv` next to a pyproject.toml, in the program's directory or in one above it, else
    resumectl's own.

    Args:
        given: Path that the user typed; None for none.
        program: File or directory of the program.
        environ: The user's environment.

    Raises:
        Refusal: It cannot run the program, for example because it has no DBOS.
    """
    found = next(_candidates(given, program, environ), None)
    if found is None:
        return own_interpreter()
    return _described(found)


def _described(found: Candidate) -> Interpreter:
    own = Path(sys.executable)
    # Both are links to one file where another environment has the same Python.
    if found.path.parent == own.parent and found.path.resolve() == own.resolve():
        return replace(own_interpreter(), source=found.source)
    return describe(found)


def interpreters_of(
    target: Target, given: str | None, given_later: str | None
) -> Interpreters | None:
    """Return the interpreters that run a target; None for the built-in publisher.

    Args:
        target: The target.
        given: Path that the user typed for all processes; None for none.
        given_later: Path for the processes after the kill; None for the same.

    Raises:
        Refusal: One cannot run the target, or the publisher was to run in another one.
    """
    if target.entry is None:
        if given is not None or given_later is not None:
            raise Refusal(
                "the built-in publisher runs in resumectl's own interpreter",
                next_step=f"leave out  {Source.OPTION if given_later is None else Source.LATER_OPTION};  "
                "or name a program, as in  shop.py:checkout",
            )
        return None
    first = find_interpreter(given, _program_of(target))
    if given_later is None:
        return Interpreters.alike(first)
    return Interpreters(first, _described(Candidate(_path_of(given_later), Source.LATER_OPTION)))


def interpreters_here(begun_with: Interpreters | None, target: Target) -> Interpreters | None:
    """Return this machine's interpreters for a sweep that may have begun on another one.

    An interpreter is the one at the path with which the sweep began. On a machine without that path it is
    the one that a sweep here would begin with.

    Args:
        begun_with: Interpreters with which the sweep began; None for the built-in publisher.
        target: Target of the sweep.

    Raises:
        NothingProved: An interpreter here has other releases.
        Refusal: An interpreter cannot run the target.
    """
    if begun_with is None:
        return None
    first = _interpreter_here(begun_with.first, target)
    if not begun_with.are_two:
        return Interpreters.alike(first)
    return Interpreters(first, _interpreter_here(begun_with.later, target))


def _interpreter_here(begun_with: Interpreter, target: Target) -> Interpreter:
    path = Path(begun_with.path)
    is_here = path.is_file()
    if is_here or begun_with.source is Source.LATER_OPTION:
        found = _described(Candidate(path, begun_with.source))
    elif begun_with.source is Source.OPTION and not os.environ.get(Source.VARIABLE):
        raise NothingProved(
            f"the sweep began with {path} (from {Source.OPTION}), which does not exist here",
            next_step=f"export {Source.VARIABLE}=PATH  of the same environment on this machine",
        )
    else:
        found = find_interpreter(None, _program_of(target))
    mine, theirs = _releases_of(found), _releases_of(begun_with)
    if mine != theirs:
        raise NothingProved(
            f"the sweep began with {theirs}, and {found.path} (from {found.source}) has {mine}",
            next_step="install these releases there again"
            if is_here
            else f"export {Source.VARIABLE}=PATH  of an interpreter with these releases",
        )
    return found


def _releases_of(interpreter: Interpreter) -> str:
    python = ".".join(interpreter.python.split(".")[:2])
    return f"Python {python}, DBOS {interpreter.dbos}, SQLAlchemy {interpreter.sqlalchemy}"


def _program_of(target: Target) -> Path:
    module = target.entry[0] if target.entry is not None else ""
    return Path(module) if module.endswith(".py") else Path.cwd()


def _candidates(
    given: str | None, program: Path, environ: Mapping[str, str]
) -> Iterator[Candidate]:
    """Yield the interpreters that may be meant, the most explicit first."""
    if given is not None:
        yield Candidate(_path_of(given), Source.OPTION)
    if environ.get(Source.VARIABLE):
        yield Candidate(_path_of(environ[Source.VARIABLE]), Source.VARIABLE)
    if environ.get("VIRTUAL_ENV"):
        yield Candidate(_python_of(Path(environ["VIRTUAL_ENV"])), Source.ACTIVE)
    for directory in (program, *program.parents):
        environment = directory / ".venv"
        if (directory / "pyproject.toml").is_file() and (environment / "pyvenv.cfg").is_file():
            yield Candidate(_python_of(environment), Source.PROJECT)


def _path_of(given: str) -> Path:
    """Return the path of an interpreter that a user named; a name without a directory is a command."""
    path = Path(given).expanduser()
    command = None if os.sep in given or path.is_file() else shutil.which(given)
    return Path(command or path).absolute()


def _python_of(environment: Path) -> Path:
    return environment / "bin" / "python"


def probe_start(interpreter: Interpreter, directory: Path) -> ProbeStart:
    """Return how an interpreter starts a module of the probe.

    Args:
        interpreter: The interpreter.
        directory: Directory to make, from which another interpreter imports resumectl, and nothing
            else of resumectl's environment.
    """
    if interpreter.is_own:
        return ProbeStart(OWN_START, import_error=None)
    directory.mkdir()
    (directory / PACKAGE.name).symlink_to(PACKAGE)
    command = [interpreter.path, str(_START), str(directory)]
    return ProbeStart(command, import_error=directory / "import-error")
