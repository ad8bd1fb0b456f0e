"""Write the sentences for findings and exposures: one function for each kind of evidence."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from resumectl.model import evidence as e
from resumectl.model.evidence import Evidence, Note, Occurrence
from resumectl.model.verdict import Kind
from resumectl.text import counted

_LISTED_MAX = 5  # ids in one sentence
_VERBS = {
    Occurrence.EFFECT: "happened",
    Occurrence.EXECUTION: "ran",
    Occurrence.WRITE: "was committed",
}
# Names of the parts of a record, for people.
_PARTS = {"deadline_ms": "deadline"}
_DEPENDS = "The workflow's body depends on something that no step returned"
_Counted = (
    e.TooFew | e.TooFewInWorkflow | e.TooMany | e.TooManyInWorkflow | e.TooManyInProcess
    | e.TooManyRecords
)  # fmt: skip

# The meaning of each kind of finding, and the usual fix.
MEANINGS: Mapping[Kind, str] = {
    Kind.LOST: "accepted work, or an effect that must happen, did not happen, and nothing will "
    "do it later. Do after a crash what must happen in a step, and mark work as done only when "
    "it is done.",
    Kind.DUPLICATED: "the outside world sees it more than once, for example a second charge or "
    "e-mail. Either it happened before the crash, and DBOS had not recorded it yet, so it happened "
    "again: send an idempotency key with it, or write it in a datasource's transaction; give each "
    "effect a step of its own. Or a client that asked again started a second workflow: give the "
    "request a workflow id.",
    Kind.DIVERGED: "the outcome after a crash is different. Either a step that ran again did its "
    "work twice: send an idempotency key with each call to the outside. Or the workflow's body "
    "depends on more than its arguments and the results of its steps: move randomness, time, memory "
    "and tables into steps.",
    Kind.STUCK: "it waits for ever, and so does everything that waits for it. Make sure that "
    "whatever the workflow needs exists at launch: class, instance, queue, application version.",
    Kind.FAILED: "a workflow that succeeds without a crash failed after one, and DBOS does not "
    "run a failed workflow again; or each process that recovers it ends itself. After a deploy, DBOS "
    "refuses steps in another order (DBOSUnexpectedStepError): let the earlier release finish its "
    "workflows, or use DBOS.patch.",
    Kind.UNEXPECTED: "something exists that the baseline does not have, for example a workflow "
    "that was started again with a new id.",
    Kind.RERUN: "a step ran again although its result was recorded, or its result was never "
    "recorded: its effects outside happen again.",
}

# Introduces what a control run shows too, in which the same time passes and nothing is killed.
EXPLAINED_BY_TIME = "explained by time (a run without the crash shows it too)"


def evidence_text(evidence: Evidence) -> str:
    """Return the sentence for the evidence of a finding."""
    return _TEXTS[type(evidence)](evidence)


def note_text(note: Note | None) -> str:
    """Return the sentence for the note of an exposure; empty if it has none."""
    return "" if note is None else _NOTES[type(note)](note)


def _ended_otherwise(evidence: e.EndedOtherwise) -> str:
    error = f". Its error: {evidence.error}" if evidence.error else ""
    return f"ended {evidence.status}; baseline: {evidence.usual}{error}"


def _process_ended(evidence: e.ProcessEnded) -> str:
    during = f", while it ran {evidence.during}" if evidence.during else ""
    return f"ended before its work{during}: {evidence.how}; baseline: all work is done"


def _other_value(evidence: e.OtherValue) -> str:
    return f"{evidence.what or 'value'} is {evidence.value}; baseline: {evidence.usual}"


def _other_arguments(evidence: e.OtherArguments) -> str:
    verb = "executed" if evidence.is_statement else "called"
    return f"was {verb} with ({evidence.given}); baseline: ({evidence.usual})"


def _other_path(evidence: e.OtherPath) -> str:
    return (
        f"the workflow {_continuation(evidence.step)}; in the baseline it "
        f"{_continuation(evidence.usual)}, although all steps before it returned the same. {_DEPENDS}"
    )


def _continuation(step: str) -> str:
    return f"continues with {step}" if step else "ends"


def _other_arguments_after_crash(evidence: e.OtherArgumentsAfterCrash) -> str:
    return (
        f"was called with different arguments in processes {evidence.earlier_process} and "
        f"{evidence.process}, although all steps before it returned the same. {_DEPENDS} (an "
        "idempotency key that is made like this protects nothing)"
    )


def _record_changed(evidence: e.RecordChanged) -> str:
    part = _PARTS.get(evidence.what, evidence.what)
    return f"{part} was recorded as {evidence.before}; after the crash it is {evidence.after}"


def _never_called(evidence: e.NeverCalled) -> str:
    return (
        f"{evidence.step} was recorded before the crash; after the crash the workflow ended "
        "without calling it"
    )


def _broken_link(evidence: e.BrokenLink) -> str:
    return (
        f"differs from {evidence.other}; in the baseline both have the same value. The workflow's "
        "body generated it again after the crash"
    )


def _too_few(evidence: e.TooFew) -> str:
    return _counts(_VERBS[evidence.occurrence], evidence, evidence.promise)


def _too_few_in_workflow(evidence: e.TooFewInWorkflow) -> str:
    return _counts("ran", evidence, where=" in this workflow")


def _too_many(evidence: e.TooMany) -> str:
    return _counts(
        _VERBS[evidence.occurrence],
        evidence,
        evidence.promise + (" (it is outside of any step)" if evidence.is_outside_step else ""),
        where=", with different arguments" if evidence.payload_differs else "",
    )


def _too_many_in_workflow(evidence: e.TooManyInWorkflow) -> str:
    return _counts("ran", evidence, evidence.promise, where=" in this workflow")


def _too_many_in_process(evidence: e.TooManyInProcess) -> str:
    counts = _counts("ran", evidence, where=f" within process {evidence.process}")
    return f"{counts}. One workflow was executed twice at the same time"


def _too_many_records(evidence: e.TooManyRecords) -> str:
    return _counts("was recorded", evidence, where=" in this workflow")


def _counts(verb: str, evidence: _Counted, promise: str = "", *, where: str = "") -> str:
    promised = f"; promise: {promise}" if promise else ""
    times = counted(evidence.times, "time")
    return f"{verb} {times}{where}; baseline: {evidence.usual}{promised}"


def _never_recorded(evidence: e.NeverRecorded) -> str:
    numbers = " and ".join(map(str, evidence.processes))
    return f"ran in processes {numbers}, and DBOS has no record of it"


def _workflow_stuck(evidence: e.WorkflowStuck) -> str:
    state = f"is still {evidence.status}; executor {evidence.executor}"
    if evidence.queue:
        state += f", queue {evidence.queue}"
    return ". ".join((state, *_why_stuck(evidence)))


def _why_stuck(evidence: e.WorkflowStuck) -> Iterator[str]:
    if evidence.version:
        yield (
            f"It has application version {evidence.version}, and this process has "
            f"{evidence.process_version}; DBOS recovers only workflows of its own version. Run a "
            f"process of version {evidence.version}, or call DBOS.fork_workflow(…, "
            "application_version=…), or set one application_version in both releases"
        )
    elif evidence.process_executor:
        yield (
            f"This process is executor {evidence.process_executor}, and DBOS recovers only "
            "workflows of its own executor id. Keep the executor id the same after a restart"
        )
    if evidence.is_time_up:
        yield "Its time was up; --timeout SECONDS gives each process more time"
    if evidence.deleted_children:
        yield (
            f"Its child {', '.join(evidence.deleted_children)} is deleted: after a crash, a "
            "workflow that waits for it waits for ever, since DBOS has no record of its result"
        )
    if evidence.logged:
        yield f"DBOS logged: {evidence.logged}"
    if evidence.waiting:
        more = " …" if len(evidence.waiting) > _LISTED_MAX else ""
        yield f"Waiting for it: {', '.join(evidence.waiting[:_LISTED_MAX])}{more}"


def _other_database(evidence: e.OtherDatabase) -> str:
    return (
        "the program sets a different system database in each process "
        f"({evidence.before or 'none'}, then {evidence.after or 'none'}), so nothing of the first "
        "process is recovered. A trial replaces both by one database"
    )


_TEXTS: Mapping[type, Callable[[Any], str]] = {
    e.EndedOtherwise: _ended_otherwise,
    e.ProcessEnded: _process_ended,
    e.CannotObserve: lambda evidence: f"fails: {evidence.error}; baseline: no error",
    e.OtherValue: _other_value,
    e.OtherArguments: _other_arguments,
    e.OtherPath: _other_path,
    e.OtherArgumentsAfterCrash: _other_arguments_after_crash,
    e.RecordChanged: _record_changed,
    e.NeverCalled: _never_called,
    e.BrokenLink: _broken_link,
    e.Missing: lambda _: "is missing; the baseline has it",
    e.TooFew: _too_few,
    e.TooFewInWorkflow: _too_few_in_workflow,
    e.CutOff: lambda _: "was interrupted by the crash and did not run again; the baseline ends it",
    e.RecordLost: lambda _: "was recorded before the crash; the record is gone",
    e.TooMany: _too_many,
    e.TooManyInWorkflow: _too_many_in_workflow,
    e.TooManyInProcess: _too_many_in_process,
    e.TooManyRecords: _too_many_records,
    e.CommittedAgain: lambda evidence: f"was committed {counted(evidence.times, 'time')}",
    e.NotInBaseline: lambda _: "exists; the baseline does not have it",
    e.NeverInBaseline: lambda evidence: (
        f"happened {counted(evidence.times, 'time')}; baseline: never"
    ),
    e.RanAgain: lambda evidence: (
        f"was recorded before the crash and ran again in process {evidence.process}"
    ),
    e.NeverRecorded: _never_recorded,
    e.WorkflowStuck: _workflow_stuck,
    e.NoAnswer: lambda _: "all workflows ended, but the request got no answer",
    e.OtherDatabase: _other_database,
}


def _started_by_retry(note: e.StartedByRetry) -> str:
    started = f"a client that asks again starts {', '.join(note.workflows)}"
    steps = f", which runs {', '.join(note.steps)} again" if note.steps else ""
    effects = (
        f"; then {', '.join(note.effects)} {'happens' if len(note.effects) == 1 else 'happen'} again"
        if note.effects
        else ""
    )
    judged = "This sweep's client does not ask again; --client retries judges one that does"
    return f"{started}{steps}{effects}. Fix the id in the request: SetWorkflowID. {judged}"


_NOTES: Mapping[type, Callable[[Any], str]] = {
    e.RowsNotCompared: lambda _: (
        "its rows are compared only if the observe function of a Scenario returns them"
    ),
    e.BehindOtherAnswer: lambda _: (
        "ran after a step that answered differently; it never runs in the baseline"
    ),
    e.StartedByImport: lambda _: (
        "importing the program starts one more in each process, with another id"
    ),
    e.TimedOut: lambda _: "was cancelled by DBOS: its timeout passed while no process was running",
    e.NeverStarted: lambda _: "the client gave up before it had started this workflow",
    e.StartedByRetry: _started_by_retry,
    e.AnsweredOtherwise: lambda note: (
        f"answered {note.answer} after the crash; baseline: {note.usual}"
    ),
}
