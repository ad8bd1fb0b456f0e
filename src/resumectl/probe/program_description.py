"""Describe the program: the files that it has imported, and where its steps are defined."""

import hashlib
import inspect
import linecache
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from tokenize import TokenError

from resumectl.model.events import ProgramDescribed, StepDefinition, now_us
from resumectl.probe.user_code import is_user_file
from resumectl.probe.user_objects import Function

_DECORATORS_MAX = 50  # lines between the first decorator of a function and its name
_FUNCTION = ("def ", "async def ")
_definitions: dict[str, Function] = {}


def note_step(name: str, body: Function) -> None:
    """Note the body of a step, when the program defines the step or is about to run it.

    Args:
        name: Name of the step.
        body: Function of the program.
    """
    _definitions.setdefault(name, body)


def describe_program(before: Collection[str]) -> ProgramDescribed:
    """Return the description of the program.

    Args:
        before: Names of the modules that were imported before the program.
    """
    modules = [module for name, module in list(sys.modules.items()) if name not in before]
    files = {str(file) for module in modules if (file := getattr(module, "__file__", None))}
    sources = {
        file: hashlib.sha256(Path(file).read_bytes()).hexdigest()
        for file in sorted(files)
        if is_user_file(file) and Path(file).is_file()
    }
    found = (_definition(name, body) for name, body in sorted(_definitions.items()))
    return ProgramDescribed(now_us(), sources, tuple(filter(None, found)))


def _definition(name: str, body: Function) -> StepDefinition | None:
    """Return where a step is defined; None for a body that is no function of the user's."""
    code = getattr(inspect.unwrap(body), "__code__", None)
    if code is None or not is_user_file(code.co_filename):
        return None
    first: int = code.co_firstlineno  # that of the first decorator
    lines = linecache.getlines(code.co_filename)[first - 1 :]
    heads = enumerate(lines[:_DECORATORS_MAX], start=first)
    named = (number for number, line in heads if line.lstrip().startswith(_FUNCTION))
    return StepDefinition(name, code.co_filename, next(named, first), _digest(lines))


def _digest(lines: Sequence[str]) -> str:
    """Return the digest of the function that these lines begin with; empty if there is none.

    Args:
        lines: Lines of the file, from the first line of the function.
    """
    try:
        # Not `inspect.getsource`, which looks through the paths of all modules first (0.02 s).
        text = "".join(inspect.getblock(lines))
    except (SyntaxError, TokenError):  # the file has changed since the import
        return ""
    return hashlib.sha256(text.encode()).hexdigest() if text else ""
