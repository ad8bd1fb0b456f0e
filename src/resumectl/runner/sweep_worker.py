"""Run the trials of sweeps in this process, for the workflows of these sweeps.

A trial is stored as soon as it has ended, so a repeated group of trials skips the stored ones. The
workflows are in `sweep_workflow`.
"""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Self

from resumectl.database import open_engine
from resumectl.judge.crash_points import sample, second_crashes
from resumectl.judge.further_runs import Stage
from resumectl.judge.judge import Judge
from resumectl.judge.stability import REPETITIONS, Stability
from resumectl.model.crash_plan import CrashPlan
from resumectl.model.observation import Observation
from resumectl.model.sweep_spec import SweepSpec
from resumectl.model.verdict import Verdict
from resumectl.publishing.publisher import RuntimeEnding
from resumectl.runner.baseline_runs import BaselineRuns
from resumectl.runner.interpreters import interpreters_here
from resumectl.runner.kept_sandboxes import keep_unless_kept
from resumectl.runner.sweep_ids import queue_of, workflow_id_of
from resumectl.runner.sweep_store import SweepStore
from resumectl.runner.trial_pool import TrialPool, run_trials
from resumectl.runner.trial_pools import TrialPools
from resumectl.runner.trial_runner import TrialRunner
from resumectl.runner.trial_store import REPEATED
from resumectl.settings import Settings

_DRAIN_S = 2.0  # time for running trials; then their processes are ended


def chosen(spec: SweepSpec, every: Sequence[CrashPlan]) -> list[CrashPlan]:
    """Return the plans of a round, all or a sample, each as often as it is run."""
    plans = sample(every, spec.trials_max, spec.seed)
    return [plan for plan in plans for _ in range(spec.repeat)]


class _Budget:
    """Time that the trials of a sweep have in this process; it runs from the first one on.

    Args:
        left_s: The time, in seconds; None for no limit.
    """

    def __init__(self, left_s: float | None) -> None:
        self._left_s = left_s
        self._until_s: float | None = None

    @property
    def has_time(self) -> bool:
        """Whether it is not used up."""
        if self._left_s is None:
            return True
        now_s = time.monotonic()
        if self._until_s is None:
            self._until_s = now_s + self._left_s
        return now_s < self._until_s


@dataclass(frozen=True, slots=True)
class _Swept:
    """Sweep whose trials this process runs.

    Attributes:
        spec: Spec of the sweep.
        runs: Uninterrupted runs of its target.
        budget: Time that its trials have.
    """

    spec: SweepSpec
    runs: BaselineRuns
    budget: _Budget

    @classmethod
    def of(cls, spec: SweepSpec, runs: BaselineRuns, *, used_s: float) -> Self:
        """Return the sweep; its runner keeps sandboxes if the spec says so.

        Args:
            spec: Spec of the sweep.
            runs: Uninterrupted runs of its target.
            used_s: Part of the budget that is used up already, in seconds.
        """
        if spec.keep_in is not None:
            runs.runner.keep_at = keep_unless_kept(lambda t: runs.judge.judge(t), spec.keep_in)
        left_s = None if spec.budget_s is None else spec.budget_s - used_s
        return cls(spec, runs, _Budget(left_s))


