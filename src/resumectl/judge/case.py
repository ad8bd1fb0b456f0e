"""Define the input of every check: one trial, and the baseline that it is compared with."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from resumectl.judge.baseline import Baseline
from resumectl.judge.fields import Field
from resumectl.judge.interrupted_steps import OtherAnswer
from resumectl.judge.other_values import OtherValues
from resumectl.judge.resent_messages import unread_repeats
from resumectl.judge.trial_view import TrialView
from resumectl.model.events import Launched
from resumectl.model.promise import Promise
from resumectl.model.verdict import Exposure, Finding
from resumectl.statuses import CANCELLED, UNFINISHED


@dataclass(frozen=True)
class Case:
    """One trial, and the baseline that it is compared with.

    Attributes:
        view: The trial, without the workflows that the import or a schedule starts again.
        baseline: Baseline of uninterrupted runs, with the rule for what is not compared in this trial.
        promises: Effect, step or table to promise; others have the default promise.
        other_answers: Steps that the crash interrupted, and that returned another result.
        timed_out: Workflows whose timeout passed between two processes; see `timed_out`.
    """

    view: TrialView
    baseline: Baseline
    promises: Mapping[str, Promise]
    other_answers: tuple[OtherAnswer, ...]
    timed_out: frozenset[str]

    @cached_property
    def lasting(self) -> TrialView:
        """The trial without the workflows that the program deletes, or cancels and runs again."""
        return self.view.without(self.baseline.begun_anew)

    @cached_property
    def is_complete(self) -> bool:
        """Whether everything ended; an unfinished trial is not compared field by field."""
        return self.view.final.has_settled and not self.view.final.has_failed

    @cached_property
    def unfinished(self) -> frozenset[str]:
        """The workflows that have not ended."""
        rows = self.view.final.snapshot.workflows
        return frozenset(row.id for row in rows if row.status in UNFINISHED)

    @cached_property
    def other_values(self) -> OtherValues:
        """Numbers and ids that interrupted steps returned in place of the usual ones."""
        return OtherValues.of(self.other_answers)

    @cached_property
    def unread_repeats(self) -> Mapping[Field, int]:
        """Inboxes with messages that were sent again, to how often one was sent."""
        return unread_repeats(self.view, self.baseline)


Check = Callable[[Case], Iterator[Finding | Exposure]]


def timed_out(view: TrialView) -> frozenset[str]:
    """Return the workflows that DBOS cancelled because their timeout passed between two processes.

    Args:
        view: The trial.
    """
    launched = view.final.last(Launched)
    clock_ms = launched.clock_ms if launched is not None else 0
    rows = view.final.snapshot.workflows
    cancelled = {row.id for row in rows if row.status == CANCELLED}
    return frozenset(
        row.id
        for process in view.processes[:-1]
        for row in process.snapshot.workflows
        if row.id in cancelled and row.deadline_ms is not None and row.deadline_ms <= clock_ms
    )
