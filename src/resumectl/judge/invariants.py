"""What holds of every trial by itself, whatever the program does; and whether it proves anything.

Pure. What was durable at a crash stays as it was, what was recorded does not run again, and
each of it is asked for once more before its workflow ends.
"""

import signal
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from resumectl.judge.replay_paths import never_asked_for
from resumectl.judge.trial_view import committed, compared, in_short, site
from resumectl.model.crash_plan import EXIT_STATUS, Blow, CrashPlan, subject_of
from resumectl.model.observation import Finding, Kind, LifeSeen, Observation
from resumectl.statuses import CANCELLED, RESUMABLE_BY_ID, UNFINISHED
from resumectl.text import counted

# Facts of which there is one for ever: another one is a checkpoint that did not hold.
_ONCE = ("step-", "transaction-", "succeeded", "failed")
_LISTED_MAX = 5  # ids in one finding
# Of a workflow, once it is under way: nothing of a recovery changes it.
_FOR_GOOD = ("input", "deadline", "priority", "user", "roles")


def broken_invariants(trial: Observation) -> Iterator[Finding]:
    """What a trial shows that no program may show.

    Args:
        trial: Without the workflows that are begun anew by right; see `without`.
    """
    yield from _another_database(trial)
    yield from _changed_after_the_crash(trial)
    yield from _never_asked_for(trial)
    yield from _reruns(trial)
    yield from _never_recorded(trial)
    yield from _written_twice(trial)


def without(trial: Observation, workflows: Collection[str]) -> Observation:
    """A trial in which these workflows have left no trace."""
    if not workflows:
        return trial

    def is_another(row: Mapping[str, Any], key: str = "workflow") -> bool:
        return row.get(key) not in workflows

    lives = []
    for life in trial.lives:
        events = [
            event | {"facts": [f for f in event["facts"] if subject_of(f[0]) not in workflows]}
            if event["kind"] == "commit"
            else event
            for event in map(dict, life.events)
            if is_another(event)
        ]
        left = {
            kind: [
                row for row in rows if is_another(row, "id" if kind == "workflows" else "workflow")
            ]
            for kind, rows in life.left.items()
        }
        lives.append(replace(life, events=events, left=left))
    return replace(trial, lives=lives)


def why_void(trial: Observation) -> str:
    """Why a trial proves nothing: the blow did not fall, or the lab failed; empty if it does."""
    deaths = CrashPlan.parse(trial.plan).deaths
    for number, death in enumerate(deaths, start=1):
        if len(trial.lives) < number:
            return f"life {number} never began"
        life = trial.lives[number - 1]
        if life.failure:
            return f"life {number} {_failed(life)}"
        if life.struck is None:
            return f"life {number} was not struck: {life.ending}"
        as_planned = {
            Blow.KILL: life.signal == signal.SIGKILL,
            Blow.TERM: life.signal == signal.SIGTERM,
            Blow.EXIT: life.exit_status == EXIT_STATUS,
        }[death.blow]
        if not as_planned or not life.in_time:
            return f"life {number} ended otherwise than planned: {life.ending}"
    last = trial.final
    if last.failure:
        return f"the last life {_failed(last)}"
    if last.has_settled and last.last("quiet") is None:
        return f"the last life ended by itself: {last.ending}"
    return ""


def _failed(life: LifeSeen) -> str:
    """Why it failed; and what to type where it was refused what is outside its sandbox."""
    refused = life.last("refused")
    if refused is None:
        return f"failed: {life.failure}"
    return f"was stopped: {refused['error']}; {refused['next_step']}"


def stuck(life: LifeSeen) -> Iterator[Finding]:
    """Yield a finding for each workflow that had not ended when the process could do no more."""
    if life.has_settled:
        return
    unfinished = [w for w in life.left["workflows"] if w["status"] in UNFINISHED]
    stranded = (life.last("stranded") or {"workflows": ()})["workflows"]
    # What waits for a stranded workflow is a consequence, and only repeats what is said of that.
    told = [w for w in unfinished if w["id"] in stranded] or unfinished
    waiting = [w["id"] for w in unfinished if w not in told]
    for workflow in told:
        yield Finding(Kind.STUCK, workflow["id"], _why_stuck(life, workflow, waiting))
    if not unfinished:
        yield Finding(Kind.STUCK, "the request", "everything ended, and it got no answer")


def _why_stuck(life: LifeSeen, workflow: Mapping[str, Any], waiting: Sequence[str]) -> str:
    reason = f"stays {workflow['status']}, executor {workflow['executor']}"
    if workflow["queue"]:
        reason += f", queue {workflow['queue']}"
    launched = life.last("launched") or {}
    version, executor = workflow["version"], workflow["executor"]
    if launched and version not in (None, launched["app_version"]):
        reason += (
            f": it has application version {version}, and this process {launched['app_version']}; "
            f"DBOS recovers only workflows of its own version. A process of version {version} "
            "takes it up, or DBOS.fork_workflow(…, application_version=…), or one "
            "application_version that both releases set"
        )
    elif launched and workflow["status"] == "PENDING" and executor != launched["executor_id"]:
        reason += (
            f": this process is executor {launched['executor_id']}, and DBOS recovers only "
            "workflows of its own executor id. Let the executor id be the same after a restart"
        )
    there = {None, *(w["id"] for w in life.left["workflows"])}
    gone = {s["child"] for s in life.left["steps"] if s["workflow"] == workflow["id"]} - there
    if not life.in_time:
        reason += "; its time was up: --timeout SECONDS gives each process longer"
    if gone:
        reason += (
            f"; {', '.join(sorted(gone))}, which it has begun, is deleted: whoever awaits that "
            "after a crash waits for ever, since DBOS answers it from no record"
        )
    logged = life.logged_of(workflow["id"])
    if logged:
        reason += f"; DBOS logs: {logged}"
    if waiting:
        reason += f"; waiting for it: {', '.join(waiting[:_LISTED_MAX])}"
        reason += " …" if len(waiting) > _LISTED_MAX else ""
    return reason


