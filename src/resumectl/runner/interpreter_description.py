"""Ask a Python interpreter what it is. Imports nothing of the program."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from resumectl.errors import MachineFailure, Refusal
from resumectl.model.interpreter import Interpreter, Source
from resumectl.release import SUPPORTED, is_supported
from resumectl.text import shell_word

_DESCRIBE = Path(__file__).parents[1] / "probe" / "describe_interpreter.py"
_PYTHON_MIN = (3, 10)
_HOME_VARIABLE = "PYTHONHOME"
_ANSWER_MAX_S = 60.0
# How to name another interpreter, where no option names this one.
_ANOTHER: Mapping[Source, str] = {
    Source.VARIABLE: f"set {Source.VARIABLE} to another one, or unset it",
    Source.ACTIVE: "activate another environment, or unset VIRTUAL_ENV",
    Source.PROJECT: f"make the environment again, or  export {Source.VARIABLE}=PATH  of another one",
    Source.OWN: f"export {Source.VARIABLE}=PATH  of another one",
}


class Candidate(NamedTuple):
    """An interpreter that may run the target: its path, and where that comes from."""

    path: Path
    source: Source

    def __str__(self) -> str:
        return f"{self.path} (from {self.source})"

    @property
    def another(self) -> str:
        """Next step that names another interpreter in place of this one."""
        return _ANOTHER.get(self.source, f"name another one:  {self.source} PATH")


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
    if about["sqlalchemy"].startswith(("0.", "1.")):
        raise Refusal(
            f"{candidate} has SQLAlchemy {about['sqlalchemy']}, and 2.0 or later is needed",
            next_step=candidate.another,
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
        # Two releases of Python may have one prefix, such as /usr; and a script may start Python.
        is_own=about["prefix"] == sys.prefix
        and candidate.path.resolve() == Path(sys.executable).resolve(),
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
    # Files, not pipes: a process that the interpreter leaves behind keeps a pipe open.
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as errors:
        try:
            ended = subprocess.run(
                [path, _DESCRIBE, str(answer.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                pass_fds=(answer.fileno(),),
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
        answer.seek(0)
        errors.seek(0)
        text, said = answer.read(), errors.read().decode(errors="replace").strip().splitlines()
    try:
        about: dict[str, str] = json.loads(text)
    except json.JSONDecodeError:
        said = [line for line in said if "error" in line.lower()] or said
        why = said[-1] if said else _how_it_ended(ended.returncode)
        if _HOME_VARIABLE in os.environ:
            raise Refusal(
                f"{candidate} does not start where {_HOME_VARIABLE} is set: {why}",
                next_step=f"unset {_HOME_VARIABLE},  which names the files of another Python",
            ) from None
        raise Refusal(
            f"{candidate} does not run as Python: {why}", next_step=candidate.another
        ) from None
    return about


def _how_it_ended(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
