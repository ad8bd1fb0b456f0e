"""Describe the program: the files that it has imported, and where its steps are defined."""

import hashlib
import inspect
import linecache
import sys
from collections.abc import Collection
from pathlib import Path

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
    lines = range(first, first + _DECORATORS_MAX)
    text = (linecache.getline(code.co_filename, line).lstrip() for line in lines)
    named = (n for n, each in zip(lines, text, strict=True) if each.startswith(_FUNCTION))
    try:
        digest = hashlib.sha256(inspect.getsource(code).encode()).hexdigest()
    except (OSError, TypeError):  # the text is not there, or has changed since the import
        digest = ""
    return StepDefinition(name, code.co_filename, next(named, first), digest)
