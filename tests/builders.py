"""Build observations of trials for tests of the judge and the reports; nothing is run."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from resumectl.judge.baseline import Baseline
from resumectl.judge.checker import Checker
from resumectl.judge.trial_view import TrialView, effects_by_site
from resumectl.model.events import (
    Argument,
    BecameQuiet,
    ClientStarted,
    Committed,
    CommittedFact,
    CrashPointReached,
    EffectHappened,
    Event,
    LaunchStarted,
    MessagesSent,
    RequestEnded,
    SentMessage,
    Site,
    StepEnded,
    StepReplayed,
    StepStarted,
    TargetFailed,
)
from resumectl.model.observation import Observation, ProcessRecord
from resumectl.model.process_exit import ProcessExit
from resumectl.model.promise import Promise
from resumectl.model.snapshot import KeyedValueRow, Snapshot, StepRow, WorkflowRow
from resumectl.model.target_error import NotAFunction, TargetError
from resumectl.model.verdict import Judgement
from resumectl.model.workflow_names import is_generated

Steps = Sequence[tuple[str, str]]  # name and output
WORKFLOW = "w-1"
PLAN = f"before:{WORKFLOW}/step-1"
EXITED = ProcessExit(pid=1, signal=None, exit_status=0, in_time=True)
KILLED = ProcessExit(pid=1, signal=9, exit_status=None, in_time=True)
TIMED_OUT = ProcessExit(pid=1, signal=9, exit_status=None, in_time=False)


# --- rows


def workflow_row(workflow_id: str = WORKFLOW, **columns: Any) -> WorkflowRow:
    row = WorkflowRow(
        id=workflow_id, name="work", status="SUCCESS", output=None, error=None, queue=None,
        executor="trial", version="trial-1", attempts=1, parent=None, input="1",
        deadline_ms=None, priority=0, user=None, roles=None, timeout_ms=None, partition=None,
    )  # fmt: skip
    return replace(row, **columns)


def step_row(
    number: int, name: str, output: str | None = None, *, workflow: str = WORKFLOW, **columns: Any
) -> StepRow:
    row = StepRow(workflow, number, name, output, error=None, child=None)
    return replace(row, **columns)


def snapshot(
    workflows: Sequence[WorkflowRow] = (),
    steps: Sequence[StepRow] = (),
    *,
    event: Sequence[KeyedValueRow] = (),
    stream: Sequence[KeyedValueRow] = (),
    inbox: Sequence[KeyedValueRow] = (),
) -> Snapshot:
    return Snapshot(tuple(workflows), tuple(steps), tuple(event), tuple(stream), tuple(inbox))


# --- events


def argument(text: str, *, is_opaque: bool = False, without_time: str | None = None) -> Argument:
    return Argument(text, is_opaque, () if without_time is None else (without_time,))


def started(
    step: str,
    number: int = 1,
    *arguments: Argument,
    workflow: str = WORKFLOW,
    is_retry: bool = False,
) -> StepStarted:
    site = Site(workflow, number, None)
    return StepStarted(number, step, site, False, is_retry, arguments or (argument("'x'"),))


def ended(step: str, number: int = 1, *, workflow: str = WORKFLOW) -> StepEnded:
    return StepEnded(number, step, Site(workflow, number, None), False)


def replayed(step: str, number: int = 1, *, workflow: str = WORKFLOW) -> StepReplayed:
    return StepReplayed(number, step, Site(workflow, number, None), step)


def effect(name: str, *about: str, number: int | None = 1) -> EffectHappened:
    return EffectHappened(1, name, Site(WORKFLOW, number, None), about)


def committed(*facts: str | tuple[str, str]) -> Committed:
    pairs = ((each, "") if isinstance(each, str) else each for each in facts)
    return Committed(1, tuple(CommittedFact(*pair) for pair in pairs), (), ())


def sent(*messages: str, number: int = 1) -> MessagesSent:
    return MessagesSent(1, WORKFLOW, number, tuple(SentMessage("w-2", m) for m in messages))


def client_started(workflow: str, function: str = "checkout", **more: Any) -> ClientStarted:
    start = ClientStarted(1, workflow, function, is_generated(workflow), "('a',)", turn=1)
    return replace(start, **more)


def target_failed(summary: str = "boom") -> TargetFailed:
    return TargetFailed(1, TargetError(summary, NotAFunction()))


# A Scenario that promises its step `look` exactly once.
LAUNCH_OF_SCENARIO = LaunchStarted(0, {"look": "exactly-once"}, "d")


# --- processes and trials


def process(
    events: Sequence[Event] = (),
    left: Snapshot | None = None,
    *,
    process_exit: ProcessExit = EXITED,
    unreadable: str = "",
) -> ProcessRecord:
    return ProcessRecord(tuple(events), unreadable, process_exit, left or snapshot())


def working(
    steps: Steps,
    *,
    ran: Sequence[int] | None = None,
    arguments: Sequence[Argument] = (),
    status: str = "SUCCESS",
    answer: str = "ok",
    digest: str = "d",
    events: Sequence[Event] = (),
    is_cut_off: bool = False,
    has_own_concurrency: bool = False,
) -> ProcessRecord:
    """A process with one workflow that recorded these steps.

    Args:
        steps: Name and output of each.
        ran: Numbers of the steps whose bodies it executed; None for all.
        arguments: The argument of each step; a single one for all; none for a usual one.
        status: Status of the workflow.
        answer: What the client got.
        digest: Digest of the target's file.
        events: Further events, before it became quiet.
        is_cut_off: Whether no body came to its end.
        has_own_concurrency: Whether a step had two threads at once.
    """
    numbers = range(1, len(steps) + 1) if ran is None else ran
    given = list(arguments) * len(steps) if len(arguments) == 1 else list(arguments)
    bodies: list[Event] = []
    for n in numbers:
        name = steps[n - 1][0]
        bodies.append(started(name, n, *([given[n - 1]] if given else [])))
        if not is_cut_off:
            bodies.append(ended(name, n))
    return process(
        [
            LaunchStarted(0, {}, digest),
            *bodies,
            *(replayed(name, n) for n, (name, _) in enumerate(steps, start=1)),
            *events,
            BecameQuiet(9, 0, has_own_concurrency),
            RequestEnded(9, answer, None),
        ],
        snapshot(
            [workflow_row(status=status)],
            [step_row(n, name, output) for n, (name, output) in enumerate(steps, start=1)],
        ),
    )


def with_records(record: ProcessRecord, count: int) -> ProcessRecord:
    """Return a process that left only its first records of steps."""
    left = replace(record.snapshot, steps=record.snapshot.steps[:count])
    return replace(record, snapshot=left)


def observed(*processes: ProcessRecord, plan: str = "", seconds: float = 1.0) -> Observation:
    return Observation(plan, processes, seconds, attempts=1, discarded_contacts={})


def run(steps: Steps, *, plan: str = "", **more: Any) -> Observation:
    """An uninterrupted run; `more` as `working` takes it."""
    return observed(working(steps, **more), plan=plan)


def crashed(first: ProcessRecord, later: ProcessRecord) -> Observation:
    """A trial whose first process was killed when it had done all that it recorded."""
    events = (*first.events, CrashPointReached(9, PLAN))
    return observed(replace(first, events=events, exit=KILLED), later, plan=PLAN)


def trial(steps: Steps, *, first: Steps = (), **more: Any) -> Observation:
    """A trial that was killed before its first record, or with the first ones, and recovered.

    Args:
        steps: What the last process left.
        first: What the first process left.
        more: For the last process, as `working` takes it.
    """
    killed = working(first, events=[CrashPointReached(9, PLAN)], status="PENDING")
    return observed(replace(killed, exit=KILLED), working(steps, **more), plan=PLAN)


# --- judging


def baseline_of(runs: Sequence[Observation]) -> Baseline:
    return Baseline.of([TrialView(each) for each in runs])


def checker_of(runs: Sequence[Observation] | Baseline, **promises: Promise) -> Checker:
    if isinstance(runs, Baseline):
        return Checker(runs, frozenset(), promises)
    by_site = frozenset(effects_by_site(runs))
    baseline = Baseline.of([TrialView(each, by_site) for each in runs])
    return Checker(baseline, by_site, promises)


def kinds_of(judgement: Judgement) -> set[str]:
    assert not judgement.why_void, judgement.why_void
    return {str(finding.kind) for finding in judgement.findings}
