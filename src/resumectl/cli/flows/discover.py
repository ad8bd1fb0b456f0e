"""Run a target without a crash for the first time, and show the progress."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from resumectl.cli.common import Common
from resumectl.cli.configured_spec import ConfiguredSpec
from resumectl.model.events import Phase
from resumectl.model.sweep_spec import SweepSpec
from resumectl.report.activity import Activity
from resumectl.report.advice.advise import refusal_of
from resumectl.runner.baseline_runs import BaselineRuns, FailingBaseline
from resumectl.runner.trial_pool import TrialPool, open_trial_pool


@contextmanager
def opened(common: Common, configured: ConfiguredSpec, doing: Activity) -> Iterator[TrialPool]:
    """Open the fork servers and sandboxes of a command that runs one process at a time.

    Args:
        common: Options of the command.
        configured: The sweep spec, and where its options come from.
        doing: The line that shows progress.
    """
    spec = configured.spec
    say_opening(spec, doing)
    with ExitStack() as stack:
        with configured.locating_refusals():
            pool = stack.enter_context(open_trial_pool(common.settings(), spec, jobs=1))
        yield pool


def discover(runs: BaselineRuns, spec: SweepSpec, doing: Activity) -> None:
    """Run a target without a crash, and show the progress.

    Args:
        runs: Baseline runs of the target.
        spec: The sweep spec.
        doing: The line that shows progress.

    Raises:
        Refusal: The target has a problem without any crash.
    """

    def on_run(number: int, of: int) -> None:
        doing.say(
            lambda: (
                f"importing {spec.target}"
                if number == 1 and runs.runner.phase in (None, Phase.IMPORT)
                else f"baseline {number} of {of}"
            )
        )

    doing.say(f"importing {spec.target}")
    try:
        runs.discover(spec.timeout_s, on_run=on_run)
    except FailingBaseline as error:
        raise refusal_of(error.run, error.target, str(Path.cwd())) from None


def say_opening(spec: SweepSpec, doing: Activity) -> None:
    """Show what is done before the target runs."""
    command = spec.target.access.prepare
    doing.say("starting" if command is None else f"running --prepare {command!r}")
