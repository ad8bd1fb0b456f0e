"""Judge a trial: an observation and a baseline in, findings out.

Pure: a function of recorded data, so that last month's trials can be judged again.
"""

import signal
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from resumectl.lab.baseline import (
    MISSING,
    ONCE,
    Baseline,
    Count,
    Field,
    compared,
    counts_of,
    events_of,
    fields_of,
    site,
)
from resumectl.lab.paths import differing, never_asked_for, paths_of
from resumectl.lab.plan import EXIT_STATUS, Blow, CrashPlan, subject_of
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
_NOT_ENDED_WELL = (*_UNFINISHED, "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
_SHOWN_MAX = 120  # characters of a value in evidence


@dataclass(frozen=True, slots=True)
class Checker:
    """Judges the trials of one scenario.

    Args:
        baseline: What an uninterrupted run does.
        by_site: Effects that are told apart by where they happen; see `baseline`.
        promises: Effect or step name to promise; what is not named is held to the default.
    """

    baseline: Baseline
    by_site: set[str]
    promises: Mapping[str, Promise]

    def judge(self, trial: Observation) -> Judgement:
        """What the trial proves."""
        return replace(self, baseline=self.baseline.opened_by(trial))._judge(trial)

    def _judge(self, trial: Observation) -> Judgement:
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
            *self._reruns(trial),
            *self._written_twice(trial),
            *self._twice_in_a_life(trial),
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
        known = (
            life.digest in (None, self.baseline.digests[number > 0])
            for number, life in enumerate(trial.lives)
        )
        if all(known):
            return ""
        return (
            "the scenario's file is not the one of the uninterrupted runs: it was changed since, "
            "or is another one on this machine; begin a new sweep"
        )

    # --- against the baseline

    def _differences(self, trial: Observation, stuck: set[str]) -> Iterator[Finding]:
        if stuck:
            return  # what has not ended differs in everything, and only repeats what is said
        expected, found = self.baseline.fields, fields_of(trial)
        ended_otherwise: set[str] = set()
        for key, values in expected.items():
            if key.what == "status" and found.get(key, values[0]) not in values:
                ended_otherwise.add(key.name)
                error = found.get(key._replace(what="error"))
                why = f": {_short(error)}" if error else ""
                yield Finding(
                    Kind.FAILED, key.name, f"ended {found[key]} rather than {values[0]}{why}"
                )

        cannot_look = [key for key in found if key.kind in ("observe", "effects")]
        for key in cannot_look:
            yield Finding(
                Kind.DIVERGED, key.kind, f"fails: {found[key]}; uninterrupted, it does not"
            )

        def is_judged(key: Field) -> bool:
            if key.kind in ("observed", "observe", "effects"):
                return not cannot_look
            # What belongs to a workflow that ended otherwise is a consequence, as is the answer.
            owner = key.workflow or (key.name if key.kind == "workflow" else "")
            is_consequence = owner in ended_otherwise or (
                bool(ended_otherwise) and key.kind == "answer"
            )
            return not is_consequence and not self.baseline.is_open(key)

        for key, values in expected.items():
            if not is_judged(key):
                continue
            if key not in found:
                if MISSING not in values and key.what in ("status", "name", ""):
                    yield Finding(
                        Kind.LOST, key.name or key.kind, "is not there; uninterrupted, it is"
                    )
            elif key.what == "arguments":
                yield from _other_arguments(key, found[key], values)
            elif found[key] not in values and key.what != "status":
                yield Finding(
                    Kind.DIVERGED,
                    key.name or key.kind,
                    f"{key.what or 'value'} is {_short(_value(found[key]))}; "
                    f"uninterrupted, {_short(_value(values[0]))}",
                )
        known = {(key.kind, key.name) for key in (*expected, *_fields(self.baseline.masked))}
        for key in sorted({key._replace(what="") for key in found}):
            if (key.kind, key.name) not in known and is_judged(key):
                yield Finding(
                    Kind.UNEXPECTED, key.name or key.kind, "is there; uninterrupted, it is not"
                )

    def _changed_after_the_crash(self, trial: Observation) -> Iterator[Finding]:
        """What was durable at a crash must be what it was, for ever after."""
        final = {(s["workflow"], s["number"]): s for s in trial.final.left["steps"]}
        there = {w["id"]: w for w in trial.final.left["workflows"]}
        anew = {subject_of(name) for name in _committed(trial) if name.endswith("/cancelled")}
        anew |= self.baseline.begun_anew
        for life in trial.lives[:-1]:
            for step in life.left["steps"]:
                if step["workflow"] in self.baseline.begun_anew:
                    continue
                at = f"{step['workflow']}/step-{step['number']}"
                now = final.get((step["workflow"], step["number"]))
                if now is None:
                    if step["workflow"] in there:
                        yield Finding(Kind.LOST, at, "was recorded at the crash, and is no more")
                    continue  # deleted, as in an uninterrupted run or not
                for key in ("name", "output", "error", "child"):
                    yield from _changed(at, key, compared(step, key), compared(now, key))
            for workflow in life.left["workflows"]:
                # What was cancelled and resumed begins anew; what waits on a queue may be changed.
                is_there = workflow["id"] in there and workflow["id"] not in anew
                if is_there and workflow["status"] not in ("ENQUEUED", "DELAYED"):
                    for key in _FOR_GOOD:
                        was, is_now = compared(workflow, key), compared(there[workflow["id"]], key)
                        # A resume takes the deadline away.
                        if was is not None and is_now is not None:
                            yield from _changed(workflow["id"], key, was, is_now)

    def _other_paths(self, trial: Observation) -> Iterator[Finding]:
        """Where a workflow's body takes another path than its records ask for."""
        for workflow_id, number, name in never_asked_for(trial.lives):
            if workflow_id not in self.baseline.begun_anew:
                yield Finding(
                    Kind.DIVERGED,
                    f"{workflow_id}/step-{number}",
                    f"{name} was recorded before the crash, and after it the workflow ended "
                    "without calling it",
                )
        for workflow_id, path in paths_of(trial.final).items():
            found = differing(path, self.baseline.paths.get(workflow_id, ()))
            if found:
                yield Finding(
                    Kind.DIVERGED,
                    f"{workflow_id}/step-{found.number}",
                    f"the workflow {_going_on(found.here)} here, and {_going_on(found.there)} in "
                    "an uninterrupted run, from the same records: its body depends on something else",
                )

    def _written_twice(self, trial: Observation) -> Iterator[Finding]:
        for name, number in Counter(_committed(trial)).items():
            is_for_good = name.rpartition("/")[2].startswith(ONCE)
            if number > 1 and is_for_good and subject_of(name) not in self.baseline.begun_anew:
                yield Finding(Kind.DUPLICATED, name, f"was committed {number} times")

    def _reruns(self, trial: Observation) -> Iterator[Finding]:
        recorded: set[tuple[str, int]] = set()
        for number, life in enumerate(trial.lives, start=1):
            for each in life.events:
                if each["kind"] == "ran" and (each["workflow"], each["number"]) in recorded:
                    yield Finding(
                        Kind.RERUN,
                        f"{each['step']}, {site(each)}",
                        f"was recorded before the crash, and ran again in life {number}",
                    )
            recorded |= {
                (step["workflow"], step["number"])
                for step in life.left["steps"]
                if step["workflow"] not in self.baseline.begun_anew
            }
        yield from _never_recorded(trial, recorded, self.baseline.begun_anew)

    def _twice_in_a_life(self, trial: Observation) -> Iterator[Finding]:
        """A death excuses one more execution in the next life, and never two in one."""
        for number, life in enumerate(trial.lives, start=1):
            begun = Counter(
                (e["step"], site(e))
                for e in life.events
                # DBOS's own retries are no second execution, and outside of any workflow
                # nobody promises anything.
                if e["kind"] == "ran"
                and e["workflow"]
                and e["workflow"] not in self.baseline.begun_anew
                and not (e["transaction"] or e["is_retry"])
            )
            for (step, where), times in begun.items():
                key = Count("executions", step, where)
                usual = self.baseline.counts.get(key, (0, 0))[1]
                if times > max(usual, 1) and key not in self.baseline.masked:
                    yield Finding(
                        Kind.DUPLICATED,
                        f"{key.name}, {key.about}",
                        f"ran {times} times within life {number}; uninterrupted, {usual}: one "
                        "workflow was executed twice at a time",
                    )

    def _repeated(
        self, trial: Observation, exposures: set[Exposure], *, complete: bool
    ) -> Iterator[Finding]:
        found, expected = counts_of(trial, self.by_site), self.baseline.counts
        effects = {key.name for key in expected if key.kind == "effect"}
        cannot_count = "error" in (trial.final.last("counted") or {})
        payloads = _payloads(trial)
        places = _places_of_effects(trial, self.by_site)
        for key in sorted({*found, *expected} - self.baseline.masked):
            n = found.get(key, 0)
            least, most = expected.get(key, (0, 0))
            place = places.get((key.name, key.about)) if key.kind == "effect" else None
            if self._is_open(key.about if key.kind == "executions" else site(place or _NOWHERE)):
                least, most = 0, max(most, 1)
            # A step that is named as its effect is: the promise is of the effect.
            is_named = key.kind != "executions" or key.name not in effects
            promise = self.promises.get(promised_name(key)) if is_named else None
            promise = promise or _default_promise(key, places.get((key.name, key.about)))
            subject = f"{key.name}({key.about})" if key.kind == "effect" else f"{key.name}, {key.about}"  # fmt: skip
            verb = {"effect": "happened", "executions": "ran", "insert": "was committed"}[key.kind]
            if n > most:
                differs = len(payloads.get((key.name, key.about), ())) > 1
                if most == 0 and key.kind == "effect":
                    yield Finding(
                        Kind.UNEXPECTED, subject, f"happened {n} times; uninterrupted, never"
                    )
                elif promise is Promise.AT_LEAST_ONCE:
                    # What ran once after the crash, and never without one, repeats nothing.
                    if n > 1:
                        exposures.add(Exposure(subject, n, differs))
                else:
                    again = ", and with another payload" if differs else ""
                    yield Finding(
                        Kind.DUPLICATED,
                        subject,
                        f"{verb} {n} times{again}; uninterrupted, {most}; promised {promise}"
                        + ("" if promised_name(key) in self.promises else _why_so(key, places)),
                    )
            elif n < least and complete and not (key.kind == "effect" and cannot_count):
                if promise is Promise.AT_MOST_ONCE:
                    exposures.add(Exposure(subject, n))
                elif key.kind != "insert":  # another one of that table is compared by `observe`
                    yield Finding(
                        Kind.LOST,
                        subject,
                        f"{verb} {n} times; uninterrupted, {least}; promised {promise}",
                    )

    def _is_open(self, where: str) -> bool:
        workflow, _, fact = where.rpartition("/step-")
        return fact.isdigit() and self.baseline.is_open(
            Field("step", where, "", workflow, int(fact))
        )


# Where what the scenario itself counts has happened.
_NOWHERE: Mapping[str, Any] = {"workflow": None, "number": None}


def _going_on(step: str) -> str:
    return f"goes on with {step}" if step else "ends"


# Of a workflow, once it is there: nothing of a recovery changes it.
_FOR_GOOD = ("input", "deadline", "priority", "user", "roles")


def _changed(subject: str, key: str, was: Any, now: Any) -> Iterator[Finding]:
    if now != was:
        yield Finding(
            Kind.DIVERGED,
            subject,
            f"{key} was recorded as {_short(_value(was))}, "
            f"and is {_short(_value(now))} after the crash",
        )


def _other_arguments(
    key: Field, found: Sequence[str], values: Sequence[Sequence[str]]
) -> Iterator[Finding]:
    usual = {each for value in values if value is not MISSING for each in value}
    for each in found:
        if each not in usual:
            yield Finding(
                Kind.DIVERGED,
                key.name,
                f"was called with ({_short(each)}); uninterrupted, "
                f"({_short(' or '.join(sorted(usual)))})",
            )


def _fields(masked: Iterable[Field | Count]) -> Iterator[Field]:
    yield from (each for each in masked if isinstance(each, Field))


def promised_name(key: Count) -> str:
    """By which a promise names it: an effect, a step, a table."""
    return subject_of(key.name) if key.kind == "insert" else key.name


def _default_promise(key: Count, place: Mapping[str, Any] | None) -> Promise:
    """In a step something is repeated if the process dies before the checkpoint; elsewhere
    nothing keeps it from being repeated, so nothing is excused."""
    in_step = place is not None and place["workflow"] is not None and place["number"] is not None
    return Promise.AT_LEAST_ONCE if key.kind == "executions" or in_step else Promise.EXACTLY_ONCE


def _why_so(key: Count, places: Mapping[tuple[str, str], Mapping[str, Any]]) -> str:
    if key.kind != "insert" and (key.name, key.about) not in places:
        return ""  # as the scenario itself counts
    return ", since it is outside of any step"


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


def _never_recorded(
    trial: Observation, recorded: set[tuple[str, int]], begun_anew: frozenset[str]
) -> Iterator[Finding]:
    """Step bodies that ran in several lives, and of which there is no record in the end."""
    # DBOS records no step of a workflow that was cancelled meanwhile, or that is dead-lettered.
    ended = trial.final.left["workflows"]
    given_up = begun_anew | {w["id"] for w in ended if w["status"] in _NOT_ENDED_WELL}
    # Also of a workflow that has been deleted since.
    committed = set(_committed(trial))
    lives: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for number, life in enumerate(trial.lives, start=1):
        for each in life.events:
            if (
                each["kind"] == "ran"
                and (each["workflow"], each["number"]) not in recorded
                and each["workflow"] not in given_up
                # Outside of any workflow a step is a function like any other.
                and (each["workflow"] or each["begun_in"])
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


def _committed(trial: Observation) -> Iterator[str]:
    """The names of all facts, as often as they were committed."""
    yield from (name for e in events_of(trial, "commit") for name, _ in e["facts"])


def _value(found: Any) -> str:
    return found if isinstance(found, str) else repr(found)


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 1] + "…"
