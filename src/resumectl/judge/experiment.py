"""A scenario's uninterrupted runs, and what trials prove when they are held against these.

Imports neither dbos nor a scenario: both are in the lives that the runner begins.
"""

import itertools
import math
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Self

from resumectl.errors import NothingProved, Refusal
from resumectl.judge.advice.advise import advise
from resumectl.judge.baseline import Baseline
from resumectl.judge.baseline_health import illness
from resumectl.judge.checker import Checker, promised_name, unless_time_does_it
from resumectl.judge.stability import TIMES_AGAIN, Judged, Stability, settled
from resumectl.judge.trial_view import Count, sites_of_effects
from resumectl.judge.workflow_aliases import aliased, stable_ids
from resumectl.model.crash_plan import CrashPlan, Death, Edge, Matches, subject_of
from resumectl.model.observation import (
    BASELINE,
    LATER_BASELINE,
    TIME_CONTROL,
    Judgement,
    Kind,
    Observation,
    Promise,
    Verdict,
)
from resumectl.runner.trial_runner import Control, Runner

BASELINES = 2
# These limits are those of a quiet machine, and stretched on a slow one; see `pace`.
# A process is looked at after as long as a whole uninterrupted run took, within these, in seconds.
_PATIENCE_S = (0.3, 1.5)
# A process may take so much longer than ten uninterrupted runs.
_BEYOND_BASELINE_S = 5.0
# And as often again, where no limit is given and it goes on recording what it does.
_EXTENSIONS_MAX = 3
# What differs from the baseline may differ by itself, as a random choice recorded in a step:
# before that is called a finding, more uninterrupted runs are asked.
# How many times as long as a death takes each of them pauses, the earliest longest: what comes
# behind a result that varies is seen to depend on it.
_PAUSES = (6, 4, 3, 2, 1, 1)
_BY_COMPARISON = frozenset({Kind.DIVERGED, Kind.UNEXPECTED, Kind.LOST, Kind.FAILED})
# Where a difference does not come out each time that its trial is run, so many uninterrupted runs
# are asked, within so many seconds: of what happens one time in ten, 32 runs in all see nothing once
# in 29 times.
_OFTEN = 24
_OFTEN_MAX_S = 10.0
_CHANGED = "its file was changed since the first run"


