"""Judge a trial: an observation and a baseline in, findings out.

Pure: a function of recorded data, so that last month's trials can be judged again.
"""

import signal
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from resumectl.lab.baseline import (
    Baseline,
    compared,
    effects_of,
    events_of,
    fields_of,
    site,
    steps_of,
)
from resumectl.lab.paths import differing, never_asked_for, paths_of
from resumectl.lab.plan import EXIT_STATUS, Blow, CrashPlan
from resumectl.lab.trial import (
    Exposure,
    Finding,
    Judgement,
    Kind,
    LifeSeen,
    Observation,
    Promise,
    Verdict,
)

_UNFINISHED = ("PENDING", "ENQUEUED", "DELAYED")
_SHOWN_MAX = 120  # characters of a value in evidence


class Checker:
    """Judges the trials of one scenario.

    Args:
        baseline: What an uninterrupted run does.
        by_site: Effects that are told apart by where they happen; see `baseline`.
        promises: Effect or step name to promise; what is not named is held to the default.
    """

    def __init__(
        self, baseline: Baseline, by_site: set[str], promises: Mapping[str, Promise]
    ) -> None:
        self._baseline = baseline
        self._by_site = by_site
        self._promises = promises

    def judge(self, trial: Observation) -> Judgement:
        """What the trial proves."""
        why_void = _why_void(trial) or self._why_of_another_program(trial)
        if why_void:
            return Judgement(trial.plan, Verdict.VOID, why_void=why_void, deaths=trial.deaths)
        stuck = list(_stuck(trial.final))
        exposures: set[Exposure] = set()
        findings = [
            *stuck,
            *self._differences(trial, {each.subject for each in stuck}),
            *self._changed_after_the_crash(trial),
            *self._other_paths(trial),
            *_reruns(trial),
            *_written_twice(trial),
            *self._repeated(trial, exposures, complete=not stuck),
        ]
        return Judgement(
            trial.plan,
            Verdict.BROKEN if findings else Verdict.KEPT,
            tuple(sorted(set(findings))),
            tuple(sorted(exposures)),
            deaths=trial.deaths,
        )

    def _why_of_another_program(self, trial: Observation) -> str:
        if trial.digest == self._baseline.digest:
            return ""
        return (
            "the scenario's file is not the one of the uninterrupted runs: it was changed since, "
            "or is another one on this machine; begin a new sweep"
        )

    # --- against the baseline

    def _differences(self, trial: Observation, stuck: set[str]) -> Iterator[Finding]:
        if stuck:
            return  # what has not ended differs in everything, and only repeats what is said
        expected, found = self._baseline.fields, fields_of(trial.final)
        masked = set(self._baseline.not_compared)
        ended_otherwise: set[str] = set()
        for key, value in expected.items():
            subject, _, what = key.partition(": ")
            if what == "status" and key in found and found[key] != value:
                ended_otherwise.add(subject.partition(" ")[2])
                error = found.get(f"{subject}: error")
                yield Finding(
                    Kind.FAILED,
                    subject.partition(" ")[2],
                    f"ended {found[key]} rather than {value}"
                    + (f": {_short(error)}" if error else ""),
                )
        for key, value in expected.items():
            subject, _, what = key.partition(": ")
            name = subject.partition(" ")[2] or subject
            owner = name.rpartition("/")[0] if subject.startswith("step ") else name
            if owner in ended_otherwise or (ended_otherwise and key == "answer"):
                continue  # a consequence
            if key not in found:
                if what in ("status", "name", ""):
                    yield Finding(Kind.LOST, name, "is not there; uninterrupted, it is")
            elif found[key] != value and what != "status":
                yield Finding(
                    Kind.DIVERGED,
                    name,
                    f"{what or 'value'} is {_short(_value(found[key]))}; "
                    f"uninterrupted, {_short(_value(value))}",
                )
        known = {key.partition(": ")[0] for key in (*expected, *masked)}
        for subject in sorted({key.partition(": ")[0] for key in found} - known):
            name = subject.partition(" ")[2] or subject
            if name.rpartition("/")[0] not in ended_otherwise:
                yield Finding(Kind.UNEXPECTED, name, "is there; uninterrupted, it is not")

    def _changed_after_the_crash(self, trial: Observation) -> Iterator[Finding]:
        """What was durable at a crash must be what it was, for ever after."""
        final = fields_of(trial.final)
        for life in trial.lives[:-1]:
            for step in life.left["steps"]:
                subject = f"step {step['workflow']}/{step['number']}"
                name = f"{subject}: name"
                if name not in final and name not in self._baseline.fields:
                    continue  # deleted, as in an uninterrupted run
                for key in ("name", "output", "error", "child"):
                    was, now = compared(step, key), final.get(f"{subject}: {key}")
                    if now != was:
                        yield Finding(
                            Kind.DIVERGED,
                            subject.partition(" ")[2],
                            f"{key} was recorded as {_short(_value(was))}, "
                            f"and is {_short(_value(now))} after the crash",
                        )

    def _other_paths(self, trial: Observation) -> Iterator[Finding]:
        """Where a workflow's body takes another path than its records ask for."""
        for workflow_id, number, name in never_asked_for(trial.lives):
            yield Finding(
                Kind.DIVERGED,
                f"{workflow_id}/step-{number}",
                f"{name} was recorded before the crash, and after it the workflow ended without "
                "calling it",
            )
        if len({e["digest"] for e in events_of(trial, "launch")}) > 1:
            return  # two programs: their paths may differ
        for workflow_id, path in paths_of(trial.final).items():
            found = differing(path, self._baseline.paths.get(workflow_id, ()))
            if found:
                yield Finding(
                    Kind.DIVERGED,
                    f"{workflow_id}/step-{found.number}",
                    f"the workflow {_going_on(found.here)} here, and {_going_on(found.there)} in "
                    "an uninterrupted run, from the same records: its body depends on something else",
                )

    def _repeated(
        self, trial: Observation, exposures: set[Exposure], *, complete: bool
    ) -> Iterator[Finding]:
        times = {
            **{(name, about, True): n for (name, about), n in effects_of(trial, self._by_site).items()},
            **{(*_split(key), False): n for key, n in steps_of(trial).items()},
        }  # fmt: skip
        expected = {
            **{(name, about, True): n for (name, about), n in self._baseline.effects.items()},
            **{(*_split(key), False): n for key, n in self._baseline.steps.items()},
        }
        effects = {name for name, _, is_effect in expected if is_effect}
        masked = set(self._baseline.not_compared)
        payloads = _payloads(trial)
        places = _places_of_effects(trial, self._by_site)
        for key in sorted({*times, *expected}):
            name, about, is_effect = key
            said = f"effect {name}({about})" if is_effect else f"executions of {name} {about}"
            if said in masked:
                continue
            subject = f"{name}({about})" if is_effect else f"{name}, {about}"
            # A step that is named as its effect is: the promise is of the effect.
            promised = self._promises.get(name) if is_effect or name not in effects else None
            promise = promised or (
                _default_promise(places.get((name, about))) if is_effect else Promise.AT_LEAST_ONCE
            )
            n, usual = times.get(key, 0), expected.get(key, 0)
            if n > usual:
                differs = len(payloads.get((name, about), ())) > 1
                if usual == 0 and is_effect:
                    yield Finding(
                        Kind.UNEXPECTED, subject, f"happened {n} times; uninterrupted, never"
                    )
                elif promise is Promise.AT_LEAST_ONCE:
                    exposures.add(Exposure(subject, n, differs))
                else:
                    again = ", and with another payload" if differs else ""
                    yield Finding(
                        Kind.DUPLICATED,
                        subject,
                        f"{'happened' if is_effect else 'ran'} {n} times{again}; "
                        f"uninterrupted, {usual}; promised {promise}",
                    )
            elif n < usual and complete:
                if promise is Promise.AT_MOST_ONCE:
                    exposures.add(Exposure(subject, n))
                else:
                    yield Finding(
                        Kind.LOST,
                        subject,
                        f"{'happened' if is_effect else 'ran'} {n} times; uninterrupted, {usual}; "
                        f"promised {promise}",
                    )


