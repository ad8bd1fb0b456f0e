"""Find steps that a crash interrupted, and that answered otherwise when they ran again. Pure.

A step whose first run was never recorded may rightly answer otherwise: a lease with a time to
live is taken in the first run, and still held in the second. What the workflow does next may
then have other numbers, names and results. Its outcome, and how often each thing happens by name,
may not differ.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resumectl.judge.baseline import usual_of
from resumectl.judge.invariants import steps_recorded
from resumectl.judge.trial_view import Count, Field, calls_of, compared, field_of_step, in_short
from resumectl.model.observation import Observation


@dataclass(frozen=True, slots=True)
class OtherAnswer:
    """One step that was interrupted, and whose recorded result is not the usual one."""

    step: str
    workflow: str
    number: int
    answer: str
    usual: str

    @property
    def subject(self) -> str:
        """As findings and exposures name it."""
        return f"{self.step}, {self.workflow}/step-{self.number}"

    def __str__(self) -> str:
        return f"answered {self.answer} after the crash; uninterrupted, {self.usual}"


def other_answers(
    trial: Observation, usual: Mapping[Field, Sequence[Any]]
) -> Iterator[OtherAnswer]:
    """Yield the interrupted steps that answered otherwise.

    Args:
        trial: All of its processes.
        usual: Result of each step in uninterrupted runs; a step whose result varies is not there.
    """
    rows = {(row["workflow"], row["number"]): row for row in trial.final.left["steps"]}
    seen: set[Field] = set()
    for life in trial.lives[:-1]:
        recorded = steps_recorded(life)
        for call, event in calls_of(life):
            at = call.workflow, call.number
            row = rows.get(at)
            if at in recorded or row is None or row["name"] != event["step"] or call in seen:
                continue
            answers = {what: compared(row, what) for what in ("error", "output")}
            values = {what: usual.get(field_of_step(row, what)) for what in answers}
            if any(told is not None and answers[what] not in told for what, told in values.items()):
                seen.add(call)
                expected = {
                    what: usual_of(told) for what, told in values.items() if told is not None
                }
                yield OtherAnswer(event["step"], *at, _in_short(answers), _in_short(expected))


def _in_short(answer: Mapping[str, Any]) -> str:
    """Return the error of a step that raised one, else its output."""
    error = answer.get("error")
    return in_short(answer.get("output") if error is None else error)


@dataclass(frozen=True, slots=True)
class CountByName:
    """How often a workflow ran a step, under any number: in a trial, and uninterrupted."""

    step: str
    workflow: str
    times: int
    least: int
    most: int

    @property
    def subject(self) -> str:
        """As findings and exposures name it."""
        return f"{self.step}, {self.workflow}"


def counts_by_name(
    workflow: str, found: Mapping[Count, int], usual: Mapping[Count, tuple[int, int]]
) -> Iterator[CountByName]:
    """Yield how often a workflow ran each of its steps.

    Args:
        workflow: Id of the workflow.
        found: How often each step ran in the trial.
        usual: How often it runs in uninterrupted runs, at least and at most.
    """
    times: Counter[str] = Counter()
    least: Counter[str] = Counter()
    most: Counter[str] = Counter()
    for key in {*found, *usual}:
        if key.kind == "executions" and key.about.rpartition("/step-")[0] == workflow:
            times[key.name] += found.get(key, 0)
            least[key.name] += usual.get(key, (0, 0))[0]
            most[key.name] += usual.get(key, (0, 0))[1]
    for step in sorted(times):
        yield CountByName(step, workflow, times[step], least[step], most[step])
