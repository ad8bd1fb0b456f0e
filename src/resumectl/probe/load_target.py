"""What is under test, resolved in the victim: a workflow function, a Scenario, the publisher.

The only part of the lab, with `victim`, that loads the program under test, and that knows
the publisher. The experimenter knows a scenario as text: see `subject`.
"""

import asyncio
import functools
import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from dbos import DBOS, SetWorkflowID

from resumectl.model.observation import Promise
from resumectl.model.target import Subject
from resumectl.probe.error_facts import Unrunnable
from resumectl.probe.event_log import shown
from resumectl.probe.module_loader import import_once, import_target, locate
from resumectl.probe.scenario import Scenario
from resumectl.probe.setup_code import find_global
from resumectl.probe.target_candidates import (
    arguments_of,
    file_of,
    refuse_what_is_no_workflow,
    workflow_names,
)

_OF_A_HANDLE = ("get_workflow_id", "get_result", "get_status")  # public methods of DBOS 3.4.0


def load(subject: Subject, database_url: str, deployed_as: str | None = None) -> Scenario:
    """Import what is under test.

    Args:
        subject: What the command line said.
        database_url: The trial's, for the built-in publisher.
        deployed_as: Module or file of the release before this one, whose name it takes over.

    Raises:
        LookupError: There is no such file or module.
        Unrunnable: It is neither a workflow nor a Scenario, or its arguments do not fit.
    """
    if subject.target is None:
        from resumectl.publishing.scenario import publisher_scenario

        return publisher_scenario(subject, database_url)
    module_name, name = subject.target
    module = import_target(module_name, deployed_as)
    owner, found = _named(module, subject.target)
    if isinstance(found, Scenario):
        if subject.args or subject.kwargs:
            raise Unrunnable(
                "scenario-with-arguments", f"{name} is a Scenario, and takes no --args"
            )
        for each, promise in found.promises.items():
            Promise.named(promise, of=each)
        return found
    refuse_what_is_no_workflow(subject, module, owner, found)
    args, kwargs = arguments_of(found, subject, module)
    workflow_id = f"{name.rpartition('.')[2]}-1"
    return Scenario(request=functools.partial(_run, found, workflow_id, args, kwargs))


def unless_started(
    scenario: Scenario, subject: Subject, started: Sequence[tuple[str, str]]
) -> Scenario:
    """Return a scenario whose client is the import of the program, where that starts the workflow.

    Args:
        scenario: Of the target.
        subject: What the command line said.
        started: Id and name of each workflow that the import has started.
    """
    name = subject.target[1] if subject.target is not None else ""
    ids = [workflow_id for workflow_id, what in started if what.partition(" on queue ")[0] == name]
    is_plain = isinstance(scenario.request, functools.partial)
    return Scenario(request=functools.partial(_wait_for, ids)) if ids and is_plain else scenario


def _wait_for(workflow_ids: Sequence[str]) -> Any:
    return [DBOS.retrieve_workflow(each).get_result() for each in workflow_ids]


def after_launch(subject: Subject) -> Callable[[], Any] | None:
    """Return the function that the program's `main` would call after launch; None if there is none.

    Raises:
        Unrunnable: There is no such function, or it takes arguments.
    """
    if subject.after_launch is None:
        return None
    module_name, name = subject.after_launch
    _, found = _named(import_once(module_name), subject.after_launch, option="--after-launch ")
    if not callable(found):
        raise Unrunnable(
            "not-a-function", f"--after-launch {name} is no function", file=module_name, name=name
        )
    try:
        inspect.signature(found).bind()
    except TypeError as error:
        raise Unrunnable(
            "not-a-function",
            f"--after-launch {name}{inspect.signature(found)} is called without arguments: {error}",
            file=module_name,
            name=name,
        ) from None
    return found  # type: ignore[no-any-return]


def _named(module: Any, target: tuple[str, str], *, option: str = "") -> tuple[Any, Any]:
    """Return what a dotted name means in a module, after the object that it was looked up in.

    Args:
        module: The module.
        target: Its file or name, and the dotted name.
        option: What is typed ahead of them.
    """
    file, name = target
    owner, found = None, module
    for part in name.split("."):
        try:
            owner, found = found, getattr(found, part)
        except AttributeError:
            module_file = file_of(module) if found is module else None
            workflows = [] if option else list(workflow_names(module))
            names = [each for each in vars(module) if not each.startswith("_")]
            near = get_close_matches(name, {*workflows, *names}, n=3, cutoff=0.0)
            nearest = f"; the nearest are {', '.join(near)}" if near else "; it is empty"
            raise Unrunnable(
                "unknown-name",
                f"{Path(file).name} has no {name}{nearest}",
                file=file,
                name=name,
                nearest=get_close_matches(name, names, n=1),
                workflows=sorted(workflows, key=lambda each: each not in near),
                option=option,
                **{"global": find_global(module_file, part) if module_file else None},
            ) from None
    return owner, found


def _run(
    workflow: Callable[..., Any],
    workflow_id: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> Any:
    with SetWorkflowID(workflow_id):
        return DBOS.start_workflow(workflow, *args, **kwargs).get_result()


def digest_of(subject: Subject) -> str:
    """Return a digest of the text of the file under test; empty for the publisher."""
    # A namespace has no file, and a scenario in it has no name.
    file = locate(subject.target[0]).file if subject.target is not None else None
    return hashlib.sha256(file.read_bytes()).hexdigest() if file else ""


def awaited(value: Any) -> Any:
    """What a scenario's function returned; of an `async def`, what comes of it."""
    return asyncio.run(value) if inspect.iscoroutine(value) else value


def plain(value: Any, within: tuple[int, ...] = ()) -> Any:
    """What a request or an observation returned, as JSON can hold it.

    Args:
        value: Anything.
        within: The ids of the objects that it is a part of.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if all(hasattr(type(value), each) for each in _OF_A_HANDLE):
        # Its class says whether this process runs the workflow, which differs after a crash.
        return f"handle of {value.get_workflow_id()}"
    if id(value) in within:
        return "…"  # a part of itself
    inner = (*within, id(value))
    if isinstance(value, Mapping):
        pairs = ((key if isinstance(key, str) else shown(key), each) for key, each in value.items())
        return {key: plain(each, inner) for key, each in sorted(pairs, key=lambda pair: pair[0])}
    if isinstance(value, list | tuple):
        return [plain(each, inner) for each in value]
    return shown(value)


def counted(effects: Any) -> dict[str, dict[str, int]]:
    """What a scenario's `effects` returned.

    Raises:
        TypeError: It is something else.
    """
    said = 'effects() returns effect to what about to how often: {"charge": {"order-1": 1}}'
    if not isinstance(effects, Mapping):
        raise TypeError(f"{said}, and not {shown(effects)}")
    for name, times in effects.items():
        if not (isinstance(times, Mapping) and all(type(n) is int for n in times.values())):
            raise TypeError(f"{said}, and not {shown(times)} for {name}")
    found: dict[str, dict[str, int]] = plain(effects)
    return found
