"""`sweep`: a trial for each crash point of a scenario, as a durable workflow."""

from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa

from resumectl.cli.common import Common
from resumectl.cli.flows.experiment import discover, say_opening
from resumectl.cli.flows.judge import archived, result_of, show
from resumectl.elapsed import seconds_since_start
from resumectl.errors import ExitCode, Interrupted
from resumectl.judge.crash_points import crash_points, refuse_none
from resumectl.judge.experiment import Experiment
from resumectl.model.sweep_spec import Specification
from resumectl.publishing import remote
from resumectl.publishing.runtime import Life
from resumectl.report.activity import Activity
from resumectl.report.progress import Look, Seen, progress_bar
from resumectl.report.replay_command import Command, command_line
from resumectl.runner import sweep_workflow
from resumectl.runner.sweep_store import Archive
from resumectl.runner.sweep_worker import Bench, workflow_id_of
from resumectl.runner.trial_runner import Runner

# A life that only sweeps takes up nobody's messages: its executor id is none of theirs.
_EXECUTOR_BASE = "lab"


def sweep(common: Common, specification: Specification, doing: Activity, *, jobs: int) -> ExitCode:
    """Run a trial for each crash point, and show what all of them proved."""
    common.start_logging()
    settings = common.settings()
    bench = Bench(settings, jobs=jobs)
    try:
        with archived(common) as engine:
            sweep_id = _begin(common, specification, bench, engine, doing)
            doing.stop()
            sweep_workflow.tend_queues(settings, engine, [sweep_id])
            _live(common, sweep_id, bench)
            result = result_of(bench.archive, sweep_id)
            return show(common, replace(result, wall_seconds=seconds_since_start()))
    finally:
        bench.drain()


def _begin(
    common: Common, specification: Specification, bench: Bench, engine: sa.Engine, doing: Activity
) -> int:
    """See the scenario uninterrupted, and write down what is to be run."""
    say_opening(specification, doing)
    lab = bench.lab(specification)
    runner = Runner(lab, specification.subject, specification.later, specification.downtime_s)
    experiment = Experiment(runner, specification.promises)
    discover(experiment, runner, specification, doing)
    every = crash_points(
        experiment.baseline.transitions, edge=specification.edge, only=specification.only
    )
    refuse_none(
        every,
        experiment.baseline.transitions,
        specification.only,
        points_line=command_line(Command.POINTS, specification, str(Path.cwd())),
    )
    remote.register_publisher_queues(common.settings())
    with engine.begin() as connection:
        sweep_id = sweep_workflow.begin(
            common.settings(),
            connection,
            bench.archive,
            specification,
            baselines=experiment.runs,
            every=every,
        )
    bench.know(sweep_id, specification, experiment)
    return sweep_id


def _live(common: Common, sweep_id: int, bench: Bench) -> None:
    workflow_id = workflow_id_of(sweep_id)
    sweep_workflow.put_up(bench)
    try:
        with (
            Life(
                common.settings(),
                "sweep",
                queues=[workflow_id],
                executor_base=_EXECUTOR_BASE,
                companion=bench,
            ) as life,
            progress_bar([look(bench.archive, sweep_id)], hidden=common.verbose) as progress,
        ):
            life.wait([workflow_id], every_poll=progress.poll)
    except KeyboardInterrupt:
        raise Interrupted(
            f"sweep {sweep_id} is unfinished, and none of its trials is lost",
            next_step=f"resumectl resume {workflow_id}  finishes it",
        ) from None


def look(archive: Archive, sweep_id: int) -> Look:
    """How far a sweep has come, for a progress bar."""

    def seen() -> Seen:
        planned, found = archive.verdicts(sweep_id)
        said = " ".join(f"{verdict} {n}" for verdict, n in sorted(found.items()))
        return Seen(said or "sweeping", sum(found.values()), planned)

    return seen
