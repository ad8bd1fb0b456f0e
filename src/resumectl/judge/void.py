"""Find the reason why a trial is VOID: a process was not killed as planned, or resumectl failed."""

from resumectl.judge.baseline import Baseline
from resumectl.model.crash_plan import CrashPlan, KillMethod
from resumectl.model.events import AccessRefused, BecameQuiet
from resumectl.model.observation import Observation, ProcessRecord

_OTHER_PROGRAM = (
    "the file of the target is not the file of the baseline: it changed, or this machine has a "
    "different one; start a new sweep"
)


def why_void(trial: Observation, baseline: Baseline) -> str:
    """Return the reason why a trial proves nothing; empty if it proves something.

    Args:
        trial: The trial.
        baseline: Baseline, with the digests of the target's file.
    """
    return (
        _why_not_crashed(trial) or _why_not_ended(trial.final) or _why_of_program(trial, baseline)
    )


def _why_not_crashed(trial: Observation) -> str:
    for number, crash in enumerate(CrashPlan.parse(trial.plan).crashes, start=1):
        if len(trial.processes) < number:
            return f"process {number} did not start"
        why = _why_not_killed(trial.processes[number - 1], crash.method)
        if why:
            return f"process {number} {why}"
    return ""


def _why_not_killed(process: ProcessRecord, method: KillMethod) -> str:
    if process.failure:
        return _failed(process)
    if process.reached is None:
        return f"did not reach its crash point: {process.exit}"
    if not process.exit.is_by(method) or not process.exit.in_time:
        return f"did not end as planned: {process.exit}"
    return ""


def _why_not_ended(process: ProcessRecord) -> str:
    if process.has_failed:
        return ""  # a finding
    if process.failure:
        return f"the last process {_failed(process)}"
    if process.has_settled and process.last(BecameQuiet) is None:
        return f"the last process ended before its work: {process.exit}"
    return ""


def _why_of_program(trial: Observation, baseline: Baseline) -> str:
    is_known = all(
        process.digest in (None, baseline.digests[number > 0])
        for number, process in enumerate(trial.processes)
    )
    return "" if is_known else _OTHER_PROGRAM


def _failed(process: ProcessRecord) -> str:
    """Return the error of a process, and what to type if it was refused access outside its sandbox."""
    refused = process.last(AccessRefused)
    if refused is None or process.unreadable:
        return f"failed: {process.failure}"
    return f"was stopped: {refused.error}; {refused.next_step}"
