"""Compute the baseline: what uninterrupted runs have in common. Their differences are not compared."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from resumectl.judge.fields import Count, Field, FieldKind
from resumectl.judge.linked_values import Links
from resumectl.judge.not_compared import NotCompared, earliest
from resumectl.judge.replay_paths import Path, distinct
from resumectl.judge.transitions import Transition, transitions_of
from resumectl.judge.trial_view import FIRST_OF_SEVERAL, TrialView
from resumectl.judge.workflow_aliases import started_at_import
from resumectl.model.crash_plan import subject_of
from resumectl.model.events import BecameQuiet, Committed, RequestStarted
from resumectl.model.observation import Observation
from resumectl.statuses import CANCELLED
from resumectl.text import counted

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

MISSING = object()  # marks a missing value
NEVER = (0, 0)


def usual_of(values: Sequence[object]) -> object:
    """Return the first of several usual values that is not missing."""
    return next((each for each in values if each is not MISSING), MISSING)


@dataclass(frozen=True, slots=True)
class Baseline:
    """Behaviour that every uninterrupted run had in common.

    Attributes:
        transitions: Transitions, in their order.
        fields: Field of the final state to its usual values.
        counts: Counted thing to its minimum and maximum number.
        ended: Steps whose bodies end.
        paths: Workflow to the different paths that it took.
        received: Workflow to step number to the received message, in the first run.
        links: Pairs of fields that share a generated value, which differs in each run.
        client_starts: Workflows that the client starts.
        begun_anew: Workflows that the program deletes, or cancels and runs again.
        not_compared: Rule for what is not compared.
        left_running: Maximum number of threads and tasks that still ran at the end.
        seconds: Duration of the longest run, in seconds.
        away_s: Time that a process takes to start and exit, in seconds.
        digests: Digests of the target's file, in the first process and in later ones.
    """

    transitions: Sequence[Transition]
    fields: Mapping[Field, Sequence[object]]
    counts: Mapping[Count, tuple[int, int]]
    ended: frozenset[Count]
    paths: Mapping[str, Sequence[Path]]
    received: Mapping[str, Mapping[int, str]]
    links: Links
    client_starts: frozenset[str]
    begun_anew: frozenset[str]
    not_compared: NotCompared
    left_running: int
    seconds: float
    away_s: float
    digests: tuple[str | None, str | None]

    @classmethod
    def of(cls, views: Sequence[TrialView]) -> "Baseline":
        """Return the baseline of uninterrupted runs.

        Args:
            views: At least two runs.
        """
        fields, varying_fields = _common([view.fields for view in views])
        counts, varying_counts = _common([view.counts for view in views])
        runs = [view.observation for view in views]
        imported = set().union(*map(started_at_import, runs))
        transitions = transitions_of([list(run.all(Committed)) for run in runs], imported)
        return cls(
            transitions=transitions,
            fields={key: (value,) for key, value in fields.items()},
            counts={key: (n, n) for key, n in counts.items()},
            ended=frozenset(set.intersection(*(set(view.ended) for view in views))),
            paths=distinct([view.paths for view in views]),
            received=views[0].received,
            links=Links.of(views),
            client_starts=frozenset.intersection(*(view.client_starts for view in views)),
            begun_anew=_begun_anew(transitions),
            not_compared=NotCompared(
                varying=frozenset(varying_fields | varying_counts),
                open_steps=_open_steps([view.fields for view in views], varying_fields),
            ),
            left_running=max(map(_left_running, runs)),
            seconds=max(run.seconds for run in runs),
            away_s=max(map(_away_s, runs)),
            digests=(runs[0].digest, runs[0].digest),
        )

    def or_as(self, other: "Baseline") -> "Baseline":
        """Return a baseline that accepts the behaviour of two programs, before and after an edit.

        Args:
            other: Baseline of the edited program.
        """
        varying = self.not_compared.varying | other.not_compared.varying
        fields = {
            key: (*self.fields.get(key, (MISSING,)), *other.fields.get(key, (MISSING,)))
            for key in {*self.fields, *other.fields} - varying
        }
        counts = {
            key: _either(self.counts.get(key, NEVER), other.counts.get(key, NEVER))
            for key in {*self.counts, *other.counts} - varying
        }
        return replace(
            self,
            fields=fields,
            counts=counts,
            ended=self.ended & other.ended,
            paths=_of_both(self.paths, other.paths),
            links=self.links.and_of(other.links),
            not_compared=self._not_compared_with(other),
            digests=(self.digests[0], other.digests[0]),
        )

    def varying_as(self, other: "Baseline") -> "Baseline":
        """Return the baseline without the fields and counts that vary between other runs.

        Args:
            other: Baseline of the other runs.
        """
        varying = other.not_compared.varying
        return replace(
            self,
            fields={key: each for key, each in self.fields.items() if key not in varying},
            counts={key: each for key, each in self.counts.items() if key not in varying},
            ended=self.ended & other.ended,
            # From the same records a body must continue in the same way, however much time passes.
            paths={
                workflow: [*other.paths.get(workflow, ()), *self.paths.get(workflow, ())]
                for workflow in {*self.paths, *other.paths}
            },
            links=other.links,
            begun_anew=self.begun_anew | other.begun_anew,
            not_compared=self._not_compared_with(other),
            digests=other.digests,
        )

    def _not_compared_with(self, other: "Baseline") -> NotCompared:
        own, other_rule = self.not_compared, other.not_compared
        return replace(
            own,
            varying=own.varying | other_rule.varying,
            open_steps=earliest(own.open_steps, other_rule.open_steps),
        )

    def comparing(self, rule: NotCompared) -> "Baseline":
        """Return the baseline for one trial, with the trial's own rule for what is not compared.

        Args:
            rule: Rule for this trial.
        """
        return replace(self, not_compared=rule, links=self.links.comparing(rule))

    def ahead_of(self, name: str) -> str | None:
        """Return the previous transition of the same workflow, if each happens once; else None."""
        once = [each.name for each in self.transitions if each.times == 1]
        own = [each for each in once if subject_of(each) == subject_of(name)]
        at = own.index(name) if name in own else 0
        return own[at - 1] if at else None

    @property
    def described_not_compared(self) -> list[str]:
        """Descriptions of what is not compared, for people."""
        descriptions = list(self.not_compared.described())
        if self.left_running:
            left = counted(self.left_running, "thread or task", "threads or tasks")
            descriptions.append(f"the unfinished work of {left}")
        return descriptions


def _either(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return min(one[0], other[0]), max(one[1], other[1])


def _of_both(
    one: Mapping[str, Sequence[Path]], other: Mapping[str, Sequence[Path]]
) -> dict[str, Sequence[Path]]:
    """Return the paths of the workflows that call the same steps before and after an edit."""
    return {
        workflow: [*one[workflow], *other[workflow]]
        for workflow in one.keys() & other.keys()
        if _called(one[workflow]) == _called(other[workflow])
    }


def _called(paths: Sequence[Path]) -> set[tuple[tuple[int, str], ...]]:
    return {
        tuple(sorted((number, step.name) for number, step in path.steps.items())) for path in paths
    }


def _begun_anew(transitions: Sequence[Transition]) -> frozenset[str]:
    ends: Counter[str] = Counter()
    for each in transitions:
        if each.fact in ("succeeded", "failed", "deleted"):
            # A deletion counts as one end, and the end before it as another one.
            ends[subject_of(each.name)] += each.times + (each.fact == "deleted")
    return frozenset(workflow for workflow, times in ends.items() if times > 1)


def _common(runs: Sequence[Mapping[K, V]]) -> tuple[dict[K, V], set[K]]:
    """Return the values on which all runs agree, and the keys on which they do not."""
    first = runs[0]
    kept = {
        key: value
        for key, value in first.items()
        if all(run.get(key, MISSING) == value for run in runs)
    }
    return kept, {key for run in runs for key in run} - set(kept)


def _open_steps(runs: Sequence[Mapping[Field, object]], varying: set[Field]) -> dict[str, int]:
    """Return the first open step of each workflow in uninterrupted runs."""
    # Workflow to the last step number at which runs have different steps.
    parts: defaultdict[str, int] = defaultdict(int)
    for key in varying:
        if key.kind is FieldKind.STEP and key.part == "name":
            parts[key.workflow] = max(key.number, parts[key.workflow])
    opened = [
        (key.workflow, key.number) if key.kind is FieldKind.STEP else (key.name, 0)
        for run in runs
        for key, value in run.items()
        if _is_open_step(key, value, varying, parts) or _is_cancelled(key, value)
    ]
    return earliest(*({workflow: number} for workflow, number in opened))


def _is_open_step(key: Field, value: object, varying: set[Field], parts: Mapping[str, int]) -> bool:
    if key.kind is not FieldKind.STEP:
        return False
    varies = key in varying and key.part in ("output", "error", "child")
    leads = varies and key.number < parts.get(key.workflow, 0)
    return leads or (key.part == "name" and value in FIRST_OF_SEVERAL)


def _is_cancelled(key: Field, value: object) -> bool:
    # DBOS does not record which step a workflow executed when it was cancelled.
    return key.kind is FieldKind.WORKFLOW and key.part == "status" and value == CANCELLED


def _left_running(run: Observation) -> int:
    quiet = run.final.last(BecameQuiet)
    return quiet.still_running if quiet is not None else 0


def _away_s(run: Observation) -> float:
    """Return the time of a run before its request and after its end, in seconds."""
    asked, quiet = run.final.last(RequestStarted), run.final.last(BecameQuiet)
    if asked is None or quiet is None:
        return run.seconds
    return run.seconds - (quiet.at_us - asked.at_us) / 1e6
