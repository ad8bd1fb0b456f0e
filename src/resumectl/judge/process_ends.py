"""Find that the last process of a trial, which was not to be killed, failed or exited before its work."""

from collections.abc import Iterator

from resumectl.judge.case import Case
from resumectl.model.events import StepEnded, StepStarted
from resumectl.model.evidence import ProcessEnded
from resumectl.model.observation import ProcessRecord
from resumectl.model.verdict import Exposure, Finding, Kind


def failed_process(case: Case) -> Iterator[Finding | Exposure]:
    """Yield a finding if the program ended the last process before its work."""
    last = case.view.final
    if last.has_failed:
        subject = f"process {len(case.view.processes)}"
        evidence = ProcessEnded(last.failure or str(last.exit), _running_step(last))
        yield Finding(Kind.FAILED, subject, evidence)


def _running_step(process: ProcessRecord) -> str:
    """Return the step that began last and has not ended; empty if there is none."""
    ended = {(event.step, event.site) for event in process.all(StepEnded)}
    running = [e for e in process.all(StepStarted) if (e.step, e.site) not in ended]
    return f"{running[-1].step}, {running[-1].site}" if running else ""