@dataclass(frozen=True, slots=True)
class _Known:
    """What so many runs tell."""

    runs: Sequence[Observation]
    baseline: Baseline
    checker: Checker
    stable: set[str]  # ids of workflows

    def after_time(self, control: Observation) -> Checker:
        """Return what judges a trial as if this uninterrupted run were the only one.

        What varies by itself stays as it is known from the other runs.
        """
        named = aliased(control, self.stable)
        baseline = Baseline.of([named], self.checker.by_site).varying_as(self.baseline)
        return replace(self.checker, baseline=baseline)

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
    # By crash plan: runs in which time passes where its process dies.
    controls: Mapping[str, Sequence[Observation]] = field(default_factory=dict)
    _known: "_Known | None" = None
    _asking: threading.Lock = field(default_factory=threading.Lock)

    def discover(
        self,
        timeout_s: float | None = None,
        *,
        on_run: Callable[[int, int], None] = lambda _number, _of: None,
    ) -> None:
        """Run the scenario uninterrupted.

        Args:
            timeout_s: Seconds for a life, these ones and those to come; None: from the baseline.
            on_run: Called before each run with its number, from 1, and how many there are.

        Raises:
            Refusal: The command line names what cannot be run.
            NothingProved: It is ill without any crash.
        """
        assert self.runner is not None
        if timeout_s is not None:
            self.runner.timeout_s = timeout_s
        programs = _programs(self.runner)
        for later in programs:
            for number in range(BASELINES):
                on_run(len(self.runs) + 1, BASELINES * len(programs))
                run = self._run_uninterrupted(number, later=later)
                _refuse_ill(run, self.runs)
                if len(self.runs) == 1:
                    self.runner.preload(run)
        self.refuse_unknown_promises()
        self.set_limits(timeout_s)

    def set_limits(self, timeout_s: float | None) -> None:
        """Give the runner the limits of a process, from what the uninterrupted runs took.

        Args:
            timeout_s: Maximum duration of one process, in seconds; None: from the baseline.
        """
        assert self.runner is not None
        self.runner.timeout_s = timeout_s or self.life_timeout_s
        self.runner.extensions_max = 0 if timeout_s else _EXTENSIONS_MAX
        shortest_s, longest_s = (each * self.runner.slowness for each in _PATIENCE_S)
        self.runner.patience_s = min(max(self.baseline.seconds, shortest_s), longest_s)

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
            run = self.runner.baseline(0, later=later)
            self.runner.discard(run)
            why = _ill_beside(run, self.runs)
            if why:
                raise NothingProved(
                    f"the program of {sweep} is not here as it was when that began: {why}",
                    next_step="put it back as it was, then  resumectl resume;  "
                    f"or give the sweep up:  resumectl cancel {sweep}",
                )

    @property
    def life_timeout_s(self) -> float:
        """Seconds for a life: whoever recovers does the same work again, and waits for more."""
        assert self.runner is not None
        return _BEYOND_BASELINE_S * self.runner.slowness + 10 * self.baseline.seconds

    @property
    def baseline(self) -> Baseline:
        """What the runs so far have in common."""
        return self._known_by_now().baseline

    def judge(self, trial: Observation) -> Judgement:
        """What a trial proves, against the baseline as it is known by now."""
        known = self._known_by_now()
        named = aliased(trial, known.stable)
        judgement = known.checker.judge(named)
        if judgement.verdict is Verdict.BROKEN:
            for control in self.controls.get(trial.plan, ()):
                judgement = unless_time_does_it(judgement, known.after_time(control).judge(named))
        return judgement

    @property
    def observed(self) -> Sequence[Observation]:
        """All runs without a crash, as they are kept; see `of_observed`."""
        return (*self.runs, *itertools.chain.from_iterable(self.controls.values()))

    @classmethod
    def of_observed(
        cls,
        runner: Runner | None,
        promises: Mapping[str, Promise],
        observed: Sequence[Observation],
    ) -> Self:
        """Make an experiment of the runs without a crash that another one has observed."""
        runs: list[Observation] = []
        controls: defaultdict[str, list[Observation]] = defaultdict(list)
        for each in observed:
            is_control = each.plan.startswith(TIME_CONTROL)
            (controls[each.plan.removeprefix(TIME_CONTROL)] if is_control else runs).append(each)
        return cls(runner, promises, tuple(runs), controls)

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
        written = {subject_of(each.name) for each in self.baseline.transitions if not each.what}
        # What a scenario declares may be of another request than today's.
        for name in self.promises:
            if name not in known and name in written:
                raise Refusal(
                    f"no promise can be held against {name!r}: its rows are compared only where a "
                    "Scenario's observe returns them",
                    next_step="return them from observe, or give the promise to the step that "
                    "writes them",
                )
            if name not in known:
                near = get_close_matches(name, known, n=3) or sorted(known)[:3]
                raise Refusal(
                    f"unknown promise target {name!r}: no step, effect or table has that name",
                    next_step=f"--promise NAME=PROMISE, with {', '.join(near)}"
                    if near
                    else "leave out --promise",
                )

    def control_time(self, judgements: Sequence[Judgement]) -> bool:
        """Let time pass in an uninterrupted run at each crash point where a difference was found.

        Returns:
            Whether there were such runs.
        """
        with self._asking:
            if self.runner is None or not self.runner.downtime_s:
                return False
            plans = {
                each.plan
                for each in judgements
                if any(f.kind in _BY_COMPARISON for f in each.findings)
            } - self.controls.keys()
            baseline = self.baseline
            controls = {
                plan: [
                    self.runner.time_control(CrashPlan.parse(plan), at)
                    for at in _where_time_passes(plan, baseline)
                ]
                for plan in sorted(plans)
            }
            # A run that has not ended by itself says nothing of the program.
            healthy = {
                plan: [run for run in runs if run.final.has_settled and not run.final.failure]
                for plan, runs in controls.items()
            }
            self.controls = {**self.controls, **healthy}
            return bool(plans)

    def ask_again(self, judgements: Sequence[Judgement]) -> bool:
        """Ask the baseline again, where a difference from it was found; whether it was asked.

        Each run pauses at the crash point of such a trial, for as long as a death takes, and on
        PostgreSQL its sequences have lost a number: what differs by that alone is no finding.
        Before a commit, every other one pauses ahead of the step instead: it is begun again, later.
        """
        plans = [
            each.plan
            for each in judgements
            if each.by_chance or any(f.kind in _BY_COMPARISON for f in each.findings)
        ]
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
                self._run_uninterrupted(number, later=programs[program], control=control)
            return True

    def ask_often(self, judgements: Sequence[Judgement], repeated: Sequence[Judgement]) -> bool:
        """Ask the baseline many times more, where a trial that differs from it does not do so
        each time that it is run; whether it was asked.

        A step may by chance answer one time in ten what it did not answer in any uninterrupted
        run so far. To be called when `ask_again` was, and the trials were judged anew.

        Args:
            judgements: What the trials proved.
            repeated: What those proved that were run again; see `Stability.to_repeat`.
        """
        with self._asking:
            if self.runner is None or not self.was_asked_again or self.was_asked_often:
                return False
            unstable = Stability(judgements, repeated).unstable
            varies = any(kind in _BY_COMPARISON for kind, _ in unstable)
            if not varies and not any(each.by_chance for each in judgements):
                return False
            programs = _programs(self.runner)
            limit_s = _OFTEN_MAX_S * self.runner.slowness
            times = min(_OFTEN, math.ceil(limit_s / self.baseline.seconds))
            for number, later in itertools.product(range(times), programs):
                self._run_uninterrupted(number, later=later)
            return True

    def tell_discarded_contacts(self) -> bool:
        """Have the last uninterrupted run tell what discarded ones contacted; whether they did."""
        assert self.runner is not None
        found = self.runner.take_discarded_contacts()
        if found:
            *before, last = self.runs
            last = replace(last, discarded_contacts=found + Counter(last.discarded_contacts))
            self.runs = (*before, last)
        return bool(found)

    def _run_uninterrupted(
        self, number: int, *, later: bool, control: Control | None = None
    ) -> Observation:
        assert self.runner is not None
        run = self.runner.baseline(number, later=later, control=control)
        self.runs = (*self.runs, run)
        return run

    @property
    def was_asked_again(self) -> bool:
        """Whether it knows more runs than those it began with."""
        return len(self.runs) > self._begun_with

    @property
    def was_asked_often(self) -> bool:
        """Whether it knows more than those, and those that paused."""
        return len(self.runs) > self._begun_with + len(_PAUSES)

    @property
    def _begun_with(self) -> int:
        return BASELINES * len({run.plan for run in self.runs})

    def judged(self, trials: Sequence[Observation], *, repeat: bool = True) -> Judged:
        """Judge trials, and repeat those with findings until it is known which are stable.

        Args:
            trials: What was observed.
            repeat: Whether to run trials again.
        """
        again: list[Observation] = []

        def judge_all() -> tuple[list[Judgement], list[Judgement]]:
            return [self.judge(each) for each in trials], [self.judge(each) for each in again]

        found, repeated = judge_all()
        if self.control_time(found):
            found, repeated = judge_all()
        if self.ask_again(found):
            found, repeated = judge_all()
        runner = self.runner if repeat else None
        while runner is not None and (plans := Stability(found, repeated).to_repeat()):
            for plan in plans:
                again += [
                    runner.trial(CrashPlan.parse(plan), is_check=True) for _ in range(TIMES_AGAIN)
                ]
            found, repeated = judge_all()
        if self.ask_often(found, repeated):
            found, repeated = judge_all()
        return settled(found, repeated)