def _another_database(trial: Observation) -> Iterator[Finding]:
    """A trial gives both processes one database; outside of it, each has the one that it sets."""
    launched = [event for life in trial.lives if (event := life.last("launched"))]
    for before, after in pairwise(launched):
        if before["database"] != after["database"]:
            yield Finding(
                Kind.STUCK,
                "the system database",
                "the program sets another one in each process "
                f"({before['database'] or 'none'}, then {after['database'] or 'none'}), so that "
                "nothing of the first is recovered; in a trial it is replaced by one for both",
            )


def _changed_after_the_crash(trial: Observation) -> Iterator[Finding]:
    """What was durable at a crash must be what it was, for ever after."""
    final = {(s["workflow"], s["number"]): s for s in trial.final.left["steps"]}
    there = {w["id"]: w for w in trial.final.left["workflows"]}
    # What was cancelled and resumed begins anew.
    cancelled = {subject_of(name) for name in committed(trial) if name.endswith("/cancelled")}
    for life in trial.lives[:-1]:
        for step in life.left["steps"]:
            at, now = f"{step['workflow']}/step-{step['number']}", final.get(_at(step))
            if now is not None:
                for key in ("name", "output", "error", "child"):
                    yield from _changed(at, key, compared(step, key), compared(now, key))
            elif step["workflow"] in there:  # and not deleted with its workflow
                yield Finding(Kind.LOST, at, "was recorded at the crash, and is no more")
        for workflow in life.left["workflows"]:
            now = there.get(workflow["id"])
            # What waits on a queue may be changed, as by a debouncer.
            is_under_way = workflow["status"] not in ("ENQUEUED", "DELAYED")
            if now is not None and is_under_way and workflow["id"] not in cancelled:
                for key in _FOR_GOOD:
                    was, is_now = compared(workflow, key), compared(now, key)
                    # A resume takes the deadline away.
                    if was is not None and is_now is not None:
                        yield from _changed(workflow["id"], key, was, is_now)


def _changed(subject: str, key: str, was: Any, now: Any) -> Iterator[Finding]:
    if now != was:
        yield Finding(
            Kind.DIVERGED,
            subject,
            f"{key} was recorded as {in_short(was)}, and is {in_short(now)} after the crash",
        )


def timed_out(trial: Observation) -> set[str]:
    """Return the workflows that were cancelled, as their timeout passed between two processes."""
    clock_ms = (trial.final.last("launched") or {"clock_ms": 0})["clock_ms"]
    cancelled = {w["id"] for w in trial.final.left["workflows"] if w["status"] == CANCELLED}
    return cancelled & {
        workflow["id"]
        for life in trial.lives[:-1]
        for workflow in life.left["workflows"]
        if workflow["deadline"] is not None and workflow["deadline"] <= clock_ms
    }


def _at(row: Mapping[str, Any]) -> tuple[str, int]:
    return row["workflow"], row["number"]


def steps_recorded(life: LifeSeen) -> set[tuple[str, int]]:
    """The steps of which there is a record when a life has ended: workflow and number."""
    return {_at(step) for step in life.left["steps"]}


def _never_asked_for(trial: Observation) -> Iterator[Finding]:
    for workflow_id, number, name in never_asked_for(trial.lives):
        yield Finding(
            Kind.DIVERGED,
            f"{workflow_id}/step-{number}",
            f"{name} was recorded before the crash, and after it the workflow ended without "
            "calling it",
        )


def _reruns(trial: Observation) -> Iterator[Finding]:
    recorded: set[tuple[str, int]] = set()
    for number, life in enumerate(trial.lives, start=1):
        for each in life.events:
            if each["kind"] == "ran" and _at(each) in recorded:
                yield Finding(
                    Kind.RERUN,
                    f"{each['step']}, {site(each)}",
                    f"was recorded before the crash, and ran again in life {number}",
                )
        recorded |= steps_recorded(life)


def _never_recorded(trial: Observation) -> Iterator[Finding]:
    """Step bodies that ran in several lives, and of which there is no record in the end."""
    # DBOS records no step of a workflow that was cancelled meanwhile, or that is dead-lettered.
    ended = trial.final.left["workflows"]
    given_up = {w["id"] for w in ended if w["status"] in (*UNFINISHED, *RESUMABLE_BY_ID)}
    recorded = {at for life in trial.lives for at in steps_recorded(life)}
    # Also of a workflow that has been deleted since.
    ever_committed = set(committed(trial))
    lives: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for number, life in enumerate(trial.lives, start=1):
        for each in life.events:
            if (
                each["kind"] == "ran"
                and _at(each) not in recorded
                and each["workflow"] not in given_up
                # Outside of any workflow a step is a function like any other.
                and (each["workflow"] or each["begun_in"])
                and site(each) not in ever_committed
            ):
                lives[each["step"], site(each)].add(number)
    for (step, where), numbers in lives.items():
        if len(numbers) > 1:
            yield Finding(
                Kind.RERUN,
                f"{step}, {where}",
                f"ran in lives {' and '.join(map(str, sorted(numbers)))}, and DBOS has no record of it",
            )


def _written_twice(trial: Observation) -> Iterator[Finding]:
    for name, number in Counter(committed(trial)).items():
        if number > 1 and name.rpartition("/")[2].startswith(_ONCE):
            yield Finding(Kind.DUPLICATED, name, f"was committed {counted(number, 'time')}")
