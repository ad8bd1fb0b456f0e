"""What is wrong with a run that nothing interrupted, and what its user can do. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from resumectl.judge.serialized_values import readable
from resumectl.model.observation import LifeSeen, Observation
from resumectl.statuses import UNFINISHED

_ASLEEP = "in a DBOS.sleep"
_WAITING = "waiting for a message or an event"
_SLEEP = "DBOS.sleep"
_TIMEOUT_S = 300
_SPARE = 1.2  # a run does more than to wait


def illness(run: Observation) -> str:
    """What is wrong with an uninterrupted run; empty if nothing is."""
    life = run.final
    if life.failure:
        return life.failure
    if not life.has_settled and life.last("launch") is None:
        return f"{_how_it_stays(run)}; it has not launched DBOS"
    if not life.has_settled:
        late = [
            f"{each['id']} stays {each['status']}{_where(life, each)}"
            for each in unfinished(life)[:3]
        ] or ["its workflows have ended, and it goes on waiting"]
        return f"{_how_it_stays(run)}; {'; '.join(late)}"
    answer = life.last("answered")
    if answer is None:
        return f"its process ended by itself: {life.ending}"
    if "error" in answer:
        return str(answer["error"])
    for kind, what in (("observed", "observe"), ("counted", "effects")):
        look = life.last(kind)
        if look is not None and "error" in look:
            return f"its {what}: {look['error']}"
    return ""


def _how_it_stays(run: Observation) -> str:
    life = run.final
    if not life.in_time:
        return f"it does not end within {run.seconds:.0f} s"
    stranded = life.last("stranded")
    if stranded is not None and not stranded["workflows"]:
        return "nothing in it goes on before its time is up"
    return "nothing in it can go on"


def remedy(run: Observation) -> str:
    """Return what to do about a run that did not end in time, or that could not be looked at."""
    life = run.final
    if life.has_settled:
        return "correct the Scenario's observe, or its effects"
    # A workflow that was cancelled may sleep on, and who awaits it with it.
    pauses = {_pause(life, each["id"]) for each in unfinished(life) or life.left["workflows"]}
    waiting = {each["status"]: each["queue"] for each in unfinished(life)}
    logged = any(life.logged_of(each["id"]) for each in unfinished(life))
    if _ASLEEP in pauses:
        first = "let no DBOS.sleep last longer than this:  --longest-sleep 0.5"
    elif _WAITING in pauses:
        first = "send it what it waits for in a Scenario's request"
    elif "DELAYED" in waiting:
        first = "enqueue it with a shorter delay_seconds"
    elif logged:
        first = "correct what DBOS logs"
    elif "ENQUEUED" in waiting:
        first = f"let the queue {waiting['ENQUEUED']} run more at a time, or register it"
    else:
        first = "correct what waits for ever"
    return f"{first}; or let it take longer:  --timeout {_enough_s(run)}"


def _enough_s(run: Observation) -> int:
    """Return a time limit within which each pause of a run ends, in seconds."""
    life = run.final
    launched = life.last("launched")
    began_s = launched["clock_ms"] / 1000 if launched else math.inf
    sleeps = [each for each in life.left["steps"] if each["name"] == _SLEEP]
    longest_s = max((_end_s(each) - began_s for each in sleeps), default=0.0)
    return math.ceil(max(1.0, longest_s * _SPARE / _TIMEOUT_S)) * _TIMEOUT_S


def _end_s(sleep: Mapping[str, Any]) -> float:
    """Return the time at which a sleep ends, in seconds since the epoch; 0 if nothing tells it.

    DBOS 3.4.0 records it as the output of the step, as the program's serializer writes it.
    """
    try:
        return float(readable(sleep["output"]))
    except ValueError:
        return 0.0


def unfinished(life: LifeSeen) -> Sequence[Mapping[str, Any]]:
    """Return the workflows that a process left without an end."""
    return [each for each in life.left["workflows"] if each["status"] in UNFINISHED]


def _where(life: LifeSeen, workflow: Mapping[str, Any]) -> str:
    if workflow["status"] == "DELAYED":
        return f" on queue {workflow['queue']}, since its delay is longer than that"
    if workflow["status"] == "ENQUEUED":
        return f" on queue {workflow['queue']}, which is full or not served"
    pause, logged = _pause(life, workflow["id"]), life.logged_of(workflow["id"])
    return (f" {pause}" if pause else "") + (f"; DBOS logs: {logged}" if logged else "")


def _pause(life: LifeSeen, workflow_id: str) -> str:
    """In what a workflow's last step is a pause; empty if it is none.

    DBOS 3.4.0 records a sleep as it begins. The timeout of `recv` and `get_event` is one too,
    under the number behind theirs, and they are recorded when they end.
    """
    steps = {
        each["number"]: each["name"]
        for each in life.left["steps"]
        if each["workflow"] == workflow_id
    }
    last = max(steps, default=0)
    if steps.get(last) != _SLEEP:
        return ""
    return _ASLEEP if last == 1 or last - 1 in steps else _WAITING
