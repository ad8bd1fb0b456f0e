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
from resumectl.errors import MachineFailure, NothingProved, Refusal
from resumectl.model.interpreter import TYPED, TYPED_LATER, Interpreter, Interpreters
from resumectl.model.target import Target
from resumectl.release import SUPPORTED, dbos_release, is_supported, require_dbos
from resumectl.runner.fork_server_client import ProbeStart
from resumectl.text import shell_word

PYTHON_VARIABLE = "RESUMECTL_PYTHON"
PACKAGE = Path(resumectl.__file__).parent
_START = PACKAGE / "probe" / "start.py"
_DESCRIBE = PACKAGE / "probe" / "describe_interpreter.py"
_PYTHON_MIN = (3, 10)
_HOME_VARIABLE = "PYTHONHOME"
_ANSWER_MAX_S = 60.0


class Candidate(NamedTuple):
    """An interpreter that may run the target: its path, and where that comes from."""

    path: Path
    source: str

    def __str__(self) -> str:
        return f"{self.path} (from {self.source})"

    @property
    def another(self) -> str:
        """Next step that names another interpreter in place of this one."""
        option = TYPED_LATER if self.source == TYPED_LATER else TYPED
        return f"name another one:  {option} PATH"


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
                next_step=f"leave out  {TYPED if given_later is None else TYPED_LATER};  "
                "or name a program, as in  shop.py:checkout",
            )
        return None
    module = target.entry[0]
    first = find_interpreter(given, Path(module) if module.endswith(".py") else Path.cwd())
    if given_later is None:
        return Interpreters(first, first)
    return Interpreters(first, _described(Candidate(Path(given_later).absolute(), TYPED_LATER)))


def interpreters_here(begun_with: Interpreters | None, target: Target) -> Interpreters | None:
    """Return this machine's interpreters for a sweep that may have begun on another one.

    Args:
        begun_with: Interpreters with which the sweep began; None for the built-in publisher.
        target: Target of the sweep.

    Raises:
        NothingProved: An interpreter here has another release of DBOS.
        Refusal: An interpreter cannot run the target.
    """
    if begun_with is None:
        return None
    first, later = begun_with.first, begun_with.later
    is_typed = first.source == TYPED and Path(first.path).is_file()
    found = interpreters_of(
        target,
        first.path if is_typed else None,
        later.path if later.source == TYPED_LATER else None,
    )
    if found is not None:
        _refuse_other_release(first, found.first)
        _refuse_other_release(later, found.later)
    return found


def _refuse_other_release(begun_with: Interpreter, here: Interpreter) -> None:
    if here.dbos != begun_with.dbos:
        raise NothingProved(
            f"the sweep began with DBOS {begun_with.dbos}, and {here.path} (from {here.source}) "
            f"has {here.dbos}",
            next_step=f"export {PYTHON_VARIABLE}=PATH  of an interpreter with that release",
        )


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
            environment = directory / ".venv"
            if (environment / "pyvenv.cfg").is_file():
                yield Candidate(_python_of(environment), str(environment))
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
    about = _answer_of(candidate)
    python = str(about["python"])
    if tuple(map(int, python.split(".")[:2])) < _PYTHON_MIN:
        raise Refusal(
            f"{candidate} is Python {python}, and 3.10 or later is needed",
            next_step=candidate.another,
        )
    if about["shadow"]:
        raise Refusal(
            f"{about['shadow']} has the name of resumectl's own package, and would hide it",
            next_step="run the command elsewhere, or give that another name",
        )
    if not about["dbos"]:
        install = f"{shell_word(str(candidate.path))} -m pip install dbos"
        raise MachineFailure(
            f"{candidate} has no dbos", next_step=f"{candidate.another};  or  {install}"
        )
    if not is_supported(about["dbos"]):
        raise MachineFailure(
            f"{candidate} has dbos {about['dbos']}; supported are {SUPPORTED}",
            next_step=candidate.another,
        )
    return Interpreter(
        path=str(candidate.path),
        source=candidate.source,
        # Two releases of Python may have one prefix, such as /usr.
        is_own=about["prefix"] == sys.prefix and python == _own_python(),
        python=python,
        dbos=about["dbos"],
        sqlalchemy=about["sqlalchemy"],
    )


def _answer_of(candidate: Candidate) -> dict[str, str]:
    path = candidate.path
    if not path.is_file():
        what = "is a directory" if path.is_dir() else "does not exist"
        if path.is_symlink() and not path.exists():
            what = f"is a link to {path.readlink()}, which leads to no file"
        raise Refusal(f"{candidate} {what}", next_step=candidate.another)
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
                f"{candidate} cannot be run: {error.strerror}", next_step=candidate.another
            ) from None
        except subprocess.TimeoutExpired:
            raise Refusal(
                f"{candidate} does not answer within {_ANSWER_MAX_S:.0f} s",
                next_step=candidate.another,
            ) from None
        finally:
            os.close(writer)
        text = answer.read()
    try:
        about: dict[str, str] = json.loads(text)
    except json.JSONDecodeError:
        said = ended.stderr.decode(errors="replace").strip().splitlines()
        said = [line for line in said if "error" in line.lower()] or said
        why = said[-1] if said else f"exit status {ended.returncode}"
        if _HOME_VARIABLE in os.environ:
            raise Refusal(
                f"{candidate} does not start where {_HOME_VARIABLE} is set: {why}",
                next_step=f"unset {_HOME_VARIABLE},  which names the files of another Python",
            ) from None
        raise Refusal(f"{candidate} is no Python: {why}", next_step=candidate.another) from None
    return about


def probe_start(interpreter: Interpreter | None, directory: Path) -> ProbeStart:
    """Return how an interpreter starts a module of the probe.

    Args:
        interpreter: The interpreter; None for resumectl's own.
        directory: Directory to make, from which another interpreter imports resumectl, and nothing
            else of resumectl's environment.
    """
    if interpreter is None or interpreter.is_own:
        return ProbeStart([sys.executable, "-m"], import_error=None)
    directory.mkdir()
    (directory / PACKAGE.name).symlink_to(PACKAGE)
    command = [interpreter.path, str(_START), str(directory)]
    return ProbeStart(command, import_error=directory / "import-error")
