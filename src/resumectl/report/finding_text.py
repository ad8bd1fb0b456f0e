"""Word findings and exposures: one function for each kind of evidence, and nowhere else."""

from collections.abc import Callable, Mapping
from typing import Any

from resumectl.model import evidence as e
from resumectl.model.evidence import Evidence, Happening, Note
from resumectl.model.verdict import Kind
from resumectl.text import counted

_LISTED_MAX = 5  # ids in one sentence
_VERBS = {
    Happening.EFFECT: "happened",
    Happening.EXECUTION: "ran",
    Happening.WRITE: "was committed",
}
# Parts of a record, as people name them.
_PARTS = {"deadline_ms": "deadline"}

# What each kind of finding means, and what usually helps.
MEANINGS: Mapping[Kind, str] = {
    Kind.LOST: "what was accepted, or had to happen, did not happen, and nothing makes up for it. "
    "Put what is to happen after a crash into a step, and mark it as done when it is done.",
    Kind.DUPLICATED: "the other side sees it more than once, such as a second charge or e-mail. "
    "Give it a key by which the other side recognises it, or a step of its own, or write it in a "
    "datasource's transaction.",
    Kind.DIVERGED: "the outcome after a crash is another one. Let the workflow's body depend on "
    "its arguments and on what its steps return, and on nothing else: put chance, time, memory "
    "and tables into a step.",
    Kind.STUCK: "it waits for ever, and so does everything that waits for it. Make sure that "
    "whatever the workflow needs is there at launch: class, instance, queue, application version.",
    Kind.FAILED: "a crash made a failure of what succeeds otherwise, and DBOS does not run a "
    "failed workflow again.",
    Kind.UNEXPECTED: "something is there that no uninterrupted run makes, such as a workflow that "
    "was started again under another id.",
    Kind.RERUN: "a step ran again although it had been recorded, or was never recorded: whatever "
    "it does outside is done again.",
}


def evidence_text(evidence: Evidence) -> str:
    """Return the sentence for what a finding rests on."""
    return _TEXTS[type(evidence)](evidence)


def note_text(note: Note | None) -> str:
    """Return the sentence for the note of an exposure; empty for none."""
    return "" if note is None else _NOTES[type(note)](note)


def _ended_otherwise(x: e.EndedOtherwise) -> str:
    return f"ended {x.status} rather than {x.usual}" + (f": {x.error}" if x.error else "")


def _other_arguments(x: e.OtherArguments) -> str:
    verb = "executed with" if x.is_statement else "called with"
    return f"was {verb} ({x.given}); uninterrupted, ({x.usual})"


def _other_path(x: e.OtherPath) -> str:
    return (
        f"the workflow {_going_on(x.step)} here, and {_going_on(x.usual)} in an uninterrupted "
        "run, from the same records: its body depends on something else"
    )


def _going_on(step: str) -> str:
    return f"goes on with {step}" if step else "ends"


def _other_arguments_after_crash(x: e.OtherArgumentsAfterCrash) -> str:
    return (
        f"was called with other arguments in process {x.process} than in process "
        f"{x.earlier_process}, from the same records: its body depends on something else "
        "(as an idempotency key, it would protect nothing)"
    )


def _record_changed(x: e.RecordChanged) -> str:
    part = _PARTS.get(x.what, x.what)
    return f"{part} was recorded as {x.before}, and is {x.after} after the crash"


def _never_called(x: e.NeverCalled) -> str:
    return (
        f"{x.step} was recorded before the crash, and after it the workflow ended without "
        "calling it"
    )


def _broken_link(x: e.BrokenLink) -> str:
    return (
        f"carries another value than {x.other}; uninterrupted, both carry one: the workflow's "
        "body generated it again after the crash"
    )


def _too_few(x: e.TooFew) -> str:
    promised = f"; promised {x.promise}" if x.promise else ""
    return f"{_VERBS[x.happening]} {counted(x.times, 'time')}; uninterrupted, {x.usual}{promised}"


def _too_few_in_workflow(x: e.TooFewInWorkflow) -> str:
    return f"ran {counted(x.times, 'time')} in this workflow; uninterrupted, {x.usual}"


def _too_many(x: e.TooMany) -> str:
    again = ", and with another payload" if x.payload_differs else ""
    why = ", since it is outside of any step" if x.is_outside_step else ""
    return (
        f"{_VERBS[x.happening]} {counted(x.times, 'time')}{again}; uninterrupted, {x.usual}; "
        f"promised {x.promise}{why}"
    )


def _too_many_in_workflow(x: e.TooManyInWorkflow) -> str:
    return (
        f"ran {counted(x.times, 'time')} in this workflow; uninterrupted, {x.usual}; "
        f"promised {x.promise}"
    )


