"""What a sweep is made of: the baseline, a plan for every crash point, trials, judgements.

In this process, by threads; `durable` makes a workflow of it. Imports neither dbos nor a
scenario: both are in the lives.
"""

import random
import re
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from resumectl.errors import NothingProved, Refusal
from resumectl.lab.aliases import aliased, has_parent, stable_ids
from resumectl.lab.baseline import Baseline, Transition, sites_of_effects, transitions_of
from resumectl.lab.checker import Checker
from resumectl.lab.plan import CrashPlan, Death, Edge, Matches, subject_of
from resumectl.lab.runner import Runner
from resumectl.lab.trial import Judgement, Kind, Observation, Promise, Verdict

BASELINES = 2
# What differs from the baseline may differ by itself, as a random choice recorded in a step:
# before that is called a finding, so many more uninterrupted runs are asked.
_MORE_BASELINES = 6
_BY_COMPARISON = frozenset({Kind.DIVERGED, Kind.UNEXPECTED, Kind.LOST, Kind.FAILED})
# At a plan whose blow had nothing to fall on: where a program's path is chosen by chance and
# recorded, or a thread was faster, the next run of it may pass there.
_ATTEMPTS = 16
_NAME_MAX = 120  # characters of a directory's name


@dataclass(slots=True)
class Experiment:
    """A scenario with its baseline: what trials are held against."""

    runner: Runner | None  # None: what was observed earlier is judged, and nothing is run
    promises: Mapping[str, Promise]
    runs: list[Observation] = field(default_factory=list)
    _known: tuple[int, Checker, set[str]] | None = None  # made of so many runs

    def discover(self, timeout_s: float | None = None) -> None:
        """Run the scenario uninterrupted.

        Args:
            timeout_s: Seconds for a life, these ones and those to come; None: from the baseline.

        Raises:
            NothingProved: It is ill without any crash.
        """
        assert self.runner is not None
        if timeout_s is not None:
            self.runner.timeout_s = timeout_s
        for number in range(BASELINES):
            self.runs.append(self.runner.baseline(number))
            ill = self.baseline.ill
            if ill:
                raise NothingProved(
                    f"the scenario fails without any crash: {ill}", next_step="mend that first"
                )
        self.runner.timeout_s = timeout_s or self.life_timeout_s

    @property
    def life_timeout_s(self) -> float:
        """Seconds for a life: whoever recovers does the same work again, and waits for more."""
        return 5.0 + 10 * self.baseline.seconds

    @property
    def baseline(self) -> Baseline:
        """What the runs so far have in common."""
        return Baseline.of(self._aliased_runs())

    def _aliased_runs(self) -> list[Observation]:
        stable = stable_ids(self.runs)
        return [aliased(run, stable) for run in self.runs]

    def judge(self, trial: Observation) -> Judgement:
        """What a trial proves, against the baseline as it is known by now."""
        return self._known_by_now()[1].judge(self.named(trial))

    def named(self, trial: Observation) -> Observation:
        """A trial, with each workflow whose id varies under its alias."""
        return aliased(trial, self._known_by_now()[2])

    def _known_by_now(self) -> tuple[int, Checker, set[str]]:
        if self._known is None or self._known[0] != len(self.runs):
            self._known = len(self.runs), self._make_checker(), stable_ids(self.runs)
        return self._known

    def _make_checker(self) -> Checker:
        runs = self._aliased_runs()
        declared = {
            name: Promise(promise)
            for run in self.runs
            for name, promise in (run.final.last("launch") or {}).get("promises", {}).items()
        }
        return Checker(Baseline.of(runs), sites_of_effects(runs), {**declared, **self.promises})

    def ask_again(self, judgements: Iterable[Judgement]) -> bool:
        """Ask the baseline again, where a difference from it was found; whether it was asked."""
        differs = any(f.kind in _BY_COMPARISON for j in judgements for f in j.findings)
        if not differs or self.runner is None or len(self.runs) >= BASELINES + _MORE_BASELINES:
            return False
        self.runs += [self.runner.baseline(n) for n in range(_MORE_BASELINES)]
        return True

    def judged(self, trials: Sequence[Observation]) -> list[Judgement]:
        """Judge; and where a difference from the baseline is found, ask that again."""
        found = [self.judge(trial) for trial in trials]
        return [self.judge(trial) for trial in trials] if self.ask_again(found) else found


def crash_points(
    transitions: Iterable[Transition], *, edge: Edge | None = None, only: str | None = None
) -> list[CrashPlan]:
    """A plan for each edge of each transition, in the order of the baseline.

    Transitions that always share a commit, as a child's acceptance and its parent's step, are
    one crash point, under the first one's name. Claims are not: which of them share a commit
    is chance. Those of children whose ids differ from run to run come last, each by its turn
    among all that is alike, as in `*/step-1#2`.

    Args:
        transitions: The baseline's.
        edge: Only this one.
        only: Only transitions that this pattern covers.
    """
    every = list(transitions)
    points: list[Matches] = []
    unnamed: dict[str, int] = {}  # the fact to how many workflows it becomes true of
    commits: set[int] = set()
    for each in sorted(every, key=lambda t: t.is_of_varying_id):
        # What a client started under an id made by chance is another workflow when it asks again.
        if each.is_of_varying_id and not has_parent(each.name):
            continue
        if only is not None and not Matches(only).covers(each.name):
            continue
        if each.fact != "claimed":
            if each.commit in commits:
                continue
            commits.add(each.commit)
        if each.is_of_varying_id:
            unnamed[each.fact] = sum(t.times for t in every if t.fact == each.fact)
        else:
            points.extend(Matches(each.name, n) for n in range(1, each.times + 1))
    for fact, times in unnamed.items():
        points.extend(Matches(f"*/{fact}", n) for n in range(1, times + 1))
    sides = list(Edge) if edge is None else [edge]
    return [CrashPlan((Death(side, at),)) for at in points for side in sides]


