"""Load the program under test: a workflow, a client's function, a Scenario, or the built-in publisher.

Runs in the target process, the only process that loads code of the program.
"""

import asyncio
import functools
import hashlib
import importlib
import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import cast

from dbos import DBOS, SetWorkflowID

from resumectl.model.codec import Plain
from resumectl.model.events import StartedWorkflow
from resumectl.model.promise import Promise
from resumectl.model.target import BUILTIN_MODULE, Target
from resumectl.model.target_error import NotAFunction, ScenarioWithArguments, UnknownName
from resumectl.probe.error_facts import Unrunnable
from resumectl.probe.module_loader import import_once, import_target, locate
from resumectl.probe.scenario import Scenario
from resumectl.probe.setup_code import find_global
from resumectl.probe.stable_repr import stable_repr
from resumectl.probe.target_candidates import (
    arguments_of,
    file_of,
    is_client,
    refuse_what_cannot_be_run,
    workflow_names,
)
from resumectl.probe.user_objects import Function, UserObject

_OF_A_HANDLE = ("get_workflow_id", "get_result", "get_status")  # public methods of DBOS 3.4.0


def load_target(target: Target, database_url: str, deployed_as: str | None = None) -> Scenario:
    """Import the program under test, with the function that observes the outside world.

    Args:
        target: The target that the command line names.
        database_url: URL of the trial's database, for the built-in publisher.
        deployed_as: Module or file of the previous release, whose module name this one gets.

    Raises:
        LookupError: There is no such file or module.
        Unrunnable: The target can be neither started nor called, or its arguments do not fit.
    """
    if target.entry is None:
        builtin = importlib.import_module(BUILTIN_MODULE)
        scenario: Scenario = builtin.publisher_scenario(target, database_url)
        return scenario
    scenario = _scenario_of(target, target.entry, deployed_as)
    observe = _named_function(target.observe, "--observe ")
    return scenario if observe is None else replace(scenario, observe=observe)


def _scenario_of(target: Target, entry: tuple[str, str], deployed_as: str | None) -> Scenario:
    module_name, name = entry
    module = import_target(module_name, deployed_as)
    owner, found = _resolve_name(module, entry)
    if isinstance(found, Scenario):
        if target.args or target.kwargs:
            raise Unrunnable(f"{name} is a Scenario, and takes no --args", ScenarioWithArguments())
        for each, promise in found.promises.items():
            Promise.named(promise, of=each)
        return found
    refuse_what_cannot_be_run(target, module, owner, found)
    args, kwargs = arguments_of(found, target, module)
    if is_client(owner, found):
        return Scenario(request=functools.partial(found, *args, **kwargs))
    workflow_id = f"{name.rpartition('.')[2]}-1"
    return Scenario(request=functools.partial(_start_and_wait, found, workflow_id, args, kwargs))


def with_import_as_client(
    scenario: Scenario, target: Target, started: Sequence[StartedWorkflow]
) -> Scenario:
    """Return a scenario whose client is the import of the program, if the import starts the workflow.

    Args:
        scenario: Scenario of the target.
        target: The target that the command line names.
        started: Workflows that the import has started.
    """
    name = target.entry[1] if target.entry is not None else ""
    ids = [each.id for each in started if each.name.partition(" on queue ")[0] == name]
    is_plain = isinstance(scenario.request, functools.partial)
    return (
        replace(scenario, request=functools.partial(_wait_for, ids))
        if ids and is_plain
        else scenario
    )


def _wait_for(workflow_ids: Sequence[str]) -> object:
    return [DBOS.retrieve_workflow(each).get_result() for each in workflow_ids]


def after_launch(target: Target) -> Function | None:
    """Return the function to call after launch, which the program's `main` would call; None if not set.

    Raises:
        Unrunnable: There is no such function, or it takes arguments.
    """
    return _named_function(target.after_launch, "--after-launch ")


def _named_function(entry: tuple[str, str] | None, option: str) -> Function | None:
    """Return a function that is called without arguments; None if the option is not set.

    Args:
        entry: Module (or absolute path of a file) and name of the function.
        option: Text that the user types before it, for the error.

    Raises:
        Unrunnable: There is no such function, or it takes arguments.
    """
    if entry is None:
        return None
    module_name, name = entry
    _, found = _resolve_name(import_once(module_name), entry, option=option)
    if not callable(found):
        raise Unrunnable(f"{option}{name} is no function", NotAFunction())
    try:
        inspect.signature(found).bind()
    except TypeError as error:
        signature = f"{name}{inspect.signature(found)}"
        raise Unrunnable(
            f"{option}{signature} is called without arguments: {error}", NotAFunction()
        ) from None
    return found  # type: ignore[no-any-return]


