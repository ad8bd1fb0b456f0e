"""Run a program uninterrupted, first for the baseline and again when a difference needs more runs.

`judge.further_runs` decides which further runs are needed.
"""

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from resumectl.errors import NothingProved
from resumectl.judge.baseline_health import CHANGED, baseline_problem, problem_beside
from resumectl.judge.further_runs import FIRST_RUNS, FurtherRun, FurtherRuns, Stage
from resumectl.judge.judge import Judge
from resumectl.judge.promises import refuse_unknown_promises
from resumectl.judge.stability import REPETITIONS, Judged, Stability, settled
from resumectl.model.crash_plan import CrashPlan, PlannedTrial
from resumectl.model.observation import LATER_BASELINE, Observation
from resumectl.model.promise import Promise
from resumectl.model.target import Target
from resumectl.model.verdict import Judgement
from resumectl.runner.trial_runner import TrialRunner

# These limits are for a quiet machine, and are stretched on a slow one; see `probe.pace`.
# Minimum and maximum time without a commit after which a process checks whether it can do more, in
# seconds. Between the two limits it is the duration of an uninterrupted run.
_PATIENCE_S = (0.3, 1.5)
# Time that a process may take in addition to ten uninterrupted runs, in seconds.
_BEYOND_BASELINE_S = 5.0
# Number of extensions, if the user sets no limit and the process continues to record events.
_EXTENSIONS_MAX = 3
# Number of runs in which time passes at a crash point whose finding is unstable, the first included.
_TIMES_AGAIN = 5


class FailingBaseline(Exception):
    """The program fails without a crash, so it cannot be tested.

    Attributes:
        run: Uninterrupted run that has a problem.
        target: The program.
    """

    def __init__(self, run: Observation, target: Target) -> None:
        super().__init__(baseline_problem(run))
        self.run = run
        self.target = target


