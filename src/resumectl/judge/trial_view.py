"""Compute the facts of one run that the checks need, each of them once."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TypeVar

from resumectl.judge.fields import Count, Field, FieldKind, numbered_field, said_field, step_field
from resumectl.judge.replay_paths import Path, paths_of
from resumectl.model.codec import Plain
from resumectl.model.crash_plan import subject_of
from resumectl.model.events import (
    Argument,
    ClientGaveUp,
    ClientStarted,
    Committed,
    EffectHappened,
    EffectsCounted,
    Event,
    MessagesSent,
    OutsideObserved,
    RequestEnded,
    StepEnded,
    StepReplayed,
    StepStarted,
    WorkflowRaised,
)
from resumectl.model.evidence import Occurrence
from resumectl.model.observation import Observation, ProcessRecord
from resumectl.model.serialized_values import readable
from resumectl.model.snapshot import StepRow, WorkflowRow

# Steps of DBOS's own (3.4.0) whose records vary: the time of waking, which no body sees; which of
# several came first; and a child's result, which is compared in the child's own row.
FIRST_OF_SEVERAL = frozenset({"DBOS.waitFirst", "DBOS.asyncio_wait"})
# Messages of several senders arrive in any order: they are compared together.
RECEIVED = "DBOS.recv"
_NAME_ONLY = frozenset({"DBOS.sleep", "DBOS.getResult", RECEIVED, *FIRST_OF_SEVERAL})
_WORKFLOW_PARTS = (
    "name", "status", "output", "error", "parent", "input", "priority", "user", "roles",
    "timeout_ms", "partition",
)  # fmt: skip
_STEP_PARTS = ("name", "output", "error", "child")
_SERIALIZED = frozenset({"input", "output", "error"})

Call = tuple[Field, StepStarted]
E = TypeVar("E")


class TrialView:
    """View of what a run did and of its final state.

    Args:
        observation: The run.
        effects_by_site: Effects that are identified by where they happen; see `effects_by_site`.

    Attributes:
        observation: The run.
    """

    def __init__(
        self, observation: Observation, effects_by_site: Collection[str] = frozenset()
    ) -> None:
        self.observation = observation
        self._effects_by_site = frozenset(effects_by_site)

    def without(self, workflows: Collection[str]) -> "TrialView":
        """Return a view of the run without any trace of some workflows.

        Args:
            workflows: Ids of the workflows.
        """
        if not workflows:
            return self
        processes = tuple(_without(each, workflows) for each in self.processes)
        return TrialView(replace(self.observation, processes=processes), self._effects_by_site)

    @cached_property
    def first_process(self) -> "TrialView":
        """View of its first process alone."""
        first = replace(self.observation, processes=self.processes[:1])
        return TrialView(first, self._effects_by_site)

    @property
    def processes(self) -> tuple[ProcessRecord, ...]:
        """Its processes, in their order."""
        return self.observation.processes

    @property
    def final(self) -> ProcessRecord:
        """Its last process."""
        return self.observation.final

    # --- its client

    @property
    def has_given_up(self) -> bool:
        """Whether the client does not ask again in the last process."""
        return self.final.last(ClientGaveUp) is not None

    @cached_property
    def client_starts(self) -> frozenset[str]:
        """Workflows that the client started, in all processes."""
        return frozenset(start.workflow for start in self._all(ClientStarted))

    # --- what it did

    @cached_property
    def committed(self) -> Counter[str]:
        """Number of commits of each transition, in all processes together."""
        return Counter(fact.name for event in self._all(Committed) for fact in event.facts)

    @cached_property
    def started(self) -> Counter[Count]:
        """Number of starts of each step's body, without transactions, which the crash rolls back."""
        return Counter(_execution(e) for e in self._all(StepStarted) if not e.is_transaction)

    @cached_property
    def ended(self) -> Counter[Count]:
        """Number of ends of each step's body, without transactions."""
        return Counter(_execution(e) for e in self._all(StepEnded) if not e.is_transaction)

    @cached_property
    def counts(self) -> Mapping[Count, int]:
        """How often each thing happened, in all processes together and by the Scenario's counts."""
        found: Counter[Count] = Counter()
        for event in self._all(EffectHappened):
            found[self.effect_count(event)] += 1
        counted = self.final.last(EffectsCounted)
        for name, times in (counted.counts if counted is not None else {}).items():
            for about, number in times.items():
                found[Count(Occurrence.EFFECT, name, about)] += number
        found += self.started
        for commit in self._all(Committed):
            for insert in commit.inserts:
                found[Count(Occurrence.WRITE, insert.fact, insert.workflow)] += 1
        return dict(found)

    def effect_count(self, event: EffectHappened) -> Count:
        """Return the key under which an effect is counted."""
        is_by_site = event.name in self._effects_by_site
        about = str(event.site) if is_by_site else ", ".join(event.about)
        return Count(Occurrence.EFFECT, event.name, about)

    @cached_property
    def effect_sites(self) -> Mapping[Count, EffectHappened]:
        """Last event of each effect."""
        return {self.effect_count(event): event for event in self._all(EffectHappened)}

    @cached_property
    def payloads(self) -> Mapping[Count, set[tuple[str, ...]]]:
        """Arguments with which each step's body was called and each effect was recorded."""
        found: defaultdict[Count, set[tuple[str, ...]]] = defaultdict(set)
        for event in self._all(StepStarted):
            found[_execution(event)].add(tuple(each.text for each in event.arguments))
        for effect in self._all(EffectHappened):
            found[self.effect_count(effect)].add(effect.about)
        return dict(found)

    @cached_property
    def calls(self) -> Sequence[Sequence[Call]]:
        """Executions of workflow steps, by process, each with its field."""
        return tuple(tuple(calls_of(process)) for process in self.processes)

    @cached_property
    def messages(self) -> Mapping[Field, list[str]]:
        """Sent messages of workflows, by the field of the step that sent them."""
        return {
            numbered_field(event.workflow, event.step_number, "message"): [
                readable(message.content) for message in event.messages
            ]
            for event in self._all(MessagesSent)
        }

    # --- what it ended with

    @cached_property
    def paths(self) -> Mapping[str, Path]:
        """Path of each workflow through its steps."""
        return paths_of(self.final)

    @cached_property
    def received(self) -> Mapping[str, Mapping[int, str]]:
        """Received message of each workflow, by the number of the step."""
        found: defaultdict[str, dict[int, str]] = defaultdict(dict)
        for step in self.final.snapshot.steps:
            if step.name == RECEIVED:
                found[step.workflow][step.number] = readable(step.output)
        return dict(found)

    @cached_property
    def fields(self) -> Mapping[Field, object]:
        """Final state: each field with its value."""
        return dict(
            [
                *self._recorded_fields(),
                *self._argument_fields(),
                *self._published_fields(),
                *self._answer_fields(),
            ]
        )

    def _recorded_fields(self) -> Iterator[tuple[Field, object]]:
        snapshot = self.final.snapshot
        for workflow in snapshot.workflows:
            for part in _WORKFLOW_PARTS:
                yield Field(FieldKind.WORKFLOW, workflow.id, part), compared(workflow, part)
        for step in snapshot.steps:
            for part in ("name",) if step.name in _NAME_ONLY else _STEP_PARTS:
                yield step_field(step, part), compared(step, part)
        for workflow_id, numbered in self.received.items():
            key = Field(FieldKind.RECEIVED, workflow_id, "", workflow_id)
            yield key, sorted(numbered.values())

    def _argument_fields(self) -> Iterator[tuple[Field, object]]:
        """Yield the arguments of steps, and the values of bodies' statements."""
        given: defaultdict[Field, set[str]] = defaultdict(set)
        for calls in self.calls:
            for call, event in calls:
                given[call].add(", ".join(argument.text for argument in event.arguments))
        for commit in self._all(Committed):
            for update in commit.updates:
                name = f"{update.fact} by {update.workflow}"
                key = Field(FieldKind.WRITE, name, "values", update.workflow)
                given[key].add(update.values)
        return ((key, tuple(sorted(texts))) for key, texts in given.items())

    def _published_fields(self) -> Iterator[tuple[Field, object]]:
        for kind in (FieldKind.EVENT, FieldKind.STREAM, FieldKind.INBOX):
            texts: defaultdict[Field, list[str]] = defaultdict(list)
            for row in self.final.snapshot.said[kind]:
                texts[said_field(kind, row.workflow, row.key)].append(readable(row.value))
            for key, values in texts.items():
                # Messages of several senders arrive in any order.
                yield key, sorted(values) if kind is FieldKind.INBOX else values

    def _answer_fields(self) -> Iterator[tuple[Field, object]]:
        """Yield the client's answer, and what the Scenario observes."""
        answers = list(
            self._all(RequestEnded) if self.has_given_up else self.final.all(RequestEnded)
        )
        answer = answers[-1] if answers else None
        if answer is None:
            if not self.has_given_up:
                yield Field(FieldKind.ANSWER, ""), None
        else:
            error = answer.error
            yield Field(FieldKind.ANSWER, ""), answer.value if error is None else error.summary
        observed = self.final.last(OutsideObserved)
        if observed is None:
            yield Field(FieldKind.OBSERVED, ""), None
        elif observed.error is not None:
            yield Field(FieldKind.OBSERVE, ""), observed.error
        else:
            yield from _flat("", observed.value)
        counted = self.final.last(EffectsCounted)
        if counted is not None and counted.error is not None:
            yield Field(FieldKind.EFFECTS, ""), counted.error

    def _all(self, kind: type[E]) -> Iterator[E]:
        return self.observation.all(kind)