def refuse_none(
    plans: Sequence[CrashPlan], transitions: Sequence[Transition], only: str | None
) -> None:
    """A sweep without a crash point would prove nothing.

    Raises:
        NothingProved: So it is; why is told.
    """
    if plans:
        return
    if transitions and all(each.is_of_varying_id for each in transitions):
        raise NothingProved(
            "every workflow has another id in each run, so that no crash point has a name",
            next_step="start them under ids that are made from the request: SetWorkflowID",
        )
    what = f"is {only}" if only else "is a crash point"
    raise NothingProved(f"nothing in an uninterrupted run {what}", next_step="resumectl points")


def second_deaths(
    trials: Iterable[Observation], *, edge: Edge | None = None, only: str | None = None
) -> list[CrashPlan]:
    """Plans that die again while recovering: at each transition of each recovery that was seen.

    Args:
        trials: Of plans with one death; see `Experiment.named`.
        edge: As for the first death.
        only: Likewise.
    """
    plans = []
    for trial in trials:
        if len(trial.lives) > 1:
            commits = [e for e in trial.final.events if e["kind"] == "commit"]
            first = CrashPlan.parse(trial.plan).deaths
            for plan in crash_points(transitions_of([commits]), edge=edge, only=only):
                plans.append(CrashPlan((*first, *plan.deaths)))
    return plans


def refuse_unknown(plan: CrashPlan, transitions: Sequence[Transition]) -> None:
    """A plan whose first death matches nothing in the baseline would prove nothing.

    Raises:
        Refusal: So it is; the nearest names are told.
    """
    at = plan.deaths[0].at
    names = [each.name for each in transitions]
    if sum(t.times for t in transitions if at.covers(t.name)) >= at.n:
        return
    near = get_close_matches(at.pattern, names, n=3) or names[:3]
    what = f"nothing in an uninterrupted run is {at}"
    if subject_of(at.pattern) and any(at.covers(name) for name in names):
        what = f"{at.pattern} does not happen {at.n} times in an uninterrupted run"
    raise Refusal(what, next_step=f"resumectl points; the nearest are {', '.join(near)}")


def sample(plans: Sequence[CrashPlan], size: int | None, seed: int) -> list[CrashPlan]:
    """So many of the plans, in their order; the seed chooses the same ones of the same set."""
    if size is None or size >= len(plans):
        return list(plans)
    # Their order is that of one run, and differs from the next one's.
    chosen = set(random.Random(seed).sample(sorted(map(str, plans)), size))
    return [plan for plan in plans if str(plan) in chosen]


def keeper(experiment: Experiment, directory: str) -> Callable[[Observation], Path | None]:
    """For a runner: where the place of a trial is kept, unless its verdict is KEPT."""

    def keep_at(trial: Observation) -> Path | None:
        if not trial.plan or experiment.judge(trial).verdict is Verdict.KEPT:
            return None
        name = re.sub(r"[^a-zA-Z0-9.-]+", "-", trial.plan).strip("-")
        return Path(directory, f"{name[:_NAME_MAX]}.{uuid.uuid4().hex[:6]}")

    return keep_at


def run_trials(
    runner: Runner,
    plans: Iterable[tuple[int, CrashPlan]],
    *,
    jobs: int,
    on_trial: Callable[[int, Observation], bool],
) -> None:
    """Run a trial for each plan, some at a time; once more where its blow did not fall.

    Args:
        runner: Runs one.
        plans: Number and plan of each, in their order.
        jobs: How many at a time.
        on_trial: Given number and observation of each as it ends, in this thread; returns
            whether to go on.
    """
    left = iter(plans)
    stop = threading.Event()
    with ThreadPoolExecutor(jobs, thread_name_prefix="trial") as pool:
        running: dict[Future[Observation], int] = {}
        while True:
            while len(running) < jobs and not stop.is_set():
                number, plan = next(left, (0, None))
                if plan is None:
                    stop.set()
                    break
                running[pool.submit(_landed, runner, plan)] = number
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for each in done:
                if not on_trial(running.pop(each), each.result()):
                    stop.set()


def _landed(runner: Runner, plan: CrashPlan) -> Observation:
    for _ in range(_ATTEMPTS - 1):
        trial = runner.trial(plan)
        has_landed = all(life.struck for life in trial.lives[: len(plan.deaths)])
        if has_landed or trial.final.failure or not trial.final.in_time:
            return trial
    return runner.trial(plan)


def verdicts(judgements: Iterable[Judgement]) -> dict[str, int]:
    """How many there are of each verdict."""
    found = dict.fromkeys(map(str, Verdict), 0)
    for judgement in judgements:
        found[judgement.verdict] += 1
    return found
