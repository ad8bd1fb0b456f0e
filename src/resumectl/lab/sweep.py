"""What a sweep is made of: uninterrupted runs, trials, and judgements of them.

In this process, by threads; `durable` makes a workflow of it. Imports neither dbos nor a
scenario: both are in the lives.
"""

import re
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

from resumectl.errors import NothingProved, Refusal
from resumectl.lab.aliases import aliased, stable_ids
from resumectl.lab.baseline import Baseline
from resumectl.lab.checker import Checker, promised_name
from resumectl.lab.illness import illness, remedy
from resumectl.lab.outcome import Count, sites_of_effects
from resumectl.lab.plan import CrashPlan, Death, Edge, Matches
from resumectl.lab.runner import Control, Runner
from resumectl.lab.trial import (
    BASELINE,
    LATER_BASELINE,
    Judgement,
    Kind,
    Observation,
    Promise,
    Verdict,
)

BASELINES = 2
# What differs from the baseline may differ by itself, as a random choice recorded in a step:
# before that is called a finding, more uninterrupted runs are asked.
# How many times as long as a death takes each of them pauses, the earliest longest: what comes
# behind a result that varies is seen to depend on it.
_PAUSES = (6, 4, 3, 2, 1, 1)
_BY_COMPARISON = frozenset({Kind.DIVERGED, Kind.UNEXPECTED, Kind.LOST, Kind.FAILED})
# At a plan whose blow had nothing to fall on: where a program's path is chosen by chance and
# recorded, or a thread was faster, the next run of it may pass there.
_ATTEMPTS = 16
_NAME_MAX = 120  # characters of a directory's name


@dataclass(frozen=True, slots=True)
class _Known:
    """What so many runs tell."""

    runs: Sequence[Observation]
    baseline: Baseline
    checker: Checker
    stable: set[str]  # ids of workflows

    @classmethod
    def of(cls, runs: Sequence[Observation], promises: Mapping[str, Promise]) -> "_Known":
        programs = [
            [each for each in runs if each.plan == plan and _is_comparable(each, runs)]
            for plan in (BASELINE, LATER_BASELINE)
        ]
        stable = set().union(*(stable_ids(program) for program in programs if program))
        named = [[aliased(run, stable) for run in program] for program in programs if program]
        by_site = set().union(*map(sites_of_effects, named))
        baseline, *later = (Baseline.of(each, by_site) for each in named)
        for each in later:
            baseline = baseline.or_as(each)
        return cls(runs, baseline, Checker(baseline, by_site, promises), stable)


