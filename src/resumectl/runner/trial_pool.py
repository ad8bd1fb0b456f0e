"""Run the trials of a sweep, some at a time, in threads of this process.

`durable` makes a workflow of it. Imports neither dbos nor a scenario.
"""

import re
import threading
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from resumectl.judge.experiment import Experiment
from resumectl.model.crash_plan import PlannedTrial
from resumectl.model.observation import Judgement, Observation, Verdict
from resumectl.runner.trial_runner import Runner

_NAME_MAX = 120  # characters of a directory's name


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
    planned: Iterable[PlannedTrial],
    *,
    jobs: int,
    on_trial: Callable[[int, Observation], bool],
) -> None:
    """Run trials, some at a time.

    Args:
        runner: Runs one.
        planned: What is to be run, in its order.
        jobs: How many at a time.
        on_trial: Given number and observation of each as it ends, in this thread; returns
            whether to go on.
    """
    left = iter(planned)
    stop = threading.Event()
    with ThreadPoolExecutor(jobs, thread_name_prefix="trial") as pool:
        running: dict[Future[Observation], int] = {}
        while True:
            while len(running) < jobs and not stop.is_set():
                trial = next(left, None)
                if trial is None:
                    stop.set()
                    break
                future = pool.submit(
                    runner.trial, trial.plan, trial.repetition, is_check=trial.is_check
                )
                running[future] = trial.number
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
