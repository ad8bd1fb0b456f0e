"""Where this process's trials are run, for the workflows of a sweep: zygotes, places, archive.

A trial is in the archive as soon as it has ended, so a group of them that is run again leaves
out those that are there. Knows no workflow: those are in `durable`.
"""

import json
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from resumectl.database import open_engine
from resumectl.judge.crash_points import sample, second_deaths
from resumectl.judge.experiment import Experiment
from resumectl.judge.stability import TIMES_AGAIN, Stability
from resumectl.model.crash_plan import CrashPlan
from resumectl.model.observation import Observation, Verdict
from resumectl.model.sweep_spec import Specification
from resumectl.publishing.publisher import LifeEnding
from resumectl.runner.sweep_store import REPEATED, Archive
from resumectl.runner.trial_pool import keeper, run_trials
from resumectl.runner.trial_runner import Lab, Runner, open_lab
from resumectl.settings import Settings

_DRAIN_S = 2.0  # for trials that are under way; then their lives are ended

# No batch can have such an id: the name of a publisher has no colon.
PREFIX = "sweep:"
_WORKFLOW_ID = re.compile(rf"({PREFIX}(\d+))(-\d+)*")


def workflow_id_of(sweep_id: int) -> str:
    """Of a sweep's workflow; also the name of its queue."""
    return f"{PREFIX}{sweep_id}"


def sweep_ids(workflow_ids: Sequence[str]) -> list[int]:
    """The sweeps of which these workflows are."""
    found = map(_WORKFLOW_ID.fullmatch, workflow_ids)
    return sorted({int(each[2]) for each in found if each})


def chosen(specification: Specification, every: Sequence[CrashPlan]) -> list[CrashPlan]:
    """The plans of a round, as often as each is to be run: all of them, or a sample."""
    plans = sample(every, specification.max_trials, specification.seed)
    return [plan for plan in plans for _ in range(specification.repeat)]


@dataclass(frozen=True, slots=True)
class _Swept:
    """A sweep, as a process that runs trials of it knows it."""

    specification: Specification
    experiment: Experiment
    runner: Runner

    @classmethod
    def of(cls, told: Specification, experiment: Experiment) -> Self:
        """With the places kept that are asked for."""
        runner = experiment.runner
        assert runner is not None
        if told.keep_in is not None:
            runner.keeper = keeper(experiment, told.keep_in)
        return cls(told, experiment, runner)