@dataclass(slots=True)
class Experiment:
    """A scenario with its baseline: what trials are held against."""

    runner: Runner | None  # None: what was observed earlier is judged, and nothing is run
    promises: Mapping[str, Promise]
    runs: Sequence[Observation] = ()
    _known: "_Known | None" = None
    _asking: threading.Lock = field(default_factory=threading.Lock)

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
        for later in _programs(self.runner):
            for number in range(BASELINES):
                run = self.runner.baseline(number, later=later)
                self.runs = (*self.runs, run)
                _refuse_ill(run, self.runs)
                if len(self.runs) == 1:
                    self.runner.preload(run)
        self.refuse_unknown_promises()
        self.runner.timeout_s = timeout_s or self.life_timeout_s

    def refuse_another_program(self, sweep: str) -> None:
        """Make sure that what runs here is what the first runs were of: this may be another
        process than theirs, of another day, or on another machine.

        Args:
            sweep: Its workflow's id.

        Raises:
            NothingProved: It is gone, fails, or was edited.
        """
        assert self.runner is not None
        for later in _programs(self.runner):
            why = _ill_beside(self.runner.baseline(0, later=later), self.runs)
            if why:
                raise NothingProved(
                    f"the program of {sweep} is not here as it was when that began: {why}",
                    next_step="put it back as it was, then  resumectl resume;  "
                    f"or give the sweep up:  resumectl cancel {sweep}",
                )

    @property
    def life_timeout_s(self) -> float:
        """Seconds for a life: whoever recovers does the same work again, and waits for more."""
        return 5.0 + 10 * self.baseline.seconds

    @property
    def baseline(self) -> Baseline:
        """What the runs so far have in common."""
        return self._known_by_now().baseline

    def judge(self, trial: Observation) -> Judgement:
        """What a trial proves, against the baseline as it is known by now."""
        known = self._known_by_now()
        return known.checker.judge(aliased(trial, known.stable))

    def named(self, trial: Observation) -> Observation:
        """A trial, with each workflow whose id varies under its alias."""
        return aliased(trial, self._known_by_now().stable)

    def _known_by_now(self) -> "_Known":
        # Several threads judge, and one of them may ask again meanwhile.
        runs, known = self.runs, self._known
        if known is None or known.runs is not runs:
            known = self._known = _Known.of(runs, {**self._declared(), **self.promises})
        return known

    def _declared(self) -> dict[str, Promise]:
        return {
            name: Promise.named(promise, of=name)
            for run in self.runs
            for name, promise in (run.final.last("launch") or {}).get("promises", {}).items()
        }

    def refuse_unknown_promises(self) -> None:
        """A promise of what never happens would hold whatever dies.

        Raises:
            Refusal: There is one; the nearest names are told.
        """
        known = {promised_name(key) for key in self.baseline.counts}
        known |= {promised_name(key) for key in self.baseline.masked if isinstance(key, Count)}
        # What a scenario declares may be of another request than today's.
        for name in self.promises:
            if name not in known:
                near = get_close_matches(name, known, n=3) or sorted(known)[:3]
                raise Refusal(
                    f"nothing in an uninterrupted run is called {name}, so that no promise of it "
                    "can be held",
                    next_step=f"--promise NAME=PROMISE, with {', '.join(near)}"
                    if near
                    else "leave out --promise",
                )

    def ask_again(self, judgements: Iterable[Judgement]) -> bool:
        """Ask the baseline again, where a difference from it was found; whether it was asked.

        Each run pauses at the crash point of such a trial, for as long as a death takes, and on
        PostgreSQL its sequences have lost a number: what differs by that alone is no finding.
        Before a commit, every other one pauses ahead of the step instead: it is begun again, later.
        """
        plans = [j.plan for j in judgements if any(f.kind in _BY_COMPARISON for f in j.findings)]
        with self._asking:
            if not plans or self.runner is None or self.was_asked_again:
                return False
            programs = _programs(self.runner)
            chosen = [plans[n * len(plans) // len(_PAUSES)] for n in range(len(_PAUSES))]
            baseline = self.baseline
            for number, (plan, times) in enumerate(zip(chosen, _PAUSES, strict=True)):
                control = Control.at_first_death(plan, times * baseline.away_s)
                turn, program = divmod(number, len(programs))
                if turn % 2:
                    control = replace(control, at=_ahead_of(control.at, baseline))
                later = programs[program]
                run = self.runner.baseline(number, later=later, control=control)
                self.runs = (*self.runs, run)
            return True

    @property
    def was_asked_again(self) -> bool:
        """Whether it knows more runs than those it began with."""
        programs = {run.plan for run in self.runs}
        return len(self.runs) > BASELINES * len(programs)

    def judged(self, trials: Sequence[Observation]) -> list[Judgement]:
        """Judge; and where a difference from the baseline is found, ask that again."""
        found = [self.judge(trial) for trial in trials]
        return [self.judge(trial) for trial in trials] if self.ask_again(found) else found


def _ahead_of(at: str, baseline: Baseline) -> str:
    """The crash point right behind what the workflow does before the one that dies, if known."""
    (death,) = CrashPlan.parse(at).deaths
    ahead = baseline.ahead_of(death.at.pattern) if death.edge is Edge.BEFORE else None
    return str(Death(Edge.AFTER, Matches(ahead))) if ahead else at


def _programs(runner: Runner) -> Sequence[bool]:
    """For each program of an experiment, whether it is that of the later lives."""
    return (False, True) if runner.is_edited else (False,)


def _is_comparable(run: Observation, runs: Sequence[Observation]) -> bool:
    """Whether it says something of the program: it did not fail, as by a pause, and is of the file
    that the first run of its kind was of."""
    return run is _first(run.plan, runs) or not _ill_beside(run, runs)


def _first(program: str, runs: Sequence[Observation]) -> Observation:
    return next(each for each in runs if each.plan == program)


def _ill_beside(run: Observation, runs: Sequence[Observation]) -> str:
    """What is wrong with an uninterrupted run, beside the first of its program; empty if nothing."""
    is_of_its_file = run.digest == _first(run.plan, runs).digest
    return illness(run) or ("" if is_of_its_file else "its file was changed since the first run")


def _refuse_ill(run: Observation, runs: Sequence[Observation]) -> None:
    """Nothing can be said of a program that does not do without a crash what it is to do.

    Args:
        run: Uninterrupted.
        runs: That one, and those before it.

    Raises:
        NothingProved: It is ill; the cause is the program's own traceback.
    """
    ill = _ill_beside(run, runs)
    if not ill:
        return
    failed = run.final.last("failed")
    raise NothingProved(
        f"the scenario fails without any crash: {ill}", next_step=remedy(run)
    ) from (RuntimeError(f"in the program:\n{failed['traceback']}") if failed else None)


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
    """Run a trial for each plan, some at a time; where its blow does not fall, several times.

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
                running[pool.submit(runner.trial, plan, _ATTEMPTS)] = number
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for each in done:
                if not on_trial(running.pop(each), each.result()):
                    stop.set()


def verdicts(judgements: Iterable[Judgement]) -> dict[str, int]:
    """How many there are of each verdict."""
    found = dict.fromkeys(map(str, Verdict), 0)
    for judgement in judgements:
        found[judgement.verdict] += 1
    return found
