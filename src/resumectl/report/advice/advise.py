"""Advise a user whose program fails without any crash.

One table lists the cases. Each is a function from the situation to advice or None.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import replace

from resumectl.errors import NothingProved, Refusal
from resumectl.judge.baseline_health import baseline_problem, suggested_fix
from resumectl.judge.client_names import named, names_of
from resumectl.model.events import (
    AccessRefused,
    Phase,
    RequestEnded,
    TargetFailed,
    TimeRunsOut,
    WorkflowRaised,
)
from resumectl.model.map_texts import map_texts
from resumectl.model.observation import Observation
from resumectl.model.target import Target
from resumectl.model.target_error import PythonError, TargetError
from resumectl.report.advice.import_failures import (
    circular_import,
    import_does_not_end,
    import_exits,
    module_missing,
    process_ended,
    program_exits,
    relative_import,
    syntax,
    variable_missing,
    workflow_called_at_import,
    written_for_another_dbos,
)
from resumectl.report.advice.setup_failures import (
    datasource_too_late,
    global_of_main,
    queue_not_registered,
    table_missing,
    too_early,
)
from resumectl.report.advice.situation import Advice, Case, Situation, fails
from resumectl.report.advice.target_failures import (
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
from resumectl.text import literal

_UNREACHABLE = re.compile(
    r"connection refused|connection failed|could not connect|name or service not known"
    r"|name resolution|no route to host|network is unreachable",
    re.IGNORECASE,
)


def refusal_of(run: Observation, target: Target, directory: str) -> Refusal:
    """Return the refusal for a baseline run with a problem; its cause is the target's traceback.

    Args:
        run: Baseline run for which `baseline_problem` returns a problem.
        target: The target.
        directory: Directory in which the command was typed.
    """
    advice = advise(run, target, directory)
    next_step, *paste = advice.next_step.split("\n")
    kind = Refusal if advice.is_mistyped else NothingProved
    refusal = kind(advice.what, next_step=next_step, paste=paste)
    traceback = _traceback_of(run)
    if traceback:
        refusal.__cause__ = RuntimeError(f"in the program:\n{traceback}")
    return refusal


def _traceback_of(run: Observation) -> str:
    failed, ended = run.final.last(TargetFailed), run.final.last(RequestEnded)
    error: TargetError | None = failed.error if failed else ended.error if ended else None
    return error.cause.traceback if error and isinstance(error.cause, PythonError) else ""


def advise(run: Observation, target: Target, directory: str) -> Advice:
    """Return what is wrong with a baseline run, and the next step.

    Args:
        run: Baseline run for which `baseline_problem` returns a problem.
        target: The target.
        directory: Directory in which the command was typed.
    """
    run = named(run, names_of([run]))
    # A line break from outside must not become a line of the advice.
    process = replace(
        run.final, events=tuple(map_texts(event, literal) for event in run.final.events)
    )
    shown = replace(run, processes=(*run.processes[:-1], process))
    situation = Situation(shown, target.entry or ("", ""), directory)
    case, found = next((c, found) for c in _CASES if (found := c(situation)) is not None)
    return replace(found, is_mistyped=found.is_mistyped or case in _MISTYPED)


def _refused(at: Situation) -> Advice | None:
    refused = at.process.last(AccessRefused)
    return None if refused is None else Advice(refused.error, refused.next_step)


def _does_not_end(at: Situation) -> Advice | None:
    if at.process.has_settled or at.error:
        return None
    stood = at.process.last(TimeRunsOut)
    what = f"the program fails without a crash: {baseline_problem(at.run)}"
    if stood is not None and at.phase is Phase.REQUEST and stood.where:
        what += f"; its request is waiting at {at.line(stood.where)}"
    if stood is not None and stood.others:
        what += f"; the program is waiting at {'; '.join(map(at.line, stood.others))}"
    raised = at.process.last(WorkflowRaised)
    if raised is not None:
        what += f"; {raised.workflow} has failed: {raised.error.summary}"
        cause = raised.error.cause
        where = cause.where if isinstance(cause, PythonError) else None
        what += f" ({at.location(where)})" if where else ""
    return Advice(what, literal(suggested_fix(at.run)))


def _cannot_connect(at: Situation) -> Advice | None:
    if not _UNREACHABLE.search(at.message):
        return None
    return Advice(
        fails(at), "start what it connects to, or name another one, as in  --env NAME=VALUE"
    )


def _relative_path(at: Situation) -> Advice | None:
    name = at.python_error.relative_path if at.python_error is not None else None
    if name is None:
        return None
    return Advice(
        f"{fails(at)}; the working directory of each process is its sandbox",
        f"name the file by where the program is, as in  Path(__file__).with_name({json.dumps(name)})",
    )


def _exception(at: Situation) -> Advice | None:
    if not at.error:
        return None
    location = at.location()
    correct = f"correct {location}" if location else "correct the program"
    if not at.has_answer:
        return Advice(fails(at), correct)
    return Advice(
        fails(at), f"{correct};  where failing is right, catch it in a Scenario's request"
    )


def _otherwise(at: Situation) -> Advice | None:
    return Advice(
        f"the program fails without a crash: {baseline_problem(at.run)}",
        literal(suggested_fix(at.run)),
    )


# The command line names nothing that can run, whatever is corrected in the program.
_MISTYPED = (
    unknown_name,
    method_of_class,
    not_a_workflow,
    scenario_with_arguments,
    wrong_arguments,
    cannot_build,
    not_a_function,
)

# The first case that returns advice wins.
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
    import_exits,
    program_exits,
    _exception,
    process_ended,
    _otherwise,
)
