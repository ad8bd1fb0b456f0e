"""What to tell a user whose program fails without any crash: what is wrong, what to type next.

One table of cases; each is a function from what was recorded to advice, or to nothing. Pure.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from resumectl.judge.advice.import_failures import (
    circular_import,
    ended_by_itself,
    ends_itself,
    import_does_not_end,
    module_missing,
    relative_import,
    syntax,
    variable_missing,
    workflow_called_at_import,
    written_for_another_dbos,
)
from resumectl.judge.advice.setup_failures import (
    datasource_too_late,
    global_of_main,
    queue_not_registered,
    table_missing,
    too_early,
)
from resumectl.judge.advice.situation import Advice, Case, Situation, fails
from resumectl.judge.advice.target_failures import (
    cannot_build,
    class_not_registered,
    class_without_name,
    method_of_class,
    not_a_function,
    not_a_workflow,
    scenario_with_arguments,
    unknown_name,
    wrong_arguments,
)
from resumectl.judge.baseline_health import illness, remedy
from resumectl.model.observation import Observation
from resumectl.text import literal


def advise(run: Observation, directory: str) -> Advice:
    """Return what is wrong with an uninterrupted run that is ill, and what to do.

    Args:
        run: For which `illness` has an answer.
        directory: Where the command was typed.
    """
    # A line break from outside is no line of the advice.
    life = replace(run.final, events=[_harmless(each) for each in run.final.events])
    situation = Situation(replace(run, lives=[*run.lives[:-1], life]), directory)
    case, found = next((c, found) for c in _CASES if (found := c(situation)) is not None)
    return replace(found, is_mistyped=found.is_mistyped or case in _MISTYPED)


def _harmless(value: Any) -> Any:
    """Return plain data with each text in it as a terminal may show it."""
    if isinstance(value, str):
        return literal(value)
    if isinstance(value, Mapping):
        return {name: _harmless(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_harmless(each) for each in value]
    return value


def _refused(at: Situation) -> Advice | None:
    refused = at.life.last("refused")
    return None if refused is None else Advice(refused["error"], refused["next_step"])


def _does_not_end(at: Situation) -> Advice | None:
    if at.life.has_settled or at.error:
        return None
    stood = at.life.last("stands")
    what = f"the scenario fails without any crash: {illness(at.run)}"
    if stood is not None and at.phase == "request" and stood["where"]:
        what += f"; its request stands at {at.line(stood['where'])}"
    if stood is not None and stood["others"]:
        what += f"; the program stands at {'; '.join(map(at.line, stood['others']))}"
    raised = at.life.last("raised")
    if raised is not None:
        what += f"; {raised['workflow']} has failed: {raised['error']}"
        what += f" ({at.place(raised['where'])})" if raised["where"] else ""
    return Advice(what, literal(remedy(at.run)))


_UNREACHABLE = re.compile(
    r"connection refused|connection failed|could not connect|name or service not known"
    r"|name resolution|no route to host|network is unreachable",
    re.IGNORECASE,
)


def _cannot_connect(at: Situation) -> Advice | None:
    if not _UNREACHABLE.search(at.message):
        return None
    return Advice(
        fails(at), "start what it connects to, or name another one, as in  --env NAME=VALUE"
    )


def _relative_path(at: Situation) -> Advice | None:
    if "relative" not in at.about:
        return None
    name = at.about["relative"]
    return Advice(
        f"{fails(at)}; the working directory of each process is its sandbox",
        f"name the file by where the program is, as in  Path(__file__).with_name({json.dumps(name)})",
    )


def _exception(at: Situation) -> Advice | None:
    if not at.error:
        return None
    place = at.place()
    correct = f"correct {place}" if place else "correct the program"
    if at.phase != "answered":
        return Advice(fails(at), correct)
    return Advice(
        fails(at), f"{correct};  where failing is right, catch it in a Scenario's request"
    )


def _otherwise(at: Situation) -> Advice | None:
    return Advice(
        f"the scenario fails without any crash: {illness(at.run)}", literal(remedy(at.run))
    )


# What was typed names nothing that can be run, whatever is mended in the program.
_MISTYPED = (
    unknown_name,
    method_of_class,
    not_a_workflow,
    scenario_with_arguments,
    wrong_arguments,
    cannot_build,
    not_a_function,
)


# The first that has an answer gives it.
_CASES: Sequence[Case] = (
    _refused,
    queue_not_registered,
    import_does_not_end,
    _does_not_end,
    *_MISTYPED,
    class_without_name,
    module_missing,
    syntax,
    relative_import,
    circular_import,
    global_of_main,
    written_for_another_dbos,
    table_missing,
    too_early,
    datasource_too_late,
    workflow_called_at_import,
    class_not_registered,
    _relative_path,
    variable_missing,
    _cannot_connect,
    ends_itself,
    _exception,
    ended_by_itself,
    _otherwise,
)
