"""What uninterrupted runs have in common; what varies from one to the other is masked. Pure."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from resumectl.judge.linked_values import Pair, carried_together
from resumectl.judge.replay_paths import Path, distinct, paths_of
from resumectl.judge.trial_view import (
    FIRST_OF_SEVERAL,
    Count,
    Field,
    counts_of,
    events_of,
    executions,
    fields_of,
    received,
)
from resumectl.judge.workflow_aliases import is_alias, started_at_import
from resumectl.model.crash_plan import subject_of
from resumectl.model.observation import Observation
from resumectl.text import counted

MISSING = object()  # stands for a value that is not there


def usual_of(values: Sequence[Any]) -> Any:
    """Return the value to name where several are as they should be: the first that is there."""
    return next((each for each in values if each is not MISSING), MISSING)


@dataclass(frozen=True, slots=True)
class Transition:
    """One durable fact of the baseline."""

    name: str
    what: str
    commits: Sequence[int]  # the numbers of its commits in the first run, from 1
    times: int  # in each run
    is_of_import: bool = False  # whether the import of the program starts its workflow

    @property
    def commit(self) -> int:
        """The number of its first commit."""
        return self.commits[0]

    @property
    def is_of_varying_id(self) -> bool:
        """Whether its workflow has another id in each run, so that no plan can name it."""
        return is_alias(self.name)

    @property
    def fact(self) -> str:
        """What becomes true of its workflow, or table, as in `step-1`."""
        return self.name.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Baseline:
    """What every uninterrupted run had in common.

    Attributes:
        transitions: Its durable facts, in their order.
        fields: What it ends with, to the values that are as they should be.
        counts: How often something happens, at least and at most.
        ended: Steps whose bodies come to their end.
        paths: By workflow, the different ones that it took.
        received: By workflow, what each of its steps received, in the first run.
        together: Pairs of things that carry one value, which is another in each run.
        begun_anew: Workflows that the program deletes, or takes back and runs once more.
        open_from: Workflow to the number of a step whose result varies by itself, as that of a
            look whether something is ready: which steps follow depends on it.
        masked: What varies by itself, and is not compared.
        left_running: How many threads or tasks were still at work in the end.
        seconds: The longest run.
        away_s: How long a process takes until it is at work.
        digests: Of the scenario's file, in the first life and in later ones.
        is_wholly_open: Whether nothing is compared with it; see `wholly_open`.
        absent: Workflows that a schedule started here, and not in the trial that is compared.
    """

    transitions: Sequence[Transition]
    fields: Mapping[Field, Sequence[Any]]
    counts: Mapping[Count, tuple[int, int]]
    ended: frozenset[Count]
    paths: Mapping[str, Sequence[Path]]
    received: Mapping[str, Mapping[int, str]]
    together: frozenset[Pair]
    begun_anew: frozenset[str]
    open_from: Mapping[str, int]
    masked: frozenset[Field | Count]
    left_running: int
    seconds: float
    away_s: float
    digests: tuple[str | None, str | None]
    is_wholly_open: bool = False
    absent: frozenset[str] = frozenset()

    @classmethod
    def of(cls, runs: Sequence[Observation], by_site: set[str]) -> "Baseline":
        """Compare runs with each other.

        Args:
            runs: Two at least.
            by_site: Effects that are told apart by where they happen; see `sites_of_effects`.
        """
        found = [fields_of(run) for run in runs]
        fields, masked_fields = _common(found)
        counts, masked_counts = _common([counts_of(run, by_site) for run in runs])
        open_from = _open_from(found, masked_fields)
        imported = set().union(*map(started_at_import, runs))
        transitions = transitions_of([list(events_of(run, "commit")) for run in runs], imported)
        return cls(
            transitions=transitions,
            fields={key: (value,) for key, value in fields.items()},
            counts={key: (n, n) for key, n in counts.items()},
            ended=frozenset(set.intersection(*(set(executions(run, "ended")) for run in runs))),
            paths=distinct([paths_of(run.final) for run in runs]),
            received=received(runs[0].final),
            together=carried_together(runs),
            begun_anew=_begun_anew(transitions),
            open_from=open_from,
            masked=frozenset(masked_fields | masked_counts),
            left_running=max(
                (run.final.last("quiet") or {}).get("still_running", 0) for run in runs
            ),
            seconds=max(run.seconds for run in runs),
            away_s=max(map(_away_s, runs)),
            digests=(runs[0].digest, runs[0].digest),
        )

    def or_as(self, other: "Baseline") -> "Baseline":
        """Satisfied with what either does: the program before an edit, and the one after it."""
        fields = {
            key: (*self.fields.get(key, (MISSING,)), *other.fields.get(key, (MISSING,)))
            for key in {*self.fields, *other.fields}
        }
        never = (0, 0)
        counts = {
            key: (
                min(self.counts.get(key, never)[0], other.counts.get(key, never)[0]),
                max(self.counts.get(key, never)[1], other.counts.get(key, never)[1]),
            )
            for key in {*self.counts, *other.counts}
        }
        masked = self.masked | other.masked
        return replace(
            self,
            fields={key: values for key, values in fields.items() if key not in masked},
            counts={key: times for key, times in counts.items() if key not in masked},
            ended=self.ended & other.ended,
            paths={},  # they may part where the program was edited
            together=frozenset(),
            open_from=_earliest(self.open_from, other.open_from),
            masked=masked,
            digests=(self.digests[0], other.digests[0]),
        )

    def varying_as(self, other: "Baseline") -> "Baseline":
        """Return what these runs have in common, without what varies by itself in other runs."""
        return replace(
            self,
            fields={k: values for k, values in self.fields.items() if k not in other.masked},
            counts={k: times for k, times in self.counts.items() if k not in other.masked},
            ended=self.ended & other.ended,
            # No passing of time lets a body go on otherwise from the same records.
            paths={
                workflow: [*other.paths.get(workflow, ()), *self.paths.get(workflow, ())]
                for workflow in {*self.paths, *other.paths}
            },
            together=other.together,
            begun_anew=self.begun_anew | other.begun_anew,
            open_from=_earliest(self.open_from, other.open_from),
            masked=self.masked | other.masked,
            digests=other.digests,
        )

    def opened_by(self, trial: Observation, interrupted: Mapping[str, int]) -> "Baseline":
        """Return the baseline for one trial, in which other steps may follow.

        Args:
            trial: In which messages may have come in another order.
            interrupted: Workflow to the number of a step that the crash interrupted, and that
                answered otherwise when it ran again.
        """
        # The step itself is no more compared than those behind it.
        others = {workflow: number - 1 for workflow, number in interrupted.items()}
        for workflow, numbered in received(trial.final).items():
            usual = self.received.get(workflow, {})
            differing = [n for n, message in numbered.items() if usual.get(n) != message]
            if differing:
                others[workflow] = min(*differing, others.get(workflow, differing[0]))
        opened = replace(self, open_from=_earliest(self.open_from, others))
        together = {pair for pair in self.together if not any(map(opened.is_open, pair))}
        return replace(opened, together=frozenset(together))

    def wholly_open(self) -> "Baseline":
        """As it is for one trial that had taken another course before anything died."""
        return replace(self, is_wholly_open=True, together=frozenset())

    def is_open(self, key: Field) -> bool:
        """Whether it is a step that follows upon a result which varies by itself.

        What a body writes may follow upon it as well: of that no number is known.
        """
        if self.is_wholly_open or (key.workflow or key.name) in self.absent:
            return True
        if key.kind == "write":
            return key.workflow in self.open_from
        if self._is_of_open_child(key.workflow or key.name):
            return True
        return key.number > self.open_from.get(key.workflow, key.number)

    def _is_of_open_child(self, workflow: str) -> bool:
        """Return whether a workflow is the child, or a child's child, of a step that is open.

        DBOS names a child after its parent and the number of the step: `checkout-1-3`.
        """
        for parent, number in self.open_from.items():
            step, _, _ = workflow.removeprefix(f"{parent}-").partition("-")
            if workflow.startswith(f"{parent}-") and step.isdigit() and int(step) > number:
                return True
        return False

    def is_open_at(self, where: str) -> bool:
        """The same of a place, as in `checkout-1/step-2`, or elsewhere than in a step."""
        workflow, _, number = where.rpartition("/step-")
        if self.is_wholly_open or workflow in self.absent:
            return True
        return number.isdigit() and self.is_open(Field("step", where, "", workflow, int(number)))

    def ahead_of(self, name: str) -> str | None:
        """The transition of the same workflow that precedes one, if each happens once."""
        once = [each.name for each in self.transitions if each.times == 1]
        own = [each for each in once if subject_of(each) == subject_of(name)]
        at = own.index(name) if name in own else 0
        return own[at - 1] if at else None

    @property
    def not_compared(self) -> list[str]:
        """What is not compared, for people."""
        said = sorted(
            str(each)
            for each in self.masked
            if not (self.is_open(each) if isinstance(each, Field) else self.is_open_at(each.about))
        )
        for workflow, number in sorted(self.open_from.items()):
            said.append(
                f"the steps of {workflow} after step {number}" if number else
                f"the steps of {workflow}, which is cancelled"
            )  # fmt: skip
        if self.left_running:
            left = counted(self.left_running, "thread or task", "threads or tasks")
            said.append(f"the unfinished work of {left}")
        return said


def transitions_of(
    runs: Sequence[Sequence[Mapping[str, Any]]], imported: Collection[str] = ()
) -> list[Transition]:
    """In the order of the first run; each as often as it happens in every run.

    Args:
        runs: The commits of each.
        imported: The workflows that the import of the program starts.
    """
    times = [Counter(name for commit in run for name, _ in commit["facts"]) for run in runs]
    commits: defaultdict[str, list[int]] = defaultdict(list)
    meanings: dict[str, str] = {}
    for number, commit in enumerate(runs[0], start=1):
        for name, what in commit["facts"]:
            commits[name].append(number)
            meanings.setdefault(name, what)
    common = {name: min(each[name] for each in times) for name in commits}
    return [
        Transition(name, meanings[name], numbers, common[name], subject_of(name) in imported)
        for name, numbers in commits.items()
        if common[name]
    ]


def _earliest(*numbers: Mapping[str, int]) -> dict[str, int]:
    """Workflow to its least number."""
    workflows = {workflow for each in numbers for workflow in each}
    return {w: min(each[w] for each in numbers if w in each) for w in workflows}


def _begun_anew(transitions: Sequence[Transition]) -> frozenset[str]:
    ends: Counter[str] = Counter()
    for each in transitions:
        if each.fact in ("succeeded", "failed", "deleted"):
            # A deletion counts as an end, and the end before it as another.
            ends[subject_of(each.name)] += each.times + (each.fact == "deleted")
    return frozenset(workflow for workflow, times in ends.items() if times > 1)


def _common(runs: Sequence[Mapping[Any, Any]]) -> tuple[dict[Any, Any], set[Any]]:
    """What all runs agree upon, and the keys of what they do not."""
    keys = {key for run in runs for key in run}
    values = {key: [run.get(key, MISSING) for run in runs] for key in keys}
    kept = {k: v[0] for k, v in values.items() if all(each == v[0] for each in v)}
    return kept, keys - set(kept)


def _open_from(runs: Sequence[Mapping[Field, Any]], masked: set[Field]) -> dict[str, int]:
    found: dict[str, int] = {}
    # The last number at which runs have different steps.
    parts: defaultdict[str, int] = defaultdict(int)
    for key in masked:
        if key.kind == "step" and key.what == "name":
            parts[key.workflow] = max(key.number, parts[key.workflow])
    for run in runs:
        for key, value in run.items():
            varies = key in masked and key.what in ("output", "error", "child")
            leads = varies and key.number < parts[key.workflow]
            if key.kind == "step" and (leads or (key.what == "name" and value in FIRST_OF_SEVERAL)):
                found[key.workflow] = min(key.number, found.get(key.workflow, key.number))
            # DBOS does not record what a workflow was doing when it was cancelled.
            if key.kind == "workflow" and key.what == "status" and value == "CANCELLED":
                found[key.name] = 0
    return found


def _away_s(run: Observation) -> float:
    """The seconds of a run in which it was not yet at work, or no more."""
    asked, quiet = run.final.last("requested"), run.final.last("quiet")
    if asked is None or quiet is None:
        return run.seconds
    return run.seconds - float(quiet["at_us"] - asked["at_us"]) / 1e6
