"""`points`: show all transitions of a run without a crash, and the crash points."""

from collections import Counter
from pathlib import Path

from rich.text import Text

from resumectl.cli.common import Common
from resumectl.cli.configured_spec import ConfiguredSpec
from resumectl.cli.flows.discover import discover, opened
from resumectl.errors import ExitCode, Refusal
from resumectl.judge.crash_points import crash_points, refuse_none
from resumectl.report import console, json_documents
from resumectl.report.activity import Activity
from resumectl.report.outside import outside_document, outside_lines
from resumectl.report.replay_command import Command, command_line
from resumectl.report.sweep_header import interpreter_document
from resumectl.report.sweep_tables import transitions_sheet
from resumectl.runner.baseline_runs import BaselineRuns
from resumectl.runner.trial_runner import TrialRunner
from resumectl.text import counted, literal


def points(common: Common, configured: ConfiguredSpec, doing: Activity) -> ExitCode:
    """Show all transitions of a run without a crash.

    Args:
        common: Options of the command.
        configured: The sweep spec, and where its options come from.
        doing: The line that shows progress.

    Raises:
        NothingProved: The target has no crash point; a sweep would be refused as well.
    """
    spec = configured.spec
    common.start_logging()
    with opened(common, configured, doing) as pool:
        runs = BaselineRuns.of(TrialRunner(pool, spec.target), {})
        with configured.locating_refusals():
            discover(runs, spec, doing)
        transitions = runs.judge.baseline.transitions
        runs.keep_discarded_contacts()
        contacts = sum((run.contacts for run in runs.judge.runs), Counter[str]())
    doing.stop()
    plans = crash_points(transitions)
    document = {
        "target": str(spec.target),
        **interpreter_document(spec.interpreters),
        "transitions": [
            {"name": t.name, "detail": t.detail, "commit": t.commit, "times": t.times}
            for t in transitions
        ],
        "crash_points": list(map(str, plans)),
        "outside": outside_document(spec.target.access, contacts),
    }
    if not common.as_json and transitions:
        for line in outside_lines(spec.target.access, contacts):
            console.show(Text(literal(line)))
        console.show(transitions_sheet(str(spec.target), transitions))
    try:
        refuse_none(plans, transitions, only=None, points_line="")
    except Refusal as refusal:
        refusal.document = document
        raise
    if common.as_json:
        json_documents.show(document)
        return ExitCode.DONE
    console.show(counted(len(plans), "crash point"))
    common.say("a sweep kills the process at each of them")
    common.say_next(command_line(Command.SWEEP, spec, str(Path.cwd())))
    return ExitCode.DONE