class Bench:
    """Where this process's trials are run, of whichever sweeps; opened as the first one comes.

    Args:
        settings: Where the archive is.
        jobs: How many trials at a time; None for one for each core.
    """

    def __init__(self, settings: Settings, *, jobs: int | None = None) -> None:
        self._settings = settings
        self._engine = open_engine(settings)
        self._jobs = jobs or os.cpu_count() or 1
        # For each program one: its zygotes have its libraries.
        self._labs: dict[str, Lab] = {}
        self._swept: dict[int, _Swept] = {}
        self._changed = threading.Condition()
        self._opening = threading.Lock()  # labs
        self._knowing = threading.Lock()  # sweeps
        self._under_way = 0
        self._failure: Exception | None = None
        self._is_ending = False
        self.archive = Archive(self._engine)

    # --- as a life sees it

    def check(self) -> None:
        """Make sure that trials can be run.

        Raises:
            Exception: Why they cannot.
        """
        if self._failure is not None:
            raise self._failure

    def drain(self) -> bool:
        """Begin no further trial, end those that are under way, and leave nothing behind."""
        with self._changed:
            self._is_ending = True
            self._changed.wait_for(lambda: self._under_way == 0, _DRAIN_S)
        with self._opening:
            for lab in self._labs.values():
                lab.close()
            self._labs.clear()
        with self._changed:
            self._changed.wait_for(lambda: self._under_way == 0)
        self._engine.dispose()
        return True

    @staticmethod
    def queue_of(workflow_id: str) -> str | None:
        """The queue of a sweep's workflow."""
        found = _WORKFLOW_ID.fullmatch(workflow_id)
        return found[1] if found else None

    # --- as the workflows see it

    @property
    def is_ending(self) -> bool:
        """Whether no trial is to be begun."""
        return self._is_ending

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Enter to run trials; what goes wrong is this process's failure, not the sweep's.

        Raises:
            LifeEnding: The process is ending; the workflow stays as it is for the next one.
        """
        with self._changed:
            if self._is_ending:
                raise LifeEnding
            self._under_way += 1
        try:
            yield
            if self._is_ending:
                raise LifeEnding
        except Exception as error:
            with self._changed:
                if not self._is_ending:
                    self._failure = self._failure or error
                    self._is_ending = True
            raise LifeEnding from error
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def lab(self, told: Specification) -> Lab:
        """The zygotes and places for the trials of such a sweep."""
        with self._opening:
            if self._is_ending:
                raise LifeEnding
            programs = [
                {**s.as_plain(), "args": (), "kwargs": {}} for s in (told.subject, told.later)
            ]
            key = json.dumps([told.on, told.isolation, programs])
            if key not in self._labs:
                self._labs[key] = open_lab(
                    self._settings,
                    told.on,
                    told.isolation,
                    jobs=self._jobs,
                    subject=told.subject,
                    with_publisher=told.is_of_publisher,
                )
            lab = self._labs[key]
        lab.warm_up()
        return lab

    def know(self, sweep_id: int, told: Specification, experiment: Experiment) -> None:
        """Take a sweep as its beginner knows it, who has just run its program.

        Args:
            sweep_id: Of the sweep.
            told: What is swept.
            experiment: Discovered, with its runner.
        """
        with self._knowing:
            self._swept[sweep_id] = _Swept.of(told, experiment)

    def swept(self, sweep_id: int) -> _Swept:
        """What is known of a sweep, read once."""
        with self._knowing:
            if sweep_id not in self._swept:
                self._swept[sweep_id] = self._get_to_know(sweep_id)
            return self._swept[sweep_id]

    def _get_to_know(self, sweep_id: int) -> _Swept:
        told = self.archive.specification(sweep_id)
        runner = Runner(self.lab(told), told.subject, told.later, told.downtime_s)
        experiment = Experiment.of_observed(runner, told.promises, self.archive.baselines(sweep_id))
        runner.preload(experiment.runs[0])
        experiment.set_limits(told.timeout_s)
        experiment.refuse_another_program(workflow_id_of(sweep_id))
        return _Swept.of(told, experiment)

    def run(self, sweep_id: int, first: int, last: int) -> None:
        """Run those of a sweep's trials that have not been run.

        Args:
            sweep_id: Of the sweep.
            first: The number of the first one.
            last: The number of the last one.
        """
        swept = self.swept(sweep_id)
        told = swept.specification

        def on_trial(number: int, trial: Observation) -> bool:
            experiment = swept.experiment
            judgement = experiment.judge(trial)
            if told.fail_fast and judgement.verdict is Verdict.BROKEN:
                if experiment.control_time([judgement]) | experiment.ask_again([judgement]):
                    self.archive.set_baselines(sweep_id, experiment.observed)
                judgement = experiment.judge(trial)  # the other group may have asked
            self.archive.keep(sweep_id, number, trial, judgement)
            return not self._is_ending and not (
                told.fail_fast and judgement.verdict is Verdict.BROKEN
            )

        if told.fail_fast and self.archive.verdicts(sweep_id)[1].get(Verdict.BROKEN):
            return
        run_trials(
            swept.runner,
            self.archive.to_run(sweep_id, first, last),
            jobs=self._jobs,
            on_trial=on_trial,
        )

    def plan_second_deaths(self, sweep_id: int) -> None:
        """Plan the round of two deaths: where a recovery can die is known once it was seen."""
        swept = self.swept(sweep_id)
        told = swept.specification
        kept = self.archive.observations(sweep_id, 1)
        trials = (swept.experiment.named(trial) for _, trial in kept)
        every = second_deaths(trials, edge=told.edge, only=told.only)
        with self._engine.begin() as connection:
            self.archive.plan(connection, sweep_id, 2, chosen(told, every), crash_points=len(every))

    def conclude(self, sweep_id: int) -> None:
        """Judge all of it, and write down how it ended."""
        swept = self.swept(sweep_id)
        rounds, experiment = swept.specification.deaths, swept.experiment
        if experiment.control_time(self.archive.judgements(sweep_id, rounds)):
            self.archive.set_baselines(sweep_id, experiment.observed)
            self._judge_anew(sweep_id)
        if experiment.ask_again(self.archive.judgements(sweep_id, rounds)):
            self.archive.set_baselines(sweep_id, experiment.observed)
        # Also where it was asked before, by a process that died before it had judged anew.
        if experiment.was_asked_again:
            self._judge_anew(sweep_id)
        self._repeat(sweep_id)
        judged = self.archive.judged(sweep_id, rounds)
        if experiment.ask_often(judged.trials, judged.repeated):
            self.archive.set_baselines(sweep_id, experiment.observed)
            self._judge_anew(sweep_id)
        if experiment.tell_discarded_contacts():
            self.archive.set_baselines(sweep_id, experiment.runs)
        self.archive.end(sweep_id, round_number=rounds)

    def _repeat(self, sweep_id: int) -> None:
        """Run trials again, until it is known which of their findings are stable."""
        rounds = self.swept(sweep_id).specification.deaths
        while not self._is_ending:
            # Also those that a process had planned that died.
            self._run_all(sweep_id, self.archive.numbers(sweep_id, REPEATED))
            judged = self.archive.judged(sweep_id, rounds)
            plans = Stability(judged.trials, judged.repeated).to_repeat()
            if not plans:
                return
            again = [CrashPlan.parse(plan) for plan in plans for _ in range(TIMES_AGAIN)]
            self.archive.plan_again(sweep_id, again)

    def _run_all(self, sweep_id: int, numbers: Sequence[int]) -> None:
        """Run those of these trials that have not been run, whatever they show."""
        swept = self.swept(sweep_id)

        def on_trial(number: int, trial: Observation) -> bool:
            self.archive.keep(sweep_id, number, trial, swept.experiment.judge(trial))
            return not self._is_ending

        if numbers:
            left = self.archive.to_run(sweep_id, min(numbers), max(numbers))
            run_trials(swept.runner, left, jobs=self._jobs, on_trial=on_trial)

    def _judge_anew(self, sweep_id: int) -> None:
        swept = self.swept(sweep_id)
        for round_number in (swept.specification.deaths, REPEATED):
            for number, trial in self.archive.observations(sweep_id, round_number):
                self.archive.judge_again(sweep_id, number, swept.experiment.judge(trial))