def calls_of(process: ProcessRecord) -> Iterator[Call]:
    """Yield the executions of workflow steps, each with the field of its arguments."""
    for event in process.all(StepStarted):
        site = event.site
        if site.workflow is not None and site.step_number is not None:
            yield numbered_field(site.workflow, site.step_number, "arguments"), event


def compared(row: WorkflowRow | StepRow, part: str) -> object:
    """Return a column of a row in the form in which it is compared.

    Args:
        row: Row of a workflow or a step.
        part: Name of the column.
    """
    value = getattr(row, part)
    return readable(value) if part in _SERIALIZED and value is not None else value


def steps_recorded(process: ProcessRecord) -> frozenset[tuple[str, int]]:
    """Return the workflow and number of each step that is recorded when a process has ended."""
    return frozenset((step.workflow, step.number) for step in process.snapshot.steps)


def plain_values(call: StepStarted) -> list[str]:
    """Return the arguments of a step's body that consist of plain values."""
    return [argument.text for argument in call.arguments if not argument.is_opaque]


def are_alike(one: StepStarted, other: StepStarted) -> bool:
    """Return whether two calls of a step's body have the same arguments, apart from times."""
    mine, others = (
        [_ways_to_show(each) for each in call.arguments if not each.is_opaque]
        for call in (one, other)
    )
    return len(mine) == len(others) and not any(map(frozenset.isdisjoint, mine, others))