def _going_on(step: str) -> str:
    return f"goes on with {step}" if step else "ends"


def _split(key: str) -> tuple[str, str]:
    name, _, where = key.partition(" ")
    return name, where


def _default_promise(place: Mapping[str, Any] | None) -> Promise:
    """In a step an effect is repeated if the process dies before the checkpoint; elsewhere
    nothing keeps it from being repeated, so nothing is excused."""
    in_step = place is not None and place["workflow"] is not None and place["number"] is not None
    return Promise.AT_LEAST_ONCE if in_step else Promise.EXACTLY_ONCE


def _places_of_effects(
    trial: Observation, by_site: set[str]
) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {
        (e["name"], site(e) if e["name"] in by_site else ", ".join(e["about"])): e
        for e in events_of(trial, "effect")
    }


def _payloads(trial: Observation) -> dict[tuple[str, str], set[tuple[str, ...]]]:
    found: defaultdict[tuple[str, str], set[tuple[str, ...]]] = defaultdict(set)
    for each in events_of(trial, "ran"):
        found[each["step"], site(each)].add(tuple(each["payload"]))
    for each in events_of(trial, "effect"):
        found[each["name"], site(each)].add(tuple(each["about"]))
    return found


# ------------------------------------------------------------- within the trial


def _why_void(trial: Observation) -> str:
    deaths = CrashPlan.parse(trial.plan).deaths
    for number, death in enumerate(deaths, start=1):
        if len(trial.lives) < number:
            return f"life {number} never began"
        life = trial.lives[number - 1]
        if life.failure:
            return f"life {number} failed: {life.failure}"
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
        return f"the last life failed: {last.failure}"
    if last.in_time and last.last("quiet") is None:
        return f"the last life ended by itself: {last.ending}"
    return ""