def _where_time_passes(plan: str, baseline: Baseline) -> list[str | None]:
    """Return the crash points at which as much time passes as in a trial; None: at the beginning.

    Before a commit, the step that dies runs again later: so time may also pass ahead of it.
    """
    found: list[str | None] = []
    for death in CrashPlan.parse(plan).deaths:
        at = str(replace(death, hold=None))
        found.append(at)
        if death.edge is Edge.BEFORE:
            ahead = _ahead_of(at, baseline)
            found.append(ahead if ahead != at else None)
    return found


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
    return illness(run) or ("" if is_of_its_file else _CHANGED)


def _refuse_ill(run: Observation, runs: Sequence[Observation]) -> None:
    """Nothing can be said of a program that does not do without a crash what it is to do.

    Args:
        run: Uninterrupted.
        runs: That one, and those before it.

    Raises:
        Refusal: The command line names what cannot be run.
        NothingProved: It is ill; the cause is the program's own traceback.
    """
    if not illness(run):
        if _ill_beside(run, runs):
            raise NothingProved(_CHANGED, next_step="begin again, and leave it as it is meanwhile")
        return
    advice = advise(run, str(Path.cwd()))
    told = next((e for e in map(run.final.last, ("failed", "answered")) if e), {})
    refusal = Refusal if advice.is_mistyped else NothingProved
    next_step, *paste = advice.next_step.split("\n")
    raise refusal(advice.what, next_step=next_step, paste=paste) from (
        RuntimeError(f"in the program:\n{told['traceback']}") if told.get("traceback") else None
    )
