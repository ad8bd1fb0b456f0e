"""Judge a trial: an observation and a baseline in, findings out.

Pure: a function of recorded data, so that last month's trials can be judged again. What holds
of a trial by itself is in `invariants`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from resumectl.judge import invariants
from resumectl.judge.baseline import MISSING, Baseline, usual_of
from resumectl.judge.early_divergence import another_course
from resumectl.judge.interrupted_steps import (
    CountByName,
    OtherAnswer,
    counts_by_name,
    other_answers,
)
from resumectl.judge.linked_values import torn_apart
from resumectl.judge.replay_paths import differing, paths_of
from resumectl.judge.resent_messages import unread_repeats
from resumectl.judge.restarts import started_once_more
from resumectl.judge.stability import topic_of
from resumectl.judge.trial_view import (
    Count,
    Field,
    are_alike,
    calls_of,
    committed,
    counts_of,
    events_of,
    executions,
    fields_of,
    in_short,
    site,
)
from resumectl.judge.workflow_aliases import is_scheduled
from resumectl.model.crash_plan import subject_of
from resumectl.model.observation import (
    Exposure,
    Finding,
    Judgement,
    Kind,
    Observation,
    Promise,
    Verdict,
)
from resumectl.text import counted


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
        return replace(self._judgement(trial), contacts=trial.contacts)

    def _judgement(self, trial: Observation) -> Judgement:
        why_void = invariants.why_void(trial) or self._why_of_another_program(trial)
        if why_void:
            return Judgement(
                trial.plan, Verdict.VOID,
                why_void=why_void, deaths=trial.deaths, attempts=trial.attempts,
            )  # fmt: skip
        known = {key.name for key in self.baseline.fields if key.kind == "workflow"}
        again = started_once_more(trial, known)
        there = {row["id"] for life in trial.lives for row in life.left["workflows"]}
        trial = invariants.without(trial, {*again, *filter(is_scheduled, there - known)})
        absent = frozenset(filter(is_scheduled, known - there))
        others = [
            each
            for each in other_answers(trial, self.baseline.fields)
            # Behind a result that varies by itself, no run tells how often a step is to run.
            if not self.baseline.is_open_at(f"{each.workflow}/step-{each.number}")
        ]
        # DBOS does not record what a workflow was doing when it was cancelled.
        interrupted = dict.fromkeys(invariants.timed_out(trial), 1)
        for each in others:
            earliest = interrupted.get(each.workflow, each.number)
            interrupted[each.workflow] = min(earliest, each.number)
        baseline = replace(self.baseline.opened_by(trial, interrupted), absent=absent)
        by_chance = another_course(invariants.without(trial, baseline.begun_anew), baseline)
        if by_chance:
            baseline = baseline.wholly_open()
        judgement = replace(self, baseline=baseline)._judge(trial, others)
        if again:
            more = {
                Exposure(each, 2, note=_STARTED_AGAIN) for each in again if " by step " not in each
            }
            exposures = tuple(sorted({*judgement.exposures, *more}))
            judgement = replace(judgement, exposures=exposures)
        return replace(judgement, by_chance=by_chance)

    def _judge(self, trial: Observation, others: Sequence[OtherAnswer]) -> Judgement:
        stuck = list(invariants.stuck(trial.final))
        by_itself = invariants.without(trial, self.baseline.begun_anew)
        exposures = set(self._inserted_again(trial))
        findings = [
            *stuck,
            # What has not ended differs in everything, and only repeats what is said.
            *(() if stuck or self.baseline.is_wholly_open else self._differences(trial, exposures)),
            *self._other_paths(trial),
            *invariants.broken_invariants(by_itself),
            *self._twice_in_a_life(by_itself),
            *self._made_afresh(by_itself),
            *torn_apart(by_itself, self.baseline.together),
            *(() if stuck else self._never_ended(trial)),
            *self._repeated(trial, exposures, complete=not stuck),
            *(() if stuck else self._otherwise_by_name(trial, others)),
        ]
        exposures |= set(self._new_names(trial, others))
        return Judgement(
            trial.plan,
            Verdict.BROKEN if findings else Verdict.KEPT,
            tuple(sorted(set(findings))),
            tuple(sorted(_noted(exposures, others))),
            deaths=trial.deaths,
            attempts=trial.attempts,
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

    def _differences(self, trial: Observation, exposures: set[Exposure]) -> Iterator[Finding]:
        expected, found = self.baseline.fields, fields_of(trial)
        repeated = unread_repeats(trial, found, self.baseline)
        exposures |= {
            Exposure(key.name.replace(key.kind, "message to", 1), n) for key, n in repeated.items()
        }
        ended_otherwise: set[str] = set()
        for key, values in expected.items():
            if key.what == "status" and found.get(key, values[0]) not in values:
                ended_otherwise.add(key.name)
                if key.name in invariants.timed_out(trial):
                    exposures.add(Exposure(key.name, 1, note=_TIMED_OUT))
                    continue
                error = found.get(key._replace(what="error"))
                why = f": {in_short(error)}" if error else ""
                yield Finding(
                    Kind.FAILED, key.name, f"ended {found[key]} rather than {usual_of(values)}{why}"
                )

        cannot_look = [key for key in found if key.kind in ("observe", "effects")]
        for key in cannot_look:
            yield Finding(
                Kind.DIVERGED, key.kind, f"fails: {found[key]}; uninterrupted, it does not"
            )

        def is_judged(key: Field) -> bool:
            if key in repeated:
                return False
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
                    yield Finding(Kind.LOST, _subject(key), "is not there; uninterrupted, it is")
            elif key.what in _GIVEN:
                yield from _given_otherwise(key, found[key], values)
            elif found[key] not in values and key.what != "status":
                yield Finding(
                    Kind.DIVERGED,
                    _subject(key),
                    f"{key.what or 'value'} is {in_short(found[key])}; "
                    f"uninterrupted, {in_short(usual_of(values))}",
                )
        known = {(key.kind, key.name) for key in (*expected, *_fields(self.baseline.masked))}
        for key in sorted({key._replace(what="") for key in found}):
            # What is given to another write of a body is compared, and not whether it is one.
            if (key.kind, key.name) not in known and key.kind != "write" and is_judged(key):
                yield Finding(Kind.UNEXPECTED, _subject(key), "is there; uninterrupted, it is not")

    def _other_paths(self, trial: Observation) -> Iterator[Finding]:
        """Where a workflow's body goes on otherwise than an uninterrupted run's."""
        for workflow_id, path in paths_of(trial.final).items():
            found = differing(path, self.baseline.paths.get(workflow_id, ()))
            if found:
                yield Finding(
                    Kind.DIVERGED,
                    f"{workflow_id}/step-{found.number}",
                    f"the workflow {_going_on(found.here)} here, and {_going_on(found.there)} in "
                    "an uninterrupted run, from the same records: its body depends on something else",
                )

    def _twice_in_a_life(self, trial: Observation) -> Iterator[Finding]:
        """A death excuses one more execution in the next life, and never two in one."""
        for number, life in enumerate(trial.lives, start=1):
            begun = Counter(
                (e["step"], site(e))
                for e in life.events
                # DBOS's own retries are no second execution, and outside of any workflow
                # nobody promises anything.
                if e["kind"] == "ran" and e["workflow"] and not (e["transaction"] or e["is_retry"])
            )
            for (step, where), times in begun.items():
                key = Count("executions", step, where)
                usual = self.baseline.counts.get(key, (0, 0))[1]
                if times > max(usual, 1) and key not in self.baseline.masked:
                    yield Finding(
                        Kind.DUPLICATED,
                        f"{key.name}, {key.about}",
                        f"ran {counted(times, 'time')} within life {number}; uninterrupted, {usual}: one "
                        "workflow was executed twice at a time",
                    )

    def _made_afresh(self, trial: Observation) -> Iterator[Finding]:
        """Where a step that is repeated is called with something else, from the same records.

        Also what differs between uninterrupted runs, as an id made by chance, or the steps behind
        a result that varies, must be the same in all lives of a trial.
        """
        if len({life.digest for life in trial.lives} - {None}) > 1:
            return  # another program calls it otherwise
        recorded = [invariants.steps_recorded(life) for life in trial.lives]
        first: dict[Field, tuple[int, Mapping[str, Any]]] = {}
        for number, life in enumerate(trial.lives):
            for key, event in calls_of(life):
                before, earlier = first.setdefault(key, (number, event))
                if (
                    event["step"] == earlier["step"]
                    and not are_alike(event, earlier)
                    # What is compared with uninterrupted runs is told there.
                    and (key not in self.baseline.fields or self.baseline.is_open(key))
                    and _is_known_before(key, recorded[-1], recorded[before])
                ):
                    yield Finding(
                        Kind.DIVERGED,
                        f"{event['step']}, {key.name}",
                        # Without the values: they are others in every trial, and its story has them.
                        f"was called with other arguments in life {number + 1} than in life "
                        f"{before + 1}, from the same records: its body depends on something else "
                        "(as an idempotency key, it would protect nothing)",
                    )

    def _repeated(
        self, trial: Observation, exposures: set[Exposure], *, complete: bool
    ) -> Iterator[Finding]:
        found, expected = counts_of(trial, self.by_site), self.baseline.counts
        effects = {key.name for key in expected if key.kind == "effect"}
        cannot_count = "error" in (trial.final.last("counted") or {})
        payloads = _payloads(trial, self.by_site)
        places = _places_of_effects(trial, self.by_site)
        for key in sorted({*found, *expected} - self.baseline.masked):
            n = found.get(key, 0)
            least, most = expected.get(key, (0, 0))
            place = places.get((key.name, key.about)) if key.kind == "effect" else None
            if self.baseline.is_open_at(
                key.about if key.kind == "executions" else site(place or _NOWHERE)
            ):
                least, most = 0, max(most, 1)
            # A step that is named as its effect is: the promise is of the effect.
            is_named = key.kind != "executions" or key.name not in effects
            told = self.promises.get(promised_name(key)) if is_named else None
            promise = told or _default_promise(key, places.get((key.name, key.about)))
            subject = f"{key.name}({key.about})" if key.kind == "effect" else f"{key.name}, {key.about}"  # fmt: skip
            verb = {"effect": "happened", "executions": "ran", "write": "was committed"}[key.kind]
            if n > most:
                differs = len(payloads.get(key, ())) > 1
                if most == 0 and key.kind == "effect":
                    yield Finding(
                        Kind.UNEXPECTED,
                        subject,
                        f"happened {counted(n, 'time')}; uninterrupted, never",
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
                        f"{verb} {counted(n, 'time')}{again}; uninterrupted, {most}; promised {promise}"
                        + ("" if promised_name(key) in self.promises else _why_so(key, places)),
                    )
            elif n < least and complete and not (key.kind == "effect" and cannot_count):
                if promise is Promise.AT_MOST_ONCE:
                    exposures.add(Exposure(subject, n))
                elif key.kind != "write":  # another one of that table is compared by `observe`
                    # Of what never happened in this trial nothing tells where it belongs.
                    promised = f"; promised {promise}" if told or key in found else ""
                    yield Finding(
                        Kind.LOST,
                        subject,
                        f"{verb} {counted(n, 'time')}; uninterrupted, {least}{promised}",
                    )

    def _inserted_again(self, trial: Observation) -> Iterator[Exposure]:
        """Yield an exposure for each table that steps insert into more often than uninterrupted."""
        usual = {each.name: each.times for each in self.baseline.transitions}
        by_bodies = {key.name for key in self.baseline.counts if key.kind == "write"}
        for name, times in Counter(committed(trial)).items():
            is_insert = name.endswith("/inserted") and name not in by_bodies
            if is_insert and 0 < usual.get(name, 0) < times:
                yield Exposure(name, times, note=_NOT_COMPARED)

    def _otherwise_by_name(
        self, trial: Observation, others: Sequence[OtherAnswer]
    ) -> Iterator[Finding]:
        """Behind a step that answered otherwise, steps are counted by name, not by number."""
        yield from self._recorded_more_often(trial, others)
        for count in self._counts_by_name(trial, others):
            promise = self.promises.get(count.step, Promise.AT_LEAST_ONCE)
            said = f"ran {counted(count.times, 'time')} in this workflow; uninterrupted, "
            if count.times < count.least and promise is not Promise.AT_MOST_ONCE:
                yield Finding(Kind.LOST, count.subject, f"{said}{count.least}")
            if count.times > max(count.most, 1) and promise is not Promise.AT_LEAST_ONCE:
                evidence = f"{said}{count.most}; promised {promise}"
                yield Finding(Kind.DUPLICATED, count.subject, evidence)

    def _new_names(self, trial: Observation, others: Sequence[OtherAnswer]) -> Iterator[Exposure]:
        """Yield an exposure for each step behind another answer that no uninterrupted run has."""
        for count in self._counts_by_name(trial, others):
            if count.times and not count.most:
                yield Exposure(count.subject, count.times, note=_NEW_NAME)

    def _counts_by_name(
        self, trial: Observation, others: Sequence[OtherAnswer]
    ) -> Iterator[CountByName]:
        """Yield the counts of the workflows in which a step answered otherwise."""
        found = executions(trial, "ran")
        for workflow in sorted({each.workflow for each in others}):
            yield from counts_by_name(workflow, found, self.baseline.counts)

    def _recorded_more_often(
        self, trial: Observation, others: Sequence[OtherAnswer]
    ) -> Iterator[Finding]:
        """A crash excuses one more run of a step, and never one more record of it.

        Apart from the step that answered otherwise: a lease is asked for until it is there.
        """
        again = {(each.workflow, each.step) for each in others}
        usual = Counter(
            (key.workflow, name)
            for key, values in self.baseline.fields.items()
            if key.kind == "step" and key.what == "name"
            for name in {*values} - {MISSING}
        )
        found = Counter((row["workflow"], row["name"]) for row in trial.final.left["steps"])
        for workflow, step in sorted(usual):
            times, most = found[workflow, step], usual[workflow, step]
            is_own = workflow in {each.workflow for each in others} and not step.startswith("DBOS.")
            if is_own and times > most and (workflow, step) not in again:
                yield Finding(
                    Kind.DUPLICATED,
                    f"{step}, {workflow}",
                    f"was recorded {counted(times, 'time')} in this workflow; uninterrupted, {most}",
                )

    def _never_ended(self, trial: Observation) -> Iterator[Finding]:
        """Steps whose execution was cut off, in a task that nobody awaits, and not begun again."""
        cut_off = executions(trial, "ran").keys() - executions(trial, "ended").keys()
        for key in sorted(cut_off & self.baseline.ended):
            is_promised = self.promises.get(key.name) is not Promise.AT_MOST_ONCE
            if is_promised and not self.baseline.is_open_at(key.about):
                yield Finding(
                    Kind.LOST,
                    f"{key.name}, {key.about}",
                    "was cut off by the crash, and is not done again; uninterrupted, it ends",
                )


def _noted(exposures: set[Exposure], others: Sequence[OtherAnswer]) -> Iterator[Exposure]:
    """Yield the exposures, with the other answers of steps that were interrupted."""
    notes = {each.subject: str(each) for each in others}
    for exposure in exposures:
        yield replace(exposure, note=notes.pop(exposure.effect, exposure.note))
    # Where a promise of the step makes its repetition a finding, the other answer is still told.
    yield from (Exposure(subject, 2, note=note) for subject, note in notes.items())


def unless_time_does_it(usual: Judgement, after_time: Judgement) -> Judgement:
    """Return a judgement without what differs by the passing of time alone.

    Args:
        usual: Of a trial against the uninterrupted runs.
        after_time: Of the same trial, against one in which time passes at the same point.
    """
    topics = {topic_of(finding) for finding in after_time.findings}
    findings = tuple(each for each in usual.findings if topic_of(each) in topics)
    explained = {each.subject for each in usual.findings} - {each.subject for each in findings}
    by_time = {*usual.by_time, *explained}
    verdict = usual.verdict if findings else Verdict.KEPT
    return replace(usual, findings=findings, verdict=verdict, by_time=tuple(sorted(by_time)))


_NOT_COMPARED = "its rows are compared only where a Scenario's observe returns them"
_NEW_NAME = "ran behind a step that answered otherwise; in no uninterrupted run"
_STARTED_AGAIN = "the import of the program starts one more in each process, under another id"
_TIMED_OUT = "was cancelled by DBOS: its timeout passed while no process was up"


# Where what the scenario itself counts has happened.
_NOWHERE: Mapping[str, Any] = {"workflow": None, "number": None}


def _subject(key: Field) -> str:
    """As a finding names it, whatever of it differs."""
    return str(key._replace(what="")) if key.kind == "observed" else key.name or key.kind


def _going_on(step: str) -> str:
    return f"goes on with {step}" if step else "ends"


# What a step is called with, or a body's statement executed, perhaps several times.
_GIVEN = {"arguments": "called with", "values": "executed with"}


def _given_otherwise(
    key: Field, found: Sequence[str], values: Sequence[Sequence[str]]
) -> Iterator[Finding]:
    usual = {each for value in values if value is not MISSING for each in value}
    for each in found:
        if each not in usual:
            yield Finding(
                Kind.DIVERGED,
                key.name,
                f"was {_GIVEN[key.what]} ({in_short(each)}); uninterrupted, "
                f"({in_short(' or '.join(sorted(usual)))})",
            )


def _is_known_before(key: Field, ended: set[tuple[str, int]], then: set[tuple[str, int]]) -> bool:
    """Whether all that precedes a step in the end had been recorded in the end of another life."""
    return all(at in then for at in ended if at[0] == key.workflow and at[1] < key.number)


def _fields(masked: Iterable[Field | Count]) -> Iterator[Field]:
    yield from (each for each in masked if isinstance(each, Field))


def promised_name(key: Count) -> str:
    """By which a promise names it: an effect, a step, a table."""
    return subject_of(key.name) if key.kind == "write" else key.name


def _default_promise(key: Count, place: Mapping[str, Any] | None) -> Promise:
    """In a step something is repeated if the process dies before the checkpoint; elsewhere
    nothing keeps it from being repeated, so nothing is excused."""
    in_step = place is not None and place["workflow"] is not None and place["number"] is not None
    return Promise.AT_LEAST_ONCE if key.kind == "executions" or in_step else Promise.EXACTLY_ONCE


def _why_so(key: Count, places: Mapping[tuple[str, str], Mapping[str, Any]]) -> str:
    if key.kind != "write" and (key.name, key.about) not in places:
        return ""  # as the scenario itself counts
    return ", since it is outside of any step"


def _places_of_effects(
    trial: Observation, by_site: set[str]
) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {
        (e["name"], site(e) if e["name"] in by_site else ", ".join(e["about"])): e
        for e in events_of(trial, "effect")
    }


def _payloads(trial: Observation, by_site: set[str]) -> dict[Count, set[tuple[str, ...]]]:
    """Return with what each step's body was called, and each effect recorded."""
    found: defaultdict[Count, set[tuple[str, ...]]] = defaultdict(set)
    for each in events_of(trial, "ran"):
        found[Count("executions", each["step"], site(each))].add(tuple(each["payload"]))
    for each in events_of(trial, "effect"):
        about = site(each) if each["name"] in by_site else ", ".join(each["about"])
        found[Count("effect", each["name"], about)].add(tuple(each["about"]))
    return found
