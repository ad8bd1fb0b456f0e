"""`selftest`: sweep known mistakes and their corrected versions, and check each verdict."""

import ast
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from resumectl.cli.common import Common
from resumectl.errors import ExitCode, MachineFailure
from resumectl.judge.crash_points import crash_points
from resumectl.model.crash_plan import PlannedTrial
from resumectl.model.observation import Observation
from resumectl.model.target import Target
from resumectl.model.verdict import Judgement, Verdict
from resumectl.report import console, json_documents
from resumectl.report import selftest_table as tables
from resumectl.report.progress import WorkDone, progress_bar
from resumectl.runner.baseline_runs import BaselineRuns
from resumectl.runner.fork_servers import ForkServers
from resumectl.runner.trial_pool import TrialPool, run_trials
from resumectl.runner.trial_runner import TrialRunner

# Maximum duration of a process whose mistake leaves its workflow stuck, in seconds.
_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class Pitfall:
    """One file of the collection. Only target processes import it; this process reads it."""

    path: Path
    finding: (
        str | None
    )  # kind of finding of the mistake; None if the file has only a corrected version

    @classmethod
    def read(cls, path: Path) -> "Pitfall":
        """Read the pitfall in a file."""
        for line in ast.parse(path.read_text()).body:
            if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "FINDING":
                finding = ast.literal_eval(line.value)
                return cls(path, finding)
        raise LookupError(f"{path} names no FINDING")


def pitfalls() -> list[Pitfall]:
    """Return the collection, from the wheel or from a checkout."""
    package = Path(__file__).parents[2]
    shipped = package / "pitfalls"
    directory = shipped if shipped.is_dir() else package.parents[1] / "examples" / "pitfalls"
    return [Pitfall.read(path) for path in sorted(directory.glob("*.py"))]


def selftest(common: Common, *, jobs: int) -> ExitCode:
    """Sweep all pitfalls: a mistake until it is found, a corrected version to the end."""
    rows: list[tables.SelftestRow] = []
    collection = pitfalls()
    if not collection:
        raise MachineFailure("the pitfalls are not installed", next_step="install resumectl again")
    cases = [
        (each, scenario)
        for each in collection
        for scenario in (("mistake", "corrected") if each.finding else ("corrected",))
    ]

    def look() -> WorkDone:
        right = sum(row.is_right for row in rows)
        return WorkDone(
            f"as expected {right}, otherwise {len(rows) - right}", len(rows), len(cases)
        )

    common.start_logging()
    with (
        progress_bar([look], hidden=common.verbose) as progress,
        TrialPool(ForkServers(), jobs=jobs) as pool,
        ThreadPoolExecutor(jobs, thread_name_prefix="pitfall") as threads,
    ):
        begun = [threads.submit(_tried, pool, *case) for case in cases]
        try:
            for each in begun:
                rows.append(each.result())
                progress.look()
        finally:
            threads.shutdown(cancel_futures=True)  # after Ctrl-C: those that have not begun
    if common.as_json:
        json_documents.show(tables.selftest_document(rows))
    else:
        console.show(*tables.selftest_view(rows))
    return ExitCode.DONE if all(row.is_right for row in rows) else ExitCode.PROMISE_BROKEN


def _tried(pool: TrialPool, pitfall: Pitfall, scenario: str) -> tables.SelftestRow:
    return _row(pitfall, scenario, _swept(pool, pitfall, scenario))


def _swept(pool: TrialPool, pitfall: Pitfall, scenario: str) -> Sequence[Judgement]:
    runner = TrialRunner(pool, Target(entry=(str(pitfall.path), scenario)))
    runs = BaselineRuns.of(runner, {})
    runs.discover()
    if scenario == "mistake":
        runner.timeout_s = _TIMEOUT_S * pool.slowness
    trials: list[Observation] = []

    def on_trial(_number: int, trial: Observation) -> bool:
        trials.append(trial)
        found = {finding.kind for finding in runs.judge.judge(trial).findings}
        return scenario == "corrected" or pitfall.finding not in found

    plans = [
        PlannedTrial(number, plan)
        for number, plan in enumerate(crash_points(runs.judge.baseline.transitions))
    ]
    run_trials(runner, plans, jobs=1, on_trial=on_trial)
    return runs.judged(trials, repeat=scenario == "corrected").trials


def _row(pitfall: Pitfall, scenario: str, judged: Sequence[Judgement]) -> tables.SelftestRow:
    kinds = sorted({str(f.kind) for j in judged for f in j.findings})
    verdicts = {j.verdict for j in judged}
    expected = pitfall.finding if scenario == "mistake" else None
    is_right = expected in kinds if expected else verdicts == {Verdict.KEPT}
    plans = [j.plan for j in judged if (j.findings if expected is None else _shows(j, expected))]
    return tables.SelftestRow(
        pitfall.path.stem, scenario, expected, tuple(kinds), len(judged), is_right,
        plans[0] if plans else "",
    )  # fmt: skip


def _shows(judgement: Judgement, kind: str) -> bool:
    return any(finding.kind == kind for finding in judgement.findings)
