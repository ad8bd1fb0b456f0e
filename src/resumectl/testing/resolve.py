"""Turn the target and the options of a crash test into a sweep spec."""

import functools
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from resumectl.cli.configured import Given, read_one_spec
from resumectl.cli.configured_spec import ConfiguredSpec
from resumectl.cli.project_file import KEYS
from resumectl.cli.target_options import ChoiceOptions, TargetOptions, TrialOptions
from resumectl.errors import Refusal
from resumectl.model.interpreter import Interpreters
from resumectl.model.target import Target
from resumectl.runner.interpreters import own_interpreter
from resumectl.testing.declare import AnyTarget, CrashOptions, Declared

# Options that are the same on the command line and in a test.
_TARGET_OPTIONS = (
    "client",
    "prepare",
    "redirect",
    "allow_database",
    "allow_host",
    "timeout",
    "max_sleep",
)
# Names of the same options on the command line, where a test has another one.
_SAME_AS = {"promises": "promise", "max": "max_trials"}
_PROGRAM_OPTIONS = ("after_launch", "observe", "resume_with")
_TRIAL_OPTIONS = ("downtime", "resume_version")


def resolve(declared: Declared, module: ModuleType | None, root: Path, on: str) -> ConfiguredSpec:
    """Return the sweep spec of a crash test, and where its options come from.

    Args:
        declared: Target and options.
        module: Module of the test.
        root: Directory to which the file of a target is relative.
        on: Kind of database, if the test does not say.

    Raises:
        Refusal: The target or an option is invalid.
    """
    options = declared.options
    unknown = sorted(options.keys() - CrashOptions.__annotations__.keys())
    if unknown:
        raise Refusal(
            f"unknown option {unknown[0]!r} of a crash test",
            next_step=f"one of {', '.join(CrashOptions.__annotations__)}",
        )
    for name, value in options.items():
        _check(name, value, root)
    functions = {
        name: target_text(value, module, root)
        for name, value in options.items()
        if name in _PROGRAM_OPTIONS
    }
    target = TargetOptions(
        target=target_text(declared.target, module, root),
        args=_json(list(options.get("args", ())), "args"),
        kwargs=_json(dict(options.get("kwargs", {})), "kwargs"),
        env=[f"{name}={value}" for name, value in options.get("env", {}).items()],
        python=sys.executable,
        on=options.get("on", on or "sqlite"),
        after_launch=functions.get("after_launch"),
        observe=functions.get("observe"),
        **_given(options, _TARGET_OPTIONS),
    )
    trial = TrialOptions(
        promise=[f"{name}={promise}" for name, promise in options.get("promises", {}).items()],
        resume_with=functions.get("resume_with"),
        **_given(options, _TRIAL_OPTIONS),
    )
    choice = ChoiceOptions(
        edge=options.get("edge"),
        only=options.get("only"),
        max_trials=options.get("max"),
        seed=options.get("seed", 1),
    )
    # What the test says goes before the configuration of the project.
    typed = {"python", *(_SAME_AS.get(name, name) for name in options)}
    given = Given(target, trial, choice, options.get("app_version"), typed)
    file = getattr(module, "__file__", None)
    configured = read_one_spec(given, Path(file).parent if file else root)
    spec = replace(
        configured.spec,
        target=_importing(configured.spec.target, module),
        later=_importing(configured.spec.later, module),
        interpreters=Interpreters.alike(own_interpreter()),
    )
    return replace(configured, spec=spec)


def _importing(target: Target, module: ModuleType | None) -> Target:
    """Return the target whose processes import what the tests import."""
    return replace(target, environ=_environ(target.environ, module))


def _check(name: str, value: object, root: Path) -> None:
    """Check the type of an option, as the configuration of a project is checked."""
    key = KEYS[name.replace("_", "-")]
    if name in _PROGRAM_OPTIONS:
        return
    try:
        key.convert(list(value) if isinstance(value, tuple) else value, root)
    except TypeError:
        kind = _python_kind(key.kind)
        raise Refusal(
            f"the option {name} of a crash test is not {kind}", next_step=f"give it {kind}"
        ) from None


def _python_kind(kind: str) -> str:
    """Return the kind of a value of TOML, as Python names it."""
    if kind.startswith("a table such as"):
        return 'a dict such as {"charge": "exactly-once"}'
    return kind.replace("a table of", "a dict of").replace("an array of", "a list of")


def _given(options: CrashOptions, names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name in names}


def _json(value: object, name: str) -> str:
    try:
        return json.dumps(value)
    except TypeError as error:
        raise Refusal(
            f"{name} of a crash test are values that JSON has: {error}",
            next_step="make them in the request of a Scenario",
        ) from None


def _environ(given: Mapping[str, str], module: ModuleType | None) -> dict[str, str]:
    """Return the environment variables of the target process; it imports what the tests import."""
    file = getattr(module, "__file__", None)
    # These are on the path of a target process anyway. The script `pytest` adds its own directory.
    scripts = str(Path(sys.executable).parent)
    known = {*_usual_path(), scripts, str(Path.cwd()), str(Path(file).parent) if file else ""}
    paths = (os.path.abspath(each) for each in sys.path)  # noqa: PTH100 (`..` and links stay)
    before = [given["PYTHONPATH"]] if "PYTHONPATH" in given else []
    path = [*before, *(each for each in dict.fromkeys(paths) if each not in known)]
    return {**given, **({"PYTHONPATH": os.pathsep.join(path)} if path else {})}


@functools.cache
def _usual_path() -> list[str]:
    """Return the import path of this interpreter when it starts, without what pytest has added."""
    command = [sys.executable, "-c", "import json, sys; print(json.dumps(sys.path))"]
    path: list[str] = json.loads(subprocess.check_output(command))
    return path


def target_text(target: AnyTarget, module: ModuleType | None, root: Path) -> str:
    """Return the text that names a target on the command line, with the full path of its file.

    Args:
        target: Text, workflow, function or Scenario.
        module: Module of the test, in which a Scenario has its name.
        root: Directory to which the file of a target is relative.

    Raises:
        Refusal: The target has no name in a module.
    """
    if isinstance(target, str):
        file, colon, name = target.rpartition(":")
        return f"{root / file}:{name}" if file.endswith(".py") else f"{file}{colon}{name}"
    owner = getattr(target, "__self__", None)
    if owner is not None and not isinstance(owner, type):
        return f"{_global_name(owner, module)}.{target.__name__}"  # an instance of a program
    if not inspect.isroutine(target):
        if not hasattr(target, "request"):
            raise Refusal(
                f"{target!r} is no target of a crash test",
                next_step='give it "FILE.py:NAME", a workflow, a function or a Scenario',
            )
        return _global_name(target, module)
    home = sys.modules.get(target.__module__)
    if home is None or not home.__file__ or "<" in target.__qualname__:
        raise _without_name(target)
    return f"{home.__file__}:{target.__qualname__}"


def _global_name(target: AnyTarget, module: ModuleType | None) -> str:
    """Return the file and the name of an object, preferably in the module of the test."""
    modules = [*([module] if module is not None else []), *list(sys.modules.values())]
    for each in modules:
        if getattr(each, "__file__", None):
            for name, value in list(vars(each).items()):
                if value is target:
                    return f"{each.__file__}:{name}"
    raise _without_name(target)


def _without_name(target: AnyTarget) -> Refusal:
    what = getattr(target, "__qualname__", None) or f"the {type(target).__name__}"
    return Refusal(
        f"{what} has no name in a module, and other processes could not find it",
        next_step="assign it to a name of the module, as in  scenario = Scenario(request)",
    )
