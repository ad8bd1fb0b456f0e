"""`points` and `replay`: look at a scenario uninterrupted, and at one trial of it."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from rich.text import Text

from resumectl.cli.common import Common
from resumectl.errors import ExitCode, Refusal
from resumectl.judge.crash_points import crash_points, refuse_none, refuse_unknown
from resumectl.judge.experiment import Experiment
from resumectl.model.crash_plan import CrashPlan, PlannedTrial
from resumectl.model.observation import Observation, Verdict
from resumectl.model.sweep_spec import Specification
from resumectl.report import console, machine, story
from resumectl.report.activity import Activity
from resumectl.report.outside import outside_document, outside_lines
from resumectl.report.replay_command import Command, command_line
from resumectl.report.sweep import transitions_sheet
from resumectl.runner.trial_pool import keeper, run_trials, verdicts
from resumectl.runner.trial_runner import Runner, open_lab
from resumectl.text import counted, literal


def discover(
    experiment: Experiment, runner: Runner, specification: Specification, doing: Activity
) -> None:
    """Run a program uninterrupted, and say how far that is.

    Raises:
        NothingProved: It is ill without any crash.
    """

    def on_run(number: int, of: int) -> None:
        doing.say(
            lambda: (
                f"importing {specification.subject}"
                if number == 1 and runner.phase in ("", "import")
                else f"baseline {number} of {of}"
            )
        )

    doing.say(f"importing {specification.subject}")
    experiment.discover(specification.timeout_s, on_run=on_run)


def say_opening(specification: Specification, doing: Activity) -> None:
    """Say what is done before the program is run."""
    command = specification.subject.access.prepare
    doing.say("starting" if command is None else f"running --prepare {command!r}")


def points(common: Common, specification: Specification, doing: Activity) -> ExitCode:
    """Show every transition of an uninterrupted run.

    Raises:
        NothingProved: There is no crash point, so that a sweep would be refused as well.
    """
    common.start_logging()
    told = specification
    say_opening(told, doing)
    with open_lab(
        common.settings(),
        told.on,
        told.isolation,
        jobs=1,
        subject=told.subject,
        with_publisher=told.is_of_publisher,
    ) as lab:
        runner = Runner(lab, told.subject)
        experiment = Experiment(runner, {})
        discover(experiment, runner, told, doing)
        transitions = experiment.baseline.transitions
        experiment.tell_discarded_contacts()
        contacts = sum((run.contacts for run in experiment.runs), Counter[str]())
    doing.stop()
    plans = crash_points(transitions)
    document = {
        "scenario": str(told.subject),
        "transitions": [
            {"name": t.name, "what": t.what, "commit": t.commit, "times": t.times}
            for t in transitions
        ],
        "crash_points": list(map(str, plans)),
        "outside": outside_document(told.subject.access, contacts),
    }
    if not common.as_json and transitions:
        for line in outside_lines(told.subject.access, contacts):
            console.show(Text(literal(line)))
        console.show(transitions_sheet(str(told.subject), transitions))
    try:
        refuse_none(plans, transitions, only=None, points_line="")
    except Refusal as refusal:
        refusal.document = document
        raise
    if common.as_json:
        machine.show(document)
        return ExitCode.DONE
    console.show(counted(len(plans), "crash point"))
    common.say("a sweep kills the process at each of them")
    common.say_next(command_line(Command.SWEEP, told, str(Path.cwd())))
    return ExitCode.DONE


def replay(
    common: Common,
    specification: Specification,
    plan_text: str,
    doing: Activity,
    *,
    times: int,
) -> ExitCode:
    """Run one trial, or the same several times, and tell what happened."""
    plan = CrashPlan.parse(plan_text)
    if not 1 <= times <= 10_000:
        raise Refusal(f"--times {times} is not 1 to 10,000", next_step="as in  --times 20")
    common.start_logging()
    told = specification
    say_opening(told, doing)
    with open_lab(
        common.settings(),
        told.on,
        told.isolation,
        jobs=1,
        subject=told.subject,
        with_publisher=told.is_of_publisher,
    ) as lab:
        runner = Runner(lab, told.subject, told.later, told.downtime_s)
        experiment = Experiment(runner, told.promises)
        discover(experiment, runner, told, doing)
        if told.keep_in is not None:
            runner.keeper = keeper(experiment, told.keep_in)
        refuse_unknown(
            plan,
            experiment.baseline.transitions,
            points_line=command_line(Command.POINTS, told, str(Path.cwd())),
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
        judged = experiment.judged(trials)
    doing.stop()
    outcomes = verdicts(judged.trials)
    if common.as_json:
        document = story.judgement_document(judged.trials[0], judged.shown)
        document["observation"] = trials[0].as_plain()
        document["outcomes"] = outcomes
        machine.show(document)
    elif times == 1:
        console.show(*story.told(trials[0], judged, told, common.retyped))
    else:
        console.show(story.outcomes_sheet(judged.trials))
    if told.keep_in is not None and outcomes[Verdict.KEPT] < times:
        common.say(f"what it left is kept in {told.keep_in}")
    return exit_code(outcomes)


def exit_code(found: Mapping[str, int]) -> ExitCode:
    """What a command ends with whose trials came out so."""
    if found[Verdict.BROKEN]:
        return ExitCode.PROMISE_BROKEN
    if found[Verdict.UNSTABLE]:
        return ExitCode.UNSTABLE
    return ExitCode.NOTHING_PROVED if found[Verdict.VOID] else ExitCode.DONE