def _ways_to_show(argument: Argument) -> frozenset[str]:
    return frozenset((argument.text, *argument.without_times))


def effects_by_site(runs: Sequence[Observation]) -> set[str]:
    """Return the effects whose arguments differ between runs; they are identified by where they happen.

    Args:
        runs: Uninterrupted runs of one program.
    """
    counters = [Counter((e.name, e.about) for e in run.all(EffectHappened)) for run in runs]
    everything = {key for each in counters for key in each}
    return {
        name for name, about in everything if any((name, about) not in each for each in counters)
    }


def _execution(event: StepStarted | StepEnded) -> Count:
    return Count(Occurrence.EXECUTION, event.step, str(event.site))


def _flat(name: str, value: Plain) -> Iterator[tuple[Field, object]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}" if name else key, inner)
    else:
        yield Field(FieldKind.OBSERVED, name), value


# --- leaving workflows out


def _without(process: ProcessRecord, workflows: Collection[str]) -> ProcessRecord:
    snapshot = process.snapshot
    return replace(
        process,
        events=tuple(
            _without_facts(event, workflows) if isinstance(event, Committed) else event
            for event in process.events
            if _workflow_of(event) not in workflows
        ),
        snapshot=replace(
            snapshot,
            workflows=tuple(row for row in snapshot.workflows if row.id not in workflows),
            steps=tuple(row for row in snapshot.steps if row.workflow not in workflows),
            event=tuple(row for row in snapshot.event if row.workflow not in workflows),
            stream=tuple(row for row in snapshot.stream if row.workflow not in workflows),
            inbox=tuple(row for row in snapshot.inbox if row.workflow not in workflows),
        ),
    )


def _workflow_of(event: Event) -> str | None:
    if isinstance(event, StepStarted | StepEnded | StepReplayed | EffectHappened):
        return event.site.workflow
    if isinstance(event, MessagesSent | WorkflowRaised):
        return event.workflow
    return None


def _without_facts(commit: Committed, workflows: Collection[str]) -> Committed:
    facts = (fact for fact in commit.facts if subject_of(fact.name) not in workflows)
    return replace(commit, facts=tuple(facts))
