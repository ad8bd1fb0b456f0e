"""Find steps that a crash interrupted, and that returned another result when they ran again.

A step whose first run was not recorded may correctly return another result: a lease with a time to live
is taken in the first run, and still held in the second. The next steps of the workflow may then have
other numbers, names and results. Its outcome, and how often each step runs by name, must not differ,
apart from a number or an id that the step returned: see `other_values`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from resumectl.judge.baseline import NEVER, Baseline, usual_of
from resumectl.judge.fields import Count, Field, shortened, step_field
from resumectl.judge.trial_view import TrialView, compared, steps_recorded
from resumectl.model.evidence import AnsweredOtherwise, Occurrence
from resumectl.model.snapshot import StepRow


@dataclass(frozen=True, slots=True)
class OtherAnswer:
    """Interrupted step whose recorded result is not the usual one."""

    step: str
    workflow: str
    number: int
    answer: str
    usual: str

    @property
    def site(self) -> str:
        """Location of the step, such as `checkout-1/step-2`."""
        return f"{self.workflow}/step-{self.number}"

    @property
    def subject(self) -> str:
        """Name in findings and exposures."""
        return f"{self.step}, {self.site}"

    @property
    def note(self) -> AnsweredOtherwise:
        """Note of an exposure."""
        return AnsweredOtherwise(shortened(self.answer), shortened(self.usual))


def other_answers(view: TrialView, baseline: Baseline) -> Iterator[OtherAnswer]:
    """Yield the interrupted steps that returned another result.

    Steps whose results vary between uninterrupted runs, and steps behind those, are left out.

    Args:
        view: The trial.
        baseline: Baseline of uninterrupted runs.
    """
    rows = {(row.workflow, row.number): row for row in view.final.snapshot.steps}
    handled: set[Field] = set()
    for process, calls in zip(view.processes[:-1], view.calls, strict=False):
        recorded = steps_recorded(process)
        for call, event in calls:
            at = call.workflow, call.number
            row = rows.get(at)
            if at in recorded or row is None or row.name != event.step or call in handled:
                continue
            answer = _other_answer(row, baseline)
            if answer is not None:
                handled.add(call)
                if not baseline.not_compared.covers_site(answer.site):
                    yield answer


def _other_answer(row: StepRow, baseline: Baseline) -> OtherAnswer | None:
    answers = {part: compared(row, part) for part in ("error", "output")}
    usual = {part: baseline.fields.get(step_field(row, part)) for part in answers}
    known = {part: values for part, values in usual.items() if values is not None}
    if all(answers[part] in values for part, values in known.items()):
        return None
    expected = {part: usual_of(values) for part, values in known.items()}
    return OtherAnswer(
        row.name, row.workflow, row.number, _answer_text(answers), _answer_text(expected)
    )


def _answer_text(answer: Mapping[str, object]) -> str:
    """Return the error of a step if it raised one, else its output."""
    error = answer.get("error")
    value = answer.get("output") if error is None else error
    return value if isinstance(value, str) else repr(value)


@dataclass(frozen=True, slots=True)
class CountByName:
    """Number of runs of a step by name in one workflow: in a trial, and in uninterrupted runs."""

    step: str
    workflow: str
    times: int
    least: int
    most: int

    @property
    def subject(self) -> str:
        """Name in findings and exposures."""
        return f"{self.step}, {self.workflow}"


def counts_by_name(workflow: str, view: TrialView, baseline: Baseline) -> Iterator[CountByName]:
    """Yield how often a workflow ran each of its steps.

    Args:
        workflow: Id of the workflow.
        view: The trial.
        baseline: Baseline of uninterrupted runs.
    """
    times: Counter[str] = Counter()
    least: Counter[str] = Counter()
    most: Counter[str] = Counter()
    for key in {*view.started, *baseline.counts}:
        if _is_step_of(workflow, key):
            times[key.name] += view.started.get(key, 0)
            least[key.name] += baseline.counts.get(key, NEVER)[0]
            most[key.name] += baseline.counts.get(key, NEVER)[1]
    for step in sorted(times):
        yield CountByName(step, workflow, times[step], least[step], most[step])


def _is_step_of(workflow: str, key: Count) -> bool:
    if key.occurrence is not Occurrence.EXECUTION:
        return False
    return key.about.rpartition("/step-")[0] == workflow
