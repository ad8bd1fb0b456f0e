"""Define which parts of a trial are not compared with uninterrupted runs, and why, in one type."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from resumectl.judge.fields import Count, Field, FieldKind


@dataclass(frozen=True, slots=True)
class NotCompared:
    """The rule for what is not compared. A field or a count is compared unless one of these holds:

    1. It varies: uninterrupted runs do not agree on it.
    2. It belongs to a step behind an open step of its workflow. A step is open if its result varies
       between uninterrupted runs and other steps may follow, if it received another message than in
       the baseline, or if the crash interrupted it and it returned another result when it ran again.
       Every step of a cancelled workflow is behind an open one. The same holds for the children that
       such steps start, and for the writes of the workflow's body.
    3. Its workflow was started by a schedule, in the baseline and not in the trial.
    4. The trial had diverged before the crash: then nothing is compared.
    5. The client gave up: then its answer is not compared, nor are the workflows that it had not started
       and everything below them. If there are such workflows, neither is what the Scenario observes, nor
       how few effects there are.

    A part that is not compared must still keep the promises, and must be the same in all processes of
    one trial.

    Attributes:
        varying: Fields and counts on which uninterrupted runs do not agree.
        open_steps: Workflow to the number of its first open step; all later steps are behind it.
        absent: Workflows that a schedule or the client started only in the baseline.
        is_everything: Whether nothing is compared.
        has_no_answer: Whether the client gave up before it got an answer.
        is_partial: Whether the client gave up before it had started every workflow.
    """

    varying: frozenset[Field | Count]
    open_steps: Mapping[str, int]
    absent: frozenset[str] = frozenset()
    is_everything: bool = False
    has_no_answer: bool = False
    is_partial: bool = False

    def opened_at(self, steps: Mapping[str, int]) -> "NotCompared":
        """Return the rule with further open steps.

        Args:
            steps: Workflow to the number of its first open step.
        """
        return replace(self, open_steps=earliest(self.open_steps, steps))

    def covers(self, key: Field) -> bool:
        """Return whether a field is not compared because of its location (2, 3, 4, 5)."""
        if self.is_everything or (key.workflow or key.name) in self.absent:
            return True
        if key.kind is FieldKind.ANSWER:
            return self.has_no_answer
        if key.kind is FieldKind.WRITE:
            return key.workflow in self.open_steps  # it has no step number
        if self._is_open_child(key.workflow or key.name):
            return True
        return key.number > self.open_steps.get(key.workflow, key.number)

    def covers_site(self, site: str) -> bool:
        """Return whether events of a step are not compared because of its location (2, 3, 4, 5).

        Args:
            site: Location such as `checkout-1/step-2`; outside of a step only 3, 4 and 5 apply.
        """
        workflow, _, number = site.rpartition("/step-")
        if self.is_everything or workflow in self.absent:
            return True
        return number.isdigit() and self.covers(
            Field(FieldKind.STEP, site, "", workflow, int(number))
        )

    def _is_open_child(self, workflow: str) -> bool:
        """Return whether a workflow is a descendant of a step behind an open one.

        DBOS derives a child's id from its parent and the number of the step: `checkout-1-3`.
        """
        for parent, number in self.open_steps.items():
            step, _, _ = workflow.removeprefix(f"{parent}-").partition("-")
            if workflow.startswith(f"{parent}-") and step.isdigit() and int(step) > number:
                return True
        return False

    def described(self) -> Iterator[str]:
        """Yield descriptions of what is not compared, for people."""
        yield from sorted(str(each) for each in self.varying if not self._is_behind_open(each))
        for workflow, number in sorted(self.open_steps.items()):
            if number:
                yield f"the steps of {workflow} after step {number}"
            else:
                yield f"the steps of {workflow}, which is cancelled"

    def _is_behind_open(self, key: Field | Count) -> bool:
        return self.covers(key) if isinstance(key, Field) else self.covers_site(key.about)


def earliest(*steps: Mapping[str, int]) -> dict[str, int]:
    """Return the smallest number of each workflow."""
    found: dict[str, int] = {}
    for each in steps:
        for workflow, number in each.items():
            found[workflow] = min(number, found.get(workflow, number))
    return found


def varying_fields(keys: Iterable[Field | Count]) -> Iterator[Field]:
    """Yield the keys that are fields."""
    return (key for key in keys if isinstance(key, Field))
