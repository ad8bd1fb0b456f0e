"""Find that the last process of a trial, which was not to be killed, failed or exited before its work."""

from collections.abc import Iterator

from resumectl.judge.case import Case
from resumectl.model.evidence import ProcessEnded
from resumectl.model.verdict import Exposure, Finding, Kind


def failed_process(case: Case) -> Iterator[Finding | Exposure]:
    """Yield a finding if the program ended the last process before its work."""
    last = case.view.final
    if last.has_failed:
        subject = f"process {len(case.view.processes)}"
        evidence = ProcessEnded(last.failure or str(last.exit), last.running_step)
        yield Finding(Kind.FAILED, subject, evidence)
