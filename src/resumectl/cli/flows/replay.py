"""`replay`: run one trial, once or several times, and show what happened."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from resumectl.cli.common import Common
from resumectl.cli.configured_spec import ConfiguredSpec
from resumectl.cli.flows.discover import discover, opened
from resumectl.errors import ExitCode, Refusal
from resumectl.judge.crash_points import refuse_unknown
from resumectl.judge.stability import Judged
from resumectl.model.crash_plan import CrashPlan, PlannedTrial
from resumectl.model.observation import Observation
from resumectl.model.sweep_spec import SweepSpec
from resumectl.model.verdict import Verdict, count_verdicts
from resumectl.report import console, json_documents, replay_view
from resumectl.report.activity import Activity
from resumectl.report.replay_command import Command, command_line
from resumectl.report.sweep_header import interpreter_document
from resumectl.runner.baseline_runs import BaselineRuns
from resumectl.runner.kept_sandboxes import keep_unless_kept
from resumectl.runner.trial_pool import run_trials
from resumectl.runner.trial_runner import TrialRunner


def replay(
    common: Common,
    configured: ConfiguredSpec,
    plan_text: str,
    doing: Activity,
    *,
    times: int,
) -> ExitCode:
    """Run one trial, once or several times, and show what happened.

    Args:
        common: Options of the command.
        configured: The sweep spec, and where its options come from.
        plan_text: Crash plan of the trial.
        doing: The line that shows progress.
        times: Number of runs.
    """
    spec = configured.spec
    try:
        plan = CrashPlan.parse(plan_text)
    except Refusal as refusal:
        points = command_line(Command.POINTS, spec, str(Path.cwd()))
        raise Refusal(refusal.what, next_step=f"{points}  lists them") from None
    if not 1 <= times <= 10_000:
        raise Refusal(f"--times {times} is not 1 to 10,000", next_step="as in  --times 20")
    common.start_logging()
    with opened(common, configured, doing) as pool:
        runner = TrialRunner(pool, spec.target, spec.later, spec.downtime_s)
        runs = BaselineRuns.of(runner, spec.promises)
        with configured.locating_refusals():
            discover(runs, spec, doing)
        if spec.keep_in is not None:
            runner.keep_at = keep_unless_kept(lambda t: runs.judge.judge(t), spec.keep_in)
        refuse_unknown(
            plan,
            runs.judge.baseline.transitions,
            points_line=command_line(Command.POINTS, spec, str(Path.cwd())),
        )
        trials: list[Observation] = []

        def on_trial(_number: int, trial: Observation) -> bool:
            trials.append(trial)
            return True

        doing.say(lambda: f"trial {min(len(trials) + 1, times)} of {times}")
        run_trials(
            runner, [PlannedTrial(n, plan, n) for n in range(times)], jobs=1, on_trial=on_trial
        )
        doing.say("judging")
        judged = runs.judged(trials)
    doing.stop()
    return _show_replay(common, spec, [runs.judge.with_names(trial) for trial in trials], judged)


def _show_replay(
    common: Common, spec: SweepSpec, trials: Sequence[Observation], judged: Judged
) -> ExitCode:
    outcomes = count_verdicts(judged.trials)
    if common.as_json:
        document = replay_view.judgement_document(judged.trials[0], judged.shown)
        document["observation"] = trials[0].as_plain()
        document["outcomes"] = outcomes
        document.update(interpreter_document(spec.interpreters))
        json_documents.show(document)
    elif len(trials) == 1:
        console.show(*replay_view.trial_view(trials[0], judged, spec, common.retyped))
    else:
        console.show(replay_view.outcomes_sheet(judged.trials))
    if spec.keep_in is not None and outcomes[Verdict.KEPT] < len(trials):
        common.say(f"{spec.keep_in} has the sandbox of each trial that is not KEPT")
    return exit_code(outcomes)


def exit_code(found: Mapping[str, int]) -> ExitCode:
    """Return the exit code of a command whose trials have these verdicts."""
    if found[Verdict.BROKEN]:
        return ExitCode.PROMISE_BROKEN
    if found[Verdict.UNSTABLE]:
        return ExitCode.UNSTABLE
    return ExitCode.NOTHING_PROVED if found[Verdict.VOID] else ExitCode.DONE
