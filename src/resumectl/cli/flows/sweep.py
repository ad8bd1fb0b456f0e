"""`sweep`: run a trial for each crash point of a target, in a durable workflow."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import sqlalchemy as sa

from resumectl.cli.common import Common
from resumectl.cli.configured_spec import ConfiguredSpec
from resumectl.cli.flows.discover import discover, say_opening
from resumectl.cli.flows.stored_sweeps import (
    code_of_all,
    opened_store,
    page_of,
    result_of,
    show,
    show_all,
)
from resumectl.cli.flows.watch import sweep_at_each_change
from resumectl.cli.report_files import write_reports
from resumectl.cli.target_options import ReportOptions
from resumectl.elapsed import seconds_since_start
from resumectl.errors import ExitCode, Interrupted
from resumectl.judge.crash_points import crash_points, refuse_none
from resumectl.judge.priorities import changed_steps, kept_plans, most_informative_first, step_of
from resumectl.model.crash_plan import CrashPlan
from resumectl.model.sweep_spec import SweepSpec
from resumectl.publishing import remote
from resumectl.publishing.runtime import Runtime
from resumectl.report.activity import Activity
from resumectl.report.progress import ReadWorkDone, WorkDone, progress_bar
from resumectl.report.replay_command import Command, command_line
from resumectl.report.source_lines import sources_of, step_definitions
from resumectl.report.sweep_result import SweepResult
from resumectl.runner import sweep_workflow
from resumectl.runner.baseline_runs import BaselineRuns
from resumectl.runner.stored_sweep import StoredSweep
from resumectl.runner.sweep_ids import workflow_id_of
from resumectl.runner.sweep_store import SweepStore
from resumectl.runner.sweep_worker import SweepWorker
from resumectl.runner.trial_pools import TrialPools
from resumectl.runner.trial_runner import TrialRunner

# A process that only sweeps must take up no messages: its executor id is not one of publishers.
_EXECUTOR_BASE = "sweep"


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """What one command sweeps.

    Attributes:
        specs: Spec of each sweep.
        pools: Trial pools of the programs; that of the first one is being warmed up.
        is_watching: Whether to sweep again each time that a program changes.
    """

    specs: Sequence[ConfiguredSpec]
    pools: TrialPools
    is_watching: bool


def sweep(common: Common, plan: SweepPlan, doing: Activity, reports: ReportOptions) -> ExitCode:
    """Run a trial for each crash point of each target, and show the results."""
    try:
        common.start_logging()
        with opened_store(common) as engine:
            sweeps = _Sweeps(common, engine, plan.pools, doing, reports)
            if plan.is_watching:
                return sweep_at_each_change(common, plan.specs, sweeps)
            return sweeps.run(plan.specs)
    finally:
        plan.pools.close()


@dataclass(slots=True)
class _Sweeps:
    """Sweeps of one command.

    Attributes:
        common: Options of the command.
        engine: Engine of resumectl's own database.
        pools: Trial pools of the programs.
        doing: The line that shows progress.
        reports: Files to write after the sweeps.
        has_swept: Whether a sweep has begun already.
    """

    common: Common
    engine: sa.Engine
    pools: TrialPools
    doing: Activity
    reports: ReportOptions
    has_swept: bool = False

    def run(self, specs: Sequence[ConfiguredSpec]) -> ExitCode:
        """Sweep these targets, one after the other, and show the results.

        Args:
            specs: Spec of each sweep.
        """
        results: list[SweepResult] = []
        for spec in specs:
            # The first sweep of a process has taken the time of its start, too.
            began_s = seconds_since_start() if self.has_swept else 0.0
            self.has_swept = True
            result = self._sweep_one(spec)
            results.append(replace(result, wall_seconds=seconds_since_start() - began_s))
            if not self.common.as_json:
                show(self.common, results[-1])
        store = SweepStore(self.engine)
        write_reports(
            self.reports, results, lambda: [page_of(store, each.stored.id) for each in results]
        )
        return show_all(self.common, results) if self.common.as_json else code_of_all(results)

    def sources(self, configured: ConfiguredSpec) -> dict[str, str]:
        """Return the files of a program as they were when it was swept last, with their digests.

        Args:
            configured: Spec of the sweep.
        """
        store = SweepStore(self.engine)
        last = store.last_of(configured.spec.target)
        return sources_of(store.baselines(last.id)) if last is not None else {}

    def _sweep_one(self, configured: ConfiguredSpec) -> SweepResult:
        common = self.common
        worker = SweepWorker(common.settings(), pools=self.pools)
        try:
            sweep_id = self._begin(configured, worker)
            self.doing.stop()
            sweep_workflow.update_queues(common.settings(), self.engine, [sweep_id])
            _run(common, sweep_id, worker)
            return result_of(worker.store, sweep_id)
        finally:
            worker.drain()

    def _begin(self, configured: ConfiguredSpec, worker: SweepWorker) -> int:
        """Run the target without a crash, and store the sweep with its crash plans."""
        settings, spec = self.common.settings(), configured.spec
        say_opening(spec, self.doing)
        with configured.locating_refusals():
            runner = TrialRunner(worker.pool(spec), spec.target, spec.later, spec.downtime_s)
            runs = BaselineRuns.of(runner, spec.promises)
            discover(runs, spec, self.doing)
            transitions = runs.judge.baseline.transitions
            every = crash_points(transitions, edge=spec.edge, only=spec.only)
            points_line = command_line(Command.POINTS, spec, str(Path.cwd()))
            refuse_none(every, transitions, spec.only, points_line=points_line)
        chosen = _choose(self.common, spec, every, runs, SweepStore(self.engine))
        remote.register_publisher_queues(settings)
        with self.engine.begin() as connection:
            sweep_id = sweep_workflow.begin(
                settings,
                connection,
                spec,
                baselines=runs.judge.runs,
                plans=chosen,
                crash_points=len(crash_points(transitions)),
            )
        worker.register(sweep_id, spec, runs)
        return sweep_id


def _choose(
    common: Common, spec: SweepSpec, every: list[CrashPlan], runs: BaselineRuns, store: SweepStore
) -> list[CrashPlan]:
    """Return the crash plans to run, in their order: those that failed last, or the most informative first."""
    last = store.last_of(spec.target) if spec.only_failed or spec.budget_s is not None else None
    judged = store.trials(last.id).judgements(last.spec.crashes) if last is not None else []
    kept = kept_plans(judged)
    if spec.only_failed:
        failed = {each.plan for each in judged} - kept
        again = [plan for plan in every if str(plan) in failed]
        if not again:
            common.say(f"{_why_all(last, failed)}: all crash points are run")
        every = again or every
    if spec.budget_s is None:
        return every
    before = step_definitions(store.baselines(last.id)) if last is not None else {}
    changed = changed_steps(before, step_definitions(runs.judge.runs))
    transitions = runs.judge.baseline.transitions
    known = {plan for plan in kept if step_of(CrashPlan.parse(plan), transitions) not in changed}
    return most_informative_first(every, transitions, known)


def _why_all(last: StoredSweep | None, failed: Collection[str]) -> str:
    """Return why `--failed` runs all crash points."""
    if last is None:
        return "nothing was swept before"
    if failed:
        return f"no crash point that failed in sweep {last.id} is there any more"
    return f"sweep {last.id} kept every promise"


def _run(common: Common, sweep_id: int, worker: SweepWorker) -> None:
    workflow_id = workflow_id_of(sweep_id)
    sweep_workflow.set_worker(worker)
    try:
        with (
            Runtime(
                common.settings(),
                "sweep",
                queues=[workflow_id],
                executor_base=_EXECUTOR_BASE,
                companion=worker,
            ) as runtime,
            progress_bar([look(worker.store, sweep_id)], hidden=common.verbose) as progress,
        ):
            runtime.wait([workflow_id], every_poll=progress.poll)
    except KeyboardInterrupt:
        raise Interrupted(
            f"sweep {sweep_id} is unfinished, and no trial is lost",
            next_step=f"resumectl resume {workflow_id}  finishes it",
        ) from None


def look(store: SweepStore, sweep_id: int) -> ReadWorkDone:
    """Return the function that a progress bar calls for a sweep."""

    def seen() -> WorkDone:
        planned, found = store.trials(sweep_id).verdicts()
        said = " ".join(f"{verdict} {n}" for verdict, n in sorted(found.items()))
        return WorkDone(said or "sweeping", sum(found.values()), planned)

    return seen