def _stuck(life: LifeSeen) -> Iterator[Finding]:
    if life.in_time:
        return
    versions = {e.get("app_version") for e in life.events if e["kind"] == "launch"}
    unfinished = [w for w in life.left["workflows"] if w["status"] in _UNFINISHED]
    for workflow in unfinished:
        reason = f"stays {workflow['status']}, executor {workflow['executor']}"
        if workflow["queue"]:
            reason += f", queue {workflow['queue']}"
        if workflow["version"] not in versions:
            reason += (
                f": it is of application version {workflow['version']}, and only a process of that "
                "version recovers it"
            )
        yield Finding(Kind.STUCK, workflow["id"], reason)
    if not unfinished:
        yield Finding(Kind.STUCK, "the request", "everything ended, and it got no answer")


def _reruns(trial: Observation) -> Iterator[Finding]:
    recorded: set[tuple[str, int]] = set()
    for number, life in enumerate(trial.lives, start=1):
        for each in life.events:
            if each["kind"] == "ran" and (each["workflow"], each["number"]) in recorded:
                yield Finding(
                    Kind.RERUN,
                    f"{each['step']}, {site(each)}",
                    f"was recorded before the crash, and ran again in life {number}",
                )
        recorded |= {(step["workflow"], step["number"]) for step in life.left["steps"]}
    yield from _never_recorded(trial, recorded)


def _never_recorded(trial: Observation, recorded: set[tuple[str, int]]) -> Iterator[Finding]:
    """Step bodies that ran in several lives, and of which there is no record in the end."""
    unfinished = {w["id"] for w in trial.final.left["workflows"] if w["status"] in _UNFINISHED}
    # Also of a workflow that has been deleted since.
    committed = {name for e in events_of(trial, "commit") for name, _ in e["facts"]}
    lives: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for number, life in enumerate(trial.lives, start=1):
        for each in life.events:
            if (
                each["kind"] == "ran"
                and (each["workflow"], each["number"]) not in recorded
                and each["workflow"] not in unfinished
                and site(each) not in committed
            ):
                lives[each["step"], site(each)].add(number)
    for (step, where), numbers in lives.items():
        if len(numbers) > 1:
            yield Finding(
                Kind.RERUN,
                f"{step}, {where}",
                f"ran in lives {' and '.join(map(str, sorted(numbers)))}, and DBOS has no record of it",
            )


# Facts of which there is one for ever: another one is a checkpoint that did not hold.
_ONCE = ("step-", "transaction-", "succeeded", "failed")


def _written_twice(trial: Observation) -> Iterator[Finding]:
    times = Counter(name for e in events_of(trial, "commit") for name, _ in e["facts"])
    for name, number in times.items():
        fact = name.rpartition("/")[2]
        if number > 1 and fact.startswith(_ONCE):
            yield Finding(Kind.DUPLICATED, name, f"was committed {number} times")


def _value(found: Any) -> str:
    return found if isinstance(found, str) else repr(found)


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 1] + "…"
