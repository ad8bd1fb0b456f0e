"""Find problems of an uninterrupted run, and suggest what the user can do."""

import math
from collections.abc import Sequence

from resumectl.model.events import (
    EffectsCounted,
    Launched,
    LaunchStarted,
    OutsideObserved,
    RequestEnded,
    Stranded,
)
from resumectl.model.observation import Observation, ProcessRecord
from resumectl.model.serialized_values import readable
from resumectl.model.snapshot import StepRow, WorkflowRow
from resumectl.model.target import TIMEOUT_MAX_S
from resumectl.statuses import UNFINISHED

CHANGED = "its file was changed since the first run"
_ASLEEP = "in a DBOS.sleep"
_WAITING = "waiting for a message or an event"
_SLEEP = "DBOS.sleep"
_TIMEOUT_S = 300
_SPARE = 1.2  # a run does more than wait
_SHOWN_MAX = 3


def baseline_problem(run: Observation) -> str:
    """Return the problem of an uninterrupted run; empty if there is none."""
    process = run.final
    if process.failure:
        return process.failure
    if not process.has_settled:
        return f"{_how_it_stays(run)}; {_what_it_waits_for(process)}"
    answer = process.last(RequestEnded)
    if answer is None:
        return f"its process ended before its work: {process.exit}"
    if answer.error is not None:
        return answer.error.summary
    return _observation_problem(process)


def problem_beside(run: Observation, first: Observation) -> str:
    """Return the problem of an uninterrupted run compared with the first run of its program.

    Args:
        run: The later run.
        first: The first run of the same program.
    """
    return baseline_problem(run) or ("" if run.digest == first.digest else CHANGED)


def _observation_problem(process: ProcessRecord) -> str:
    observed, counted = process.last(OutsideObserved), process.last(EffectsCounted)
    if observed is not None and observed.error is not None:
        return f"its observe: {observed.error}"
    if counted is not None and counted.error is not None:
        return f"its effects: {counted.error}"
    return ""


def _how_it_stays(run: Observation) -> str:
    process = run.final
    if not process.exit.in_time:
        return f"it does not end within {run.seconds:.0f} s"
    stranded = process.last(Stranded)
    if stranded is not None and not stranded.workflows:
        return "none of its workflows can continue before the time limit"
    return "none of its workflows can continue"


def _what_it_waits_for(process: ProcessRecord) -> str:
    if process.last(LaunchStarted) is None:
        return "it did not launch DBOS"
    late = [
        f"{row.id} is still {row.status}{_where(process, row)}"
        for row in unfinished(process)[:_SHOWN_MAX]
    ]
    return "; ".join(late) or "all of its workflows ended, but the request still waits"


def suggested_fix(run: Observation) -> str:
    """Return a suggested fix for a run that did not end in time, or that could not be observed."""
    process = run.final
    if process.has_settled:
        return "correct the Scenario's observe, or its effects"
    enough_s = _enough_s(run)
    more_time = f"; or give it more time:  --timeout {enough_s}"
    return _first_fix(process) + (more_time if enough_s <= TIMEOUT_MAX_S else "")


def _first_fix(process: ProcessRecord) -> str:
    left = unfinished(process)
    # A cancelled workflow may continue to sleep, and the workflows that await it wait on.
    pauses = {_pause(process, row.id) for row in left or process.snapshot.workflows}
    waiting = {row.status: row.queue for row in left}
    if _ASLEEP in pauses:
        return "shorten every DBOS.sleep:  --max-sleep 0.5"
    if _WAITING in pauses:
        return "send it what it waits for in a Scenario's request"
    if "DELAYED" in waiting:
        return "enqueue it with a shorter delay_seconds"
    if any(process.logged_of(row.id) for row in left):
        return "correct the error that DBOS logged"
    if "ENQUEUED" in waiting:
        return f"let the queue {waiting['ENQUEUED']} run more at a time, or register it"
    return "correct the workflow that waits for ever"


def _enough_s(run: Observation) -> int:
    """Return a time limit that is long enough for each pause of a run, in seconds."""
    process = run.final
    launched = process.last(Launched)
    began_s = launched.clock_ms / 1000 if launched else math.inf
    sleeps = [row for row in process.snapshot.steps if row.name == _SLEEP]
    longest_s = max((_end_s(row) - began_s for row in sleeps), default=0.0)
    return math.ceil(max(1.0, longest_s * _SPARE / _TIMEOUT_S)) * _TIMEOUT_S


def _end_s(sleep: StepRow) -> float:
    """Return the time at which a sleep ends, in seconds since the epoch; 0 if it is not known.

    DBOS 3.4.0 records it as the output of the step, in the form of the program's serializer.
    """
    try:
        return float(readable(sleep.output))
    except ValueError:
        return 0.0


def unfinished(process: ProcessRecord) -> Sequence[WorkflowRow]:
    """Return the workflows that had not ended when the process ended."""
    return [row for row in process.snapshot.workflows if row.status in UNFINISHED]


def _where(process: ProcessRecord, row: WorkflowRow) -> str:
    if row.status == "DELAYED":
        return f" on queue {row.queue}, since its delay is longer than that"
    if row.status == "ENQUEUED":
        return f" on queue {row.queue}, which is full or not served"
    pause, logged = _pause(process, row.id), process.logged_of(row.id)
    return (f" {pause}" if pause else "") + (f"; DBOS logged: {logged}" if logged else "")


def _pause(process: ProcessRecord, workflow_id: str) -> str:
    """Return the kind of pause of a workflow's last step; empty if it is not a pause.

    DBOS 3.4.0 records a sleep when it begins. The timeout of `recv` and `get_event` is recorded as a
    sleep under the following number, and they themselves are recorded when they end.
    """
    rows = process.snapshot.steps
    steps = {row.number: row.name for row in rows if row.workflow == workflow_id}
    last = max(steps, default=0)
    if steps.get(last) != _SLEEP:
        return ""
    return _ASLEEP if last == 1 or last - 1 in steps else _WAITING