def _resolve_name(
    module: ModuleType, target: tuple[str, str], *, option: str = ""
) -> tuple[object, UserObject]:
    """Return the owner of a dotted name in a module, and the object that the name stands for.

    Args:
        module: The module.
        target: File or name of the module, and the dotted name.
        option: Text that the user types before the target, for the error.
    """
    file, name = target
    owner: object = None
    found: UserObject = module
    for part in name.split("."):
        try:
            owner, found = found, getattr(found, part)
        except AttributeError:
            module_file = file_of(module) if found is module else None
            workflows = [] if option else list(workflow_names(module))
            names = [name for name, value in vars(module).items() if _is_own(module, name, value)]
            near = get_close_matches(name, {*workflows, *names}, n=3, cutoff=0.0)
            nearest = f"; the nearest are {', '.join(near)}" if near else "; it is empty"
            raise Unrunnable(
                f"{Path(file).name} has no {name}{nearest}",
                UnknownName(
                    file=file,
                    nearest=tuple(get_close_matches(name, names, n=1)),
                    workflows=tuple(sorted(workflows, key=lambda each: each not in near)),
                    option=option,
                    unset_global=find_global(module_file, part) if module_file else None,
                ),
            ) from None
    return owner, found


def _is_own(module: ModuleType, name: str, value: object) -> bool:
    """Return whether a module defines a name, rather than imports it."""
    is_defined = getattr(value, "__module__", None) == module.__name__
    return not name.startswith("_") and (is_defined or isinstance(value, Scenario))


def _start_and_wait(
    workflow: Function,
    workflow_id: str,
    args: Sequence[object],
    kwargs: Mapping[str, object],
) -> object:
    with SetWorkflowID(workflow_id):
        return DBOS.start_workflow(workflow, *args, **kwargs).get_result()


def digest_of(target: Target) -> str:
    """Return a digest of the text of the file under test; empty for the publisher."""
    # A namespace package has no file, and it defines no names.
    file = locate(target.entry[0]).file if target.entry is not None else None
    return hashlib.sha256(file.read_bytes()).hexdigest() if file else ""


def awaited(value: object) -> object:
    """Return the result of a scenario's function; await it if it is a coroutine."""
    return asyncio.run(value) if inspect.iscoroutine(value) else value


def plain(value: UserObject, within: tuple[int, ...] = ()) -> Plain:
    """Return the result of a request or an observation as plain data.

    Args:
        value: Object of the program.
        within: `id()` of each object that contains the value.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)  # JSON has no such number
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if all(hasattr(type(value), each) for each in _OF_A_HANDLE):
        # The class depends on whether this process runs the workflow: it may differ after a crash.
        return f"handle of {value.get_workflow_id()}"
    if id(value) in within:
        return "…"  # the value contains itself
    inner = (*within, id(value))
    if isinstance(value, Mapping):
        pairs = (
            (key if isinstance(key, str) else stable_repr(key), each) for key, each in value.items()
        )
        return {key: plain(each, inner) for key, each in sorted(pairs, key=lambda pair: pair[0])}
    if isinstance(value, list | tuple):
        return [plain(each, inner) for each in value]
    return stable_repr(value)


def checked_counts(effects: object) -> dict[str, dict[str, int]]:
    """Check the result of a scenario's `effects`, and return it as plain data.

    Raises:
        TypeError: The result is not a mapping of effects to mappings of texts to counts.
    """
    usage = 'effects() must return {EFFECT: {KEY: NUMBER}}, as in {"charge": {"order-1": 1}}'
    if not isinstance(effects, Mapping):
        raise TypeError(f"{usage}; it returned {stable_repr(effects)}")
    for name, times in effects.items():
        if not (isinstance(times, Mapping) and all(type(n) is int for n in times.values())):
            raise TypeError(f"{usage}; it returned {stable_repr(times)} for {name}")
    return cast(dict[str, dict[str, int]], plain(effects))
