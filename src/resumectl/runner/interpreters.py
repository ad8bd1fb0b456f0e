"""Find the interpreter that runs the target, and ask it what it is. Imports nothing of the program."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import resumectl
from resumectl.errors import NothingProved, Refusal
from resumectl.model.interpreter import TYPED, Interpreter
from resumectl.model.target import Target
from resumectl.release import dbos_release, require_dbos, require_supported
from resumectl.runner.fork_server_client import IMPORT_PATH

PYTHON_VARIABLE = "RESUMECTL_PYTHON"
PACKAGE = Path(resumectl.__file__).parent
_START = PACKAGE / "probe" / "start.py"
_DESCRIBE = PACKAGE / "probe" / "describe_interpreter.py"
_PYTHON_MIN = (3, 10)
_ANSWER_MAX_S = 60.0
_OTHER = "name another one:  --python PATH"


class Candidate(NamedTuple):
    """An interpreter that may run the target: its path, and where that comes from."""

    path: Path
    source: str


def own_interpreter() -> Interpreter:
    """Return the interpreter of resumectl itself.

    Raises:
        Refusal: Its DBOS is not supported.
    """
    require_dbos()
    return Interpreter(
        path=sys.executable,
        source="resumectl's own",
        is_own=True,
        python=_own_python(),
        dbos=dbos_release(),
        sqlalchemy=version("sqlalchemy"),
    )


def _own_python() -> str:
    return ".".join(map(str, sys.version_info[:3]))


def find_interpreter(
    given: str | None, program: Path, environ: Mapping[str, str] = os.environ
) -> Interpreter:
    """Return the interpreter that runs a program.

    It is the one of `--python`, else of RESUMECTL_PYTHON, else of the active virtual environment, else
    of the directory `.venv` beside the program's pyproject.toml, else resumectl's own.

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
    own = Path(sys.executable)
    # Both are links to one file where another environment has the same Python.
    if found.path.parent == own.parent and found.path.resolve() == own.resolve():
        return replace(own_interpreter(), source=found.source)
    return describe(found)


def interpreter_of(target: Target, given: str | None) -> Interpreter | None:
    """Return the interpreter that runs a target; None for the built-in publisher.

    Args:
        target: The target.
        given: Path that the user typed; None for none.

    Raises:
        Refusal: The interpreter cannot run it, or the publisher was to run in another one.
    """
    if target.entry is None:
        if given is not None:
            raise Refusal(
                "the built-in publisher runs in resumectl's own interpreter",
                next_step="leave out  --python;  or name a program, as in  shop.py:checkout",
            )
        return None
    module = target.entry[0]
    return find_interpreter(given, Path(module) if module.endswith(".py") else Path.cwd())


def interpreter_here(begun_with: Interpreter | None, target: Target) -> Interpreter | None:
    """Return this machine's interpreter for a sweep that may have begun on another one.

    Args:
        begun_with: Interpreter with which the sweep began; None for the built-in publisher.
        target: Target of the sweep.

    Raises:
        NothingProved: The interpreter here has another release of DBOS.
        Refusal: The interpreter cannot run the target.
    """
    if begun_with is None:
        return None
    is_typed = begun_with.source == TYPED and Path(begun_with.path).is_file()
    found = interpreter_of(target, begun_with.path if is_typed else None)
    if found is not None and found.dbos != begun_with.dbos:
        raise NothingProved(
            f"the sweep began with DBOS {begun_with.dbos}, and {found.path} (from {found.source}) "
            f"has {found.dbos}",
            next_step=f"export {PYTHON_VARIABLE}=PATH  of an interpreter with that release",
        )
    return found


def _candidates(
    given: str | None, program: Path, environ: Mapping[str, str]
) -> Iterator[Candidate]:
    """Yield the interpreters that may be meant, the most explicit first."""
    if given is not None:
        yield Candidate(Path(given).absolute(), TYPED)
    if environ.get(PYTHON_VARIABLE):
        yield Candidate(Path(environ[PYTHON_VARIABLE]).absolute(), PYTHON_VARIABLE)
    if environ.get("VIRTUAL_ENV"):
        yield Candidate(_python_of(Path(environ["VIRTUAL_ENV"])), "the active virtual environment")
    for directory in (program, *program.parents):
        if (directory / "pyproject.toml").is_file():
            python = _python_of(directory / ".venv")
            if python.exists():
                yield Candidate(python, f"{directory / '.venv'}")
            return


def _python_of(environment: Path) -> Path:
    return environment / "bin" / "python"


def describe(candidate: Candidate) -> Interpreter:
    """Return an interpreter, as it describes itself.

    Args:
        candidate: The interpreter.

    Raises:
        Refusal: It does not run, or cannot run a target.
    """
    path, source = candidate
    about = _answer_of(path, source)
    python = str(about["python"])
    if tuple(map(int, python.split(".")[:2])) < _PYTHON_MIN:
        raise Refusal(
            f"{path} (from {source}) is Python {python}, and 3.10 or later is needed",
            next_step=_OTHER,
        )
    if about["shadow"]:
        raise Refusal(
            f"{about['shadow']} has the name of resumectl's own package, and would hide it",
            next_step="run the command elsewhere, or give that another name",
        )
    require_supported(about["dbos"], path, source)
    return Interpreter(
        path=str(path),
        source=source,
        # Two releases of Python may have one prefix, such as /usr.
        is_own=about["prefix"] == sys.prefix and python == _own_python(),
        python=python,
        dbos=about["dbos"],
        sqlalchemy=about["sqlalchemy"],
    )


def _answer_of(path: Path, source: str) -> dict[str, str]:
    if not path.is_file():
        what = "is a directory" if path.is_dir() else "does not exist"
        raise Refusal(f"{path} (from {source}) {what}", next_step=_OTHER)
    reader, writer = os.pipe()
    with os.fdopen(reader) as answer:
        try:
            ended = subprocess.run(
                [path, _DESCRIBE, str(writer)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(writer,),
                timeout=_ANSWER_MAX_S,
                check=False,
            )
        except OSError as error:  # no program, or one for another machine
            raise Refusal(
                f"{path} (from {source}) cannot be run: {error.strerror}", next_step=_OTHER
            ) from None
        except subprocess.TimeoutExpired:
            raise Refusal(
                f"{path} (from {source}) does not answer within {_ANSWER_MAX_S:.0f} s",
                next_step=_OTHER,
            ) from None
        finally:
            os.close(writer)
        text = answer.read()
    try:
        about: dict[str, str] = json.loads(text)
    except json.JSONDecodeError:
        said = ended.stderr.decode(errors="replace").strip().splitlines()
        why = said[-1] if said else f"exit status {ended.returncode}"
        raise Refusal(f"{path} (from {source}) is no Python: {why}", next_step=_OTHER) from None
    return about


def start_command(interpreter: Interpreter | None, root: Path) -> list[str | Path]:
    """Return the command that starts a module of the probe, without the module's name.

    Args:
        interpreter: Interpreter of the target; None for resumectl's own.
        root: Directory of all sandboxes. It gets a directory from which another interpreter imports
            resumectl, and nothing else of resumectl's environment.
    """
    if interpreter is None or interpreter.is_own:
        return [sys.executable, "-m"]
    path = root / IMPORT_PATH
    path.mkdir()
    (path / PACKAGE.name).symlink_to(PACKAGE)
    return [interpreter.path, _START, path]