def _too_many_in_process(x: e.TooManyInProcess) -> str:
    return (
        f"ran {counted(x.times, 'time')} within process {x.process}; uninterrupted, {x.usual}: "
        "one workflow was executed twice at a time"
    )


def _too_many_records(x: e.TooManyRecords) -> str:
    return f"was recorded {counted(x.times, 'time')} in this workflow; uninterrupted, {x.usual}"


def _never_recorded(x: e.NeverRecorded) -> str:
    numbers = " and ".join(map(str, x.processes))
    return f"ran in processes {numbers}, and DBOS has no record of it"


def _workflow_stuck(x: e.WorkflowStuck) -> str:
    reason = f"stays {x.status}, executor {x.executor}"
    if x.queue:
        reason += f", queue {x.queue}"
    if x.version:
        reason += (
            f": it has application version {x.version}, and this process {x.process_version}; "
            f"DBOS recovers only workflows of its own version. A process of version {x.version} "
            "takes it up, or DBOS.fork_workflow(…, application_version=…), or one "
            "application_version that both releases set"
        )
    elif x.process_executor:
        reason += (
            f": this process is executor {x.process_executor}, and DBOS recovers only "
            "workflows of its own executor id. Let the executor id be the same after a restart"
        )
    return reason + "".join(f"; {each}" for each in _more_on_stuck(x))


def _more_on_stuck(x: e.WorkflowStuck) -> list[str]:
    found = []
    if x.is_time_up:
        found.append("its time was up: --timeout SECONDS gives each process longer")
    if x.deleted_children:
        found.append(
            f"{', '.join(x.deleted_children)}, which it has begun, is deleted: whoever awaits "
            "that after a crash waits for ever, since DBOS answers it from no record"
        )
    if x.logged:
        found.append(f"DBOS logs: {x.logged}")
    if x.waiting:
        more = " …" if len(x.waiting) > _LISTED_MAX else ""
        found.append(f"waiting for it: {', '.join(x.waiting[:_LISTED_MAX])}{more}")
    return found


def _other_database(x: e.OtherDatabase) -> str:
    return (
        "the program sets another one in each process "
        f"({x.before or 'none'}, then {x.after or 'none'}), so that nothing of the first is "
        "recovered; in a trial it is replaced by one for both"
    )


_TEXTS: Mapping[type, Callable[[Any], str]] = {
    e.EndedOtherwise: _ended_otherwise,
    e.CannotObserve: lambda x: f"fails: {x.error}; uninterrupted, it does not",
    e.OtherValue: lambda x: f"{x.what or 'value'} is {x.value}; uninterrupted, {x.usual}",
    e.OtherArguments: _other_arguments,
    e.OtherPath: _other_path,
    e.OtherArgumentsAfterCrash: _other_arguments_after_crash,
    e.RecordChanged: _record_changed,
    e.NeverCalled: _never_called,
    e.BrokenLink: _broken_link,
    e.Missing: lambda _: "is not there; uninterrupted, it is",
    e.TooFew: _too_few,
    e.TooFewInWorkflow: _too_few_in_workflow,
    e.CutOff: lambda _: "was cut off by the crash, and is not done again; uninterrupted, it ends",
    e.RecordLost: lambda _: "was recorded at the crash, and is no more",
    e.TooMany: _too_many,
    e.TooManyInWorkflow: _too_many_in_workflow,
    e.TooManyInProcess: _too_many_in_process,
    e.TooManyRecords: _too_many_records,
    e.CommittedAgain: lambda x: f"was committed {counted(x.times, 'time')}",
    e.NotInBaseline: lambda _: "is there; uninterrupted, it is not",
    e.NeverInBaseline: lambda x: f"happened {counted(x.times, 'time')}; uninterrupted, never",
    e.RanAgain: lambda x: f"was recorded before the crash, and ran again in process {x.process}",
    e.NeverRecorded: _never_recorded,
    e.WorkflowStuck: _workflow_stuck,
    e.NoAnswer: lambda _: "everything ended, and it got no answer",
    e.OtherDatabase: _other_database,
}

_NOTES: Mapping[type, Callable[[Any], str]] = {
    e.RowsNotCompared: lambda _: (
        "its rows are compared only where a Scenario's observe returns them"
    ),
    e.BehindOtherAnswer: lambda _: (
        "ran behind a step that answered otherwise; in no uninterrupted run"
    ),
    e.StartedByImport: lambda _: (
        "the import of the program starts one more in each process, under another id"
    ),
    e.TimedOut: lambda _: "was cancelled by DBOS: its timeout passed while no process was up",
    e.AnsweredOtherwise: lambda x: f"answered {x.answer} after the crash; uninterrupted, {x.usual}",
}