class SweepWorker:
    """Worker that runs trials of any sweeps; the first trial opens a pool.

    Args:
        settings: Settings with the database of the sweeps.
        pools: Trial pools that the caller closes; None for own ones, with one trial for each core.
    """

    def __init__(self, settings: Settings, *, pools: TrialPools | None = None) -> None:
        self._engine = open_engine(settings)
        self._has_own_pools = pools is None
        self._pools = pools or TrialPools(settings, jobs=os.cpu_count() or 1)
        self._swept: dict[int, _Swept] = {}
        self._changed = threading.Condition()
        self._opening = threading.Lock()  # pools
        self._loading = threading.Lock()  # sweeps
        self._under_way = 0
        self._failure: Exception | None = None
        self._is_ending = False
        self.store = SweepStore(self._engine)

    # --- as the runtime sees it

    def check(self) -> None:
        """Raise the error because of which this process cannot run trials, if there is one."""
        if self._failure is not None:
            raise self._failure

    def drain(self) -> bool:
        """Start no further trial, end the running ones, and delete all sandboxes.

        The caller's pools stay open if no trial is running.
        """
        with self._changed:
            self._is_ending = True
            self._changed.wait_for(lambda: self._under_way == 0, _DRAIN_S)
        with self._opening:
            if self._has_own_pools or self._under_way:
                self._pools.close()
        with self._changed:
            self._changed.wait_for(lambda: self._under_way == 0)
        self._engine.dispose()
        return True

    @staticmethod
    def queue_of(workflow_id: str) -> str | None:
        """Return the queue of a sweep's workflow; None for any other workflow."""
        return queue_of(workflow_id)

    # --- as the workflows see it

    @property
    def is_ending(self) -> bool:
        """Whether no further trial may start."""
        return self._is_ending

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Enter this context to run trials; an error in it is an error of this process, not of the sweep.

        Raises:
            RuntimeEnding: The process is ending; the workflow stays as it is for the next one.
        """
        with self._changed:
            if self._is_ending:
                raise RuntimeEnding
            self._under_way += 1
        try:
            yield
            if self._is_ending:
                raise RuntimeEnding
        except Exception as error:
            with self._changed:
                if not self._is_ending:
                    self._failure = self._failure or error
                    self._is_ending = True
            raise RuntimeEnding from error
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def pool(self, spec: SweepSpec) -> TrialPool:
        """Return the fork servers and sandboxes for the trials of a sweep.

        Args:
            spec: Spec of the sweep.
        """
        with self._opening:
            if self._is_ending:
                raise RuntimeEnding
            pool = self._pools.of(spec)
        pool.warm_up()
        return pool

    def register(self, sweep_id: int, spec: SweepSpec, runs: BaselineRuns) -> None:
        """Register a sweep of the command that begins it and has just run its program.

        Args:
            sweep_id: Number of the sweep.
            spec: Spec of the sweep.
            runs: Uninterrupted runs of its target.
        """
        with self._loading:
            self._swept[sweep_id] = _Swept.of(spec, runs, used_s=0.0)

    def swept(self, sweep_id: int) -> _Swept:
        """Return a sweep; read it from the store once."""
        with self._loading:
            if sweep_id not in self._swept:
                self._swept[sweep_id] = self._load(sweep_id)
            return self._swept[sweep_id]

    def _load(self, sweep_id: int) -> _Swept:
        stored = self.store.spec(sweep_id)
        interpreters = interpreters_here(stored.interpreters, stored.target)
        spec = replace(stored, interpreters=interpreters)
        runner = TrialRunner(self.pool(spec), spec.target, spec.later, spec.downtime_s)
        judge = Judge.of_observed(spec.promises, self.store.baselines(sweep_id))
        runs = BaselineRuns(runner, judge)
        runner.preload(judge.runs[0])
        runs.set_up_runner(spec.timeout_s)
        runs.refuse_another_program(workflow_id_of(sweep_id))
        return _Swept.of(spec, runs, used_s=self.store.trials(sweep_id).busy_seconds())

    def run(self, sweep_id: int, first: int, last: int) -> None:
        """Run the trials of a sweep that have not been run.

        Args:
            sweep_id: Number of the sweep.
            first: Number of the first trial.
            last: Number of the last trial.
        """
        swept, trials = self.swept(sweep_id), self.store.trials(sweep_id)
        spec, runs = swept.spec, swept.runs

        def on_trial(number: int, trial: Observation) -> bool:
            judgement = runs.judge.judge(trial)
            if spec.fail_fast and judgement.verdict is Verdict.BROKEN:
                if runs.let_time_pass([judgement]) | runs.pause_where_different([judgement]):
                    self.store.set_baselines(sweep_id, runs.judge.observed)
                judgement = runs.judge.judge(trial)  # another group may have made more runs
            trials.keep(number, trial, judgement)
            is_over = spec.fail_fast and judgement.verdict is Verdict.BROKEN
            return not self._is_ending and not is_over and swept.budget.has_time

        if spec.fail_fast and trials.verdicts()[1].get(Verdict.BROKEN):
            return
        planned = trials.to_run(first, last) if swept.budget.has_time else []
        run_trials(runs.runner, planned, jobs=self._pools.jobs, on_trial=on_trial)

    def plan_second_crashes(self, sweep_id: int) -> None:
        """Plan the round of two crashes, from the recoveries that the first round has observed.

        Args:
            sweep_id: Number of the sweep.
        """
        swept = self.swept(sweep_id)
        spec = swept.spec
        trials = [
            swept.runs.judge.with_aliases(trial)
            for _, trial in self.store.trials(sweep_id).observations(1)
        ]
        plans = chosen(spec, second_crashes(trials, edge=spec.edge, only=spec.only))
        every = second_crashes(trials)
        with self._engine.begin() as connection:
            self.store.plan(connection, sweep_id, 2, plans, crash_points=len(every))

    def finish(self, sweep_id: int) -> None:
        """Judge all trials of a sweep, and store its end.

        Args:
            sweep_id: Number of the sweep.
        """
        swept, trials = self.swept(sweep_id), self.store.trials(sweep_id)
        crashes, runs = swept.spec.crashes, swept.runs
        while runs.let_time_pass(trials.judgements(crashes)):
            self.store.set_baselines(sweep_id, runs.judge.observed)
            self._judge_again(sweep_id)
        if runs.pause_where_different(trials.judgements(crashes)):
            self.store.set_baselines(sweep_id, runs.judge.observed)
        # Also after a process was killed that had made these runs without judging again.
        if runs.stage is not Stage.FIRST:
            self._judge_again(sweep_id)
        self._repeat(sweep_id)
        judged = trials.judged(crashes)
        if runs.let_more_time_pass(judged.trials, judged.repeated):
            self.store.set_baselines(sweep_id, runs.judge.observed)
            self._judge_again(sweep_id)
            judged = trials.judged(crashes)
        if runs.repeat_often(judged.trials, judged.repeated):
            self.store.set_baselines(sweep_id, runs.judge.observed)
            self._judge_again(sweep_id)
        if runs.let_client_retry():
            self.store.set_baselines(sweep_id, runs.judge.observed)
        if runs.keep_discarded_contacts():
            self.store.set_baselines(sweep_id, runs.judge.observed)
        self.store.end(sweep_id, round_number=crashes)

    def _repeat(self, sweep_id: int) -> None:
        """Repeat trials until it is known which of their findings are stable."""
        crashes, trials = self.swept(sweep_id).spec.crashes, self.store.trials(sweep_id)
        while not self._is_ending:
            # Includes repetitions that a killed process had planned.
            self._run_all(sweep_id, trials.numbers(REPEATED))
            judged = trials.judged(crashes)
            plans = Stability(judged.trials, judged.repeated).to_repeat()
            if not plans:
                return
            again = [CrashPlan.parse(plan) for plan in plans for _ in range(REPETITIONS)]
            trials.plan_again(again)

    def _run_all(self, sweep_id: int, numbers: Sequence[int]) -> None:
        """Run the trials that have not been run, also after a broken promise."""
        runs, trials = self.swept(sweep_id).runs, self.store.trials(sweep_id)

        def on_trial(number: int, trial: Observation) -> bool:
            trials.keep(number, trial, runs.judge.judge(trial))
            return not self._is_ending

        if numbers:
            left = trials.to_run(min(numbers), max(numbers))
            run_trials(runs.runner, left, jobs=self._pools.jobs, on_trial=on_trial)

    def _judge_again(self, sweep_id: int) -> None:
        swept, trials = self.swept(sweep_id), self.store.trials(sweep_id)
        judge = swept.runs.judge
        for round_number in (swept.spec.crashes, REPEATED):
            for number, trial in trials.observations(round_number):
                trials.judge_again(number, judge.judge(trial))