class BaselineRuns:
    """Uninterrupted runs of a target.

    Args:
        runner: Runner of the program.
        judge: Judge with the runs so far.

    Attributes:
        runner: Runner of the program.
        judge: Judge with all runs; further runs replace it.
    """

    def __init__(self, runner: TrialRunner, judge: Judge) -> None:
        self.runner = runner
        self.judge = judge
        self._running = threading.Lock()

    @classmethod
    def of(cls, runner: TrialRunner, promises: Mapping[str, Promise]) -> "BaselineRuns":
        """Return the baseline runs of a target that has not been run yet."""
        return cls(runner, Judge(promises))

    # --- the first runs

    def discover(
        self,
        timeout_s: float | None = None,
        *,
        on_run: Callable[[int, int], None] = lambda _number, _of: None,
    ) -> None:
        """Run the program uninterrupted for the first time.

        Args:
            timeout_s: Maximum duration of one process, now and later, in seconds; None to derive it from
                the baseline.
            on_run: Function to call before each run, with its number, from 1, and the number of runs.

        Raises:
            FailingBaseline: A run has a problem.
            NothingProved: The program's file was changed between two runs.
            Refusal: A promise is for something that never happens.
        """
        if timeout_s is not None:
            self.runner.timeout_s = timeout_s
        programs = self._programs
        for later in programs:
            for number in range(FIRST_RUNS):
                on_run(len(self.judge.runs) + 1, FIRST_RUNS * len(programs))
                run = self._observe(FurtherRun(number, later, control=None))
                self.judge = self.judge.with_run(run)
                self._refuse_sick(run, later=later)
                if len(self.judge.runs) == 1:
                    self.runner.preload(run)
        refuse_unknown_promises(self.judge.promises, self.judge.baseline)
        self.set_up_runner(timeout_s)

    @property
    def _programs(self) -> Sequence[bool]:
        """Whether each program is the one of the later processes."""
        return (False, True) if self.runner.is_edited else (False,)

    def _observe(self, further: FurtherRun) -> Observation:
        return self.runner.baseline(further.number, later=further.is_later, control=further.control)

    def _refuse_sick(self, run: Observation, *, later: bool) -> None:
        if baseline_problem(run):
            raise FailingBaseline(run, self.runner.target_of(later=later))
        if problem_beside(run, self._first(later=later)):
            raise NothingProved(CHANGED, next_step="begin again, and leave it as it is meanwhile")

    def _first(self, *, later: bool) -> Observation:
        """Return the first run of a program."""
        return next(run for run in self.judge.runs if (run.plan == LATER_BASELINE) == later)

    def set_up_runner(self, timeout_s: float | None) -> None:
        """Tell the runner what the uninterrupted runs have shown: limits, names, and the client.

        Args:
            timeout_s: Maximum duration of one process, in seconds; None to derive it from the baseline.
        """
        runner, seconds = self.runner, self.judge.baseline.seconds
        # A recovery does the same work again, and waits longer.
        runner.timeout_s = timeout_s or _BEYOND_BASELINE_S * runner.slowness + 10 * seconds
        runner.extensions_max = 0 if timeout_s else _EXTENSIONS_MAX
        shortest_s, longest_s = (each * runner.slowness for each in _PATIENCE_S)
        runner.patience_s = min(max(seconds, shortest_s), longest_s)
        runner.names = self.judge.names
        runner.client = runner.target_of(later=False).client or self.judge.usual_client

    def refuse_another_program(self, sweep: str) -> None:
        """Run the program once, and refuse it if it is not the program of the first runs.

        The first runs may have happened in another process, on another day or on another machine.

        Args:
            sweep: Id of the sweep's workflow.

        Raises:
            NothingProved: The program is missing, fails, or has changed.
        """
        for later in self._programs:
            run = self.runner.baseline(0, later=later)
            self.runner.discard(run)
            why = problem_beside(run, self._first(later=later))
            if why:
                raise NothingProved(
                    f"the program of {sweep} is not here as it was when that began: {why}",
                    next_step="put it back as it was, then  resumectl resume;  "
                    f"or give the sweep up:  resumectl cancel {sweep}",
                )

    # --- further runs

    @property
    def _further(self) -> FurtherRuns:
        return FurtherRuns(self.judge, self._programs)

    @property
    def stage(self) -> Stage:
        """Stage of the baseline, by the number of uninterrupted runs."""
        return self._further.stage

    def let_time_pass(self, judgements: Sequence[Judgement]) -> bool:
        """Let time pass in uninterrupted runs at each crash point that has a difference.

        Args:
            judgements: Judgements of the trials so far.

        Returns:
            Whether any run was made.
        """
        with self._running:
            if not self.runner.downtime_s:
                return False
            plans = self._further.plans_for_time(judgements)
            self._let_time_pass_at(dict.fromkeys(plans, (0,)), judgements)
            return bool(plans)

    def let_more_time_pass(
        self, judgements: Sequence[Judgement], repeated: Sequence[Judgement]
    ) -> bool:
        """Let time pass again where a finding is unstable, each time with another schedule of threads.

        Args:
            judgements: Judgements of the trials.
            repeated: Judgements of the repeated trials.

        Returns:
            Whether any run was made.
        """
        with self._running:
            plans = self._further.plans_for_more_time(judgements, repeated)
            times = {plan: range(1, _TIMES_AGAIN) for plan in plans}
            self._let_time_pass_at(times, (*judgements, *repeated))
            return bool(plans)

    def _let_time_pass_at(
        self, plans: Mapping[str, Iterable[int]], judgements: Sequence[Judgement]
    ) -> None:
        """Run the program uninterrupted, and let time pass at each crash point of each plan.

        Args:
            plans: Crash plan to the repetitions to run.
            judgements: Judgements of the trials and of their repetitions.
        """
        calls = {
            plan: [
                partial(self.runner.time_control, CrashPlan.parse(plan), at, repetition)
                for repetition in repetitions
                for at in self._further.where_time_passes(plan, judgements)
            ]
            for plan, repetitions in plans.items()
        }
        runs = iter(self._run_concurrently(itertools.chain.from_iterable(calls.values())))
        controls = {plan: list(itertools.islice(runs, len(own))) for plan, own in calls.items()}
        # A run that was ended from outside cannot be compared.
        healthy = {
            plan: tuple(r for r in own if r.final.has_settled and not r.final.failure)
            for plan, own in controls.items()
        }
        self.judge = self.judge.with_controls(healthy)

    def _run_concurrently(self, calls: Iterable[Callable[[], Observation]]) -> list[Observation]:
        """Return the runs of these calls, in their order."""
        with ThreadPoolExecutor(self.runner.jobs, thread_name_prefix="baseline") as pool:
            return [future.result() for future in [pool.submit(call) for call in calls]]

    def pause_where_different(self, judgements: Sequence[Judgement]) -> bool:
        """Make the runs of the second stage, if a difference needs them; return whether any was made.

        Args:
            judgements: Judgements of the trials so far.
        """
        with self._running:
            return self._run_all(self._further.paused(judgements))

    def repeat_often(self, judgements: Sequence[Judgement], repeated: Sequence[Judgement]) -> bool:
        """Make the runs of the third stage, if an unstable difference needs them.

        Args:
            judgements: Judgements of the trials, after the second stage.
            repeated: Judgements of the repeated trials.

        Returns:
            Whether any run was made.
        """
        with self._running:
            return self._run_all(self._further.many(judgements, repeated, self.runner.slowness))

    def let_client_retry(self) -> bool:
        """Run a trial whose client asks again, if it gives up by default; return whether one was run."""
        with self._running:
            plan = self.judge.plan_for_retry
            is_by_default = self.runner.target_of(later=False).client is None
            if plan is None or not is_by_default or self.judge.retried is not None:
                return False
            retried = self.runner.trial_of_retrying_client(plan)
            self.judge = replace(self.judge, retried=retried)
            return True

    def _run_all(self, further: Iterable[FurtherRun]) -> bool:
        runs = self._run_concurrently(partial(self._observe, each) for each in further)
        for run in runs:
            self.judge = self.judge.with_run(run)
        return bool(runs)

    def keep_discarded_contacts(self) -> bool:
        """Add the contacts of discarded runs to the last run; return whether there were any."""
        found = self.runner.take_discarded_contacts()
        if found:
            *before, last = self.judge.runs
            contacts = found + Counter(last.discarded_contacts)
            last = replace(last, discarded_contacts=contacts)
            self.judge = replace(self.judge, runs=(*before, last))
        return bool(found)

    # --- judging trials to the end

    def judged(self, trials: Sequence[Observation], *, repeat: bool = True) -> Judged:
        """Judge trials, and repeat those with findings until it is known which findings are stable.

        Args:
            trials: Observations of the trials.
            repeat: Whether to run trials again.
        """
        again: list[Observation] = []

        def judge_all() -> tuple[list[Judgement], list[Judgement]]:
            judge = self.judge
            return [judge.judge(each) for each in trials], [judge.judge(each) for each in again]

        found, repeated = judge_all()
        while self.let_time_pass(found):
            found, repeated = judge_all()
        if self.pause_where_different(found):
            found, repeated = judge_all()
        while repeat and (plans := Stability(found, repeated).to_repeat()):
            checks = (
                PlannedTrial(0, CrashPlan.parse(plan), is_check=True)
                for plan in plans
                for _ in range(REPETITIONS)
            )
            again.extend(map(self.runner.trial, checks))
            found, repeated = judge_all()
        if self.let_more_time_pass(found, repeated):
            found, repeated = judge_all()
        if self.repeat_often(found, repeated):
            found, repeated = judge_all()
        return settled(found, repeated)
