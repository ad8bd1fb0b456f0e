"""Check how bodies call steps: on the same path, with the same arguments, and to the end."""

from collections.abc import Collection, Iterator

from resumectl.judge.case import Case
from resumectl.judge.fields import Field
from resumectl.judge.replay_paths import first_parting
from resumectl.judge.trial_view import are_alike, steps_recorded
from resumectl.model.events import StepStarted
from resumectl.model.evidence import BrokenLink, CutOff, OtherArgumentsAfterCrash, OtherPath
from resumectl.model.promise import Promise
from resumectl.model.verdict import Exposure, Finding, Kind


def other_paths(case: Case) -> Iterator[Finding | Exposure]:
    """Yield a finding where a workflow's body takes another path than in an uninterrupted run."""
    for workflow_id, path in case.view.paths.items():
        found = first_parting(path, case.baseline.paths.get(workflow_id, ()))
        if found:
            subject = f"{workflow_id}/step-{found.number}"
            yield Finding(Kind.DIVERGED, subject, OtherPath(found.here, found.there))


def other_arguments(case: Case) -> Iterator[Finding | Exposure]:
    """Yield a finding where a step that runs again gets other arguments, after equal results.

    Values that differ between uninterrupted runs, such as random ids, must also be the same in all
    processes of a trial.
    """
    processes = case.lasting.processes
    if len({process.digest for process in processes} - {None}) > 1:
        return  # the edited program may use other arguments
    recorded = [steps_recorded(process) for process in processes]
    first: dict[Field, tuple[int, StepStarted]] = {}
    for number, calls in enumerate(case.lasting.calls):
        for key, event in calls:
            before, earlier = first.setdefault(key, (number, event))
            if (
                event.step == earlier.step
                and not are_alike(event, earlier)
                and not _is_compared(case, key)
                and _is_known_before(key, recorded[-1], recorded[before])
            ):
                evidence = OtherArgumentsAfterCrash(number + 1, before + 1)
                yield Finding(Kind.DIVERGED, f"{event.step}, {key.name}", evidence)


def _is_compared(case: Case, key: Field) -> bool:
    """Return whether the arguments are compared with uninterrupted runs, which reports them already."""
    return key in case.baseline.fields and not case.baseline.not_compared.covers(key)


def _is_known_before(
    key: Field, ended: Collection[tuple[str, int]], then: Collection[tuple[str, int]]
) -> bool:
    """Return whether all steps before this one had been recorded when another process ended."""
    return all(at in then for at in ended if at[0] == key.workflow and at[1] < key.number)


def broken_links(case: Case) -> Iterator[Finding | Exposure]:
    """Yield a finding where two fields that share a generated value in every baseline run differ."""
    reported: set[Field] = set()
    for one, other in case.baseline.links.broken_in(case.lasting):
        if other not in reported:
            reported.add(other)
            yield Finding(Kind.DIVERGED, str(other), BrokenLink(str(one)))


def cut_off_steps(case: Case) -> Iterator[Finding | Exposure]:
    """Yield a finding for each step in an unawaited task that the crash cut off for good."""
    if not case.is_complete:
        return
    cut_off = case.view.started.keys() - case.view.ended.keys()
    for key in sorted(cut_off & case.baseline.ended):
        is_promised = case.promises.get(key.name) is not Promise.AT_MOST_ONCE
        if is_promised and not case.baseline.not_compared.covers_site(key.about):
            yield Finding(Kind.LOST, key.subject, CutOff())
