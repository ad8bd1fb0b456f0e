"""Run the crash tests of one pytest process: fork servers, baselines and trials that they share."""

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

from rich.console import Console, RenderableType

from resumectl.cli.configured_spec import ConfiguredSpec
from resumectl.cli.option_spelling import respelled
from resumectl.errors import Refusal
from resumectl.judge.crash_points import crash_points, refuse_none, sample
from resumectl.judge.stability import Judged
from resumectl.model.codec import to_plain
from resumectl.model.crash_plan import CrashPlan, PlannedTrial
from resumectl.model.observation import Observation
from resumectl.model.sweep_spec import SweepSpec
from resumectl.model.verdict import Judgement
from resumectl.report import console
from resumectl.report.advice.advise import refusal_of
from resumectl.report.crash_test import sweep_view, trial_view
from resumectl.report.finding_text import note_text
from resumectl.report.replay_command import Command, command_line
from resumectl.report.source_lines import sources_of, step_definitions
from resumectl.runner.baseline_runs import BaselineRuns, FailingBaseline
from resumectl.runner.lab_directory import LAB_DIRECTORY
from resumectl.runner.trial_pool import TrialPool, open_trial_pool
from resumectl.runner.trial_runner import TrialRunner
from resumectl.settings import Settings
from resumectl.testing.declare import Declared
from resumectl.testing.page import Records
from resumectl.testing.point_cache import PointCache
from resumectl.testing.resolve import resolve
from resumectl.testing.results import CrashSweep, CrashTrial
from resumectl.testing.spelling import keyword, spelled_for_tests
from resumectl.text import literal, natural_key


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """Options of all crash tests of a session.

    Attributes:
        root: pytest's root directory.
        on: Kind of the trials' databases: `sqlite` or `postgres`.
        trials_max: Maximum number of crash points of each target; None for what its test says.
        seed: Random seed of that sample; None for what the test says.
        jobs: Number of trials that run at a time.
        width: Width of the terminal, in columns.
        is_colored: Whether the terminal shows colors.
        is_recorded: Whether the trials are kept, for a page.
        spool: Directory to which they are written at once, for another process; None to keep them here.
    """

    root: Path
    on: str
    trials_max: int | None
    seed: int | None
    jobs: int
    width: int
    is_colored: bool
    is_recorded: bool
    spool: Path | None


class CrashSession:
    """The crash tests of one pytest process; `close` ends all processes.

    Args:
        options: Options of all crash tests.

    Attributes:
        options: Options of all crash tests.
        records: The trials of the session, for a page.
        notes: Lines about the targets, for the end of the session.
    """

    def __init__(self, options: SessionOptions) -> None:
        self.options = options
        self._cache = PointCache(options.root / LAB_DIRECTORY)
        self._pools: dict[str, TrialPool] = {}
        self._targets: dict[str, CrashTarget] = {}
        self.records = Records(options.spool)
        self.notes: set[str] = set()

    def target(self, declared: Declared, module: ModuleType | None) -> "CrashTarget":
        """Return the target that a test declares; equal declarations share one.

        Raises:
            Refusal: The target or an option is invalid.
        """
        options = self.options
        with spelled_for_tests():
            configured = resolve(declared, module, options.root, options.on)
        spec = configured.spec
        limits = [each for each in (options.trials_max, spec.trials_max) if each is not None]
        spec = replace(spec, trials_max=min(limits, default=None), seed=options.seed or spec.seed)
        key = json.dumps([configured.name, to_plain(spec)], sort_keys=True)
        if key not in self._targets:
            self._targets[key] = CrashTarget(self, replace(configured, spec=spec))
        return self._targets[key]

    def plans(self, target: "CrashTarget") -> list[CrashPlan]:
        """Return the crash points of a target, as they are stored or as a baseline shows them.

        Args:
            target: The target.

        Raises:
            Refusal: The target cannot be run, or has no crash point.
        """
        with self._cache.locked():
            plans = self._cache.get(target.spec)
            if plans is None:
                plans = target.find_plans()
                if not self._cache.is_writable:
                    # Each worker of xdist finds them itself, and all must have the same order.
                    plans.sort(key=lambda plan: natural_key(str(plan)))
                self._cache.put(target.spec, plans, target.sources)
        chosen = sample(plans, target.spec.trials_max, target.spec.seed)
        if len(chosen) < len(plans):
            tested = f"crash points tested: {len(chosen)} of {len(plans)}, a random sample"
            self.notes.add(f"{literal(str(target.spec.target))}, {tested}")
        return chosen

    def sweep(self, declared: Declared, module: ModuleType | None) -> CrashSweep:
        """Run a trial for each crash point of a target."""
        target = self.target(declared, module)
        return target.sweep(self.plans(target))

    def pool(self, spec: SweepSpec) -> TrialPool:
        """Return fork servers and sandboxes for a target, which all targets of its kind share."""
        kind = [spec.on, spec.isolation, to_plain(spec.target.access), dict(spec.target.environ)]
        key = json.dumps(kind, sort_keys=True)
        if key not in self._pools:
            pool = open_trial_pool(Settings.resolve(), spec, jobs=self.options.jobs)
            self._pools[key] = pool
            pool.warm_up()
        return self._pools[key]

    def text(self, shown: Iterable[RenderableType]) -> str:
        """Return tables and texts as they fit the terminal."""
        file = io.StringIO()
        on = Console(
            file=file,
            width=self.options.width,
            force_terminal=self.options.is_colored,
            color_system="standard" if self.options.is_colored else None,
            markup=False,
            highlight=False,
            emoji=False,
        )
        console.show(*shown, on=on)
        return file.getvalue()

    def close(self) -> None:
        """End all trials, and all processes."""
        for target in self._targets.values():
            target.close()
        for pool in self._pools.values():
            pool.close()


class CrashTarget:
    """One target of crash tests. Its baseline is run when a test first needs it.

    Args:
        session: Session of the tests.
        configured: Sweep spec of the target, and where its options come from.

    Attributes:
        spec: Sweep spec of the target.
    """

    def __init__(self, session: CrashSession, configured: ConfiguredSpec) -> None:
        self._session = session
        self._configured = configured
        self.spec = configured.spec
        self._baseline: BaselineRuns | None = None
        self._failure: Refusal | None = None
        self._ahead: list[CrashPlan] = []  # plans whose tests come next, in their order
        self._running: dict[str, Future[Observation]] = {}
        self._executor = ThreadPoolExecutor(session.options.jobs, thread_name_prefix="crash-trial")

    # --- its baseline

    @property
    def baseline(self) -> BaselineRuns:
        """The uninterrupted runs of the target.

        Raises:
            Refusal: It has a problem without any crash.
        """
        if self._failure is not None:
            raise self._failure
        if self._baseline is None:
            try:
                with self._spelled():
                    self._baseline = self._run_baseline()
            except Refusal as refusal:
                self._failure = refusal  # so each test says it, and it is found out once
                raise
        return self._baseline

    @contextmanager
    def _spelled(self) -> Iterator[None]:
        """Name the options in what is refused inside as the project or the test spells them."""
        with spelled_for_tests(), self._configured.locating_refusals():
            yield

    def _run_baseline(self) -> BaselineRuns:
        spec = self.spec
        runner = TrialRunner(self._session.pool(spec), spec.target, spec.later, spec.downtime_s)
        runs = BaselineRuns.of(runner, spec.promises)
        try:
            runs.discover(spec.timeout_s)
        except FailingBaseline as error:
            root = str(self._session.options.root)
            raise refusal_of(error.run, error.target, root) from None
        return runs

    def find_plans(self) -> list[CrashPlan]:
        """Return a plan for each crash point of the baseline.

        Raises:
            Refusal: The target cannot be run, or has no crash point.
        """
        spec, transitions = self.spec, self.baseline.judge.baseline.transitions
        plans = crash_points(transitions, edge=spec.edge, only=spec.only)
        root = str(self._session.options.root)
        points_line = command_line(Command.POINTS, spec, root)
        with self._spelled():
            refuse_none(plans, transitions, spec.only, points_line=points_line)
        return plans

    @property
    def sources(self) -> dict[str, str]:
        """Imported files of the program, with their digests."""
        return sources_of(self.baseline.judge.runs)

    # --- its trials

    def expect(self, plans: Sequence[CrashPlan]) -> None:
        """Note the plans whose tests follow, so that trials run ahead of their tests."""
        self._ahead.extend(plans)

    def trial(self, plan: CrashPlan) -> CrashTrial:
        """Run a trial, with all repetitions that its findings need.

        Args:
            plan: Crash plan.

        Raises:
            Refusal: The target cannot be run.
        """
        observation = self._observe(plan)
        return self._results([observation], self.baseline.judged([observation]))[0]

    def _observe(self, plan: CrashPlan) -> Observation:
        if plan in self._ahead:
            del self._ahead[: self._ahead.index(plan)]
        if not self._ahead or self._ahead[0] != plan:
            self._ahead.insert(0, plan)
        for each in self._ahead[: self._session.options.jobs + 1]:
            self._start(each)
        self._ahead.pop(0)
        return self._running.pop(str(plan)).result()

    def _start(self, plan: CrashPlan) -> None:
        if str(plan) not in self._running:
            planned = PlannedTrial(0, plan)
            self._running[str(plan)] = self._executor.submit(self.baseline.runner.trial, planned)

    def sweep(self, plans: Sequence[CrashPlan]) -> CrashSweep:
        """Run a trial for each plan.

        Args:
            plans: Crash plans.
        """
        runs = self.baseline
        trials = [PlannedTrial(number, plan) for number, plan in enumerate(plans)]
        observations = list(self._executor.map(runs.runner.trial, trials))
        judged = runs.judged(observations)
        results = self._results(observations, judged)
        return CrashSweep(results, lambda: self._text(sweep_view(self.spec, judged, self._root)))

    def _results(self, observations: Sequence[Observation], judged: Judged) -> list[CrashTrial]:
        runs = self.baseline
        if any(each.plan == str(runs.judge.plan_for_retry) for each in observations):
            runs.let_client_retry()
        if self._session.options.is_recorded:
            self._session.records.add(self.spec, runs.judge, observations, judged)
        pairs = zip(observations, judged.trials, strict=True)
        return [self._result(trial, each, judged.repeated) for trial, each in pairs]

    def _result(
        self, observation: Observation, judgement: Judgement, repeated: Sequence[Judgement]
    ) -> CrashTrial:
        judge = self.baseline.judge
        named = judge.with_names(observation)
        retry = judge.retry_exposure
        if retry is not None and retry[1] == observation.plan:
            judgement = replace(judgement, exposures=(*judgement.exposures, retry[0]))
            note = respelled(note_text(retry[0].note), keyword)
            self._session.notes.add(literal(f"{self.spec.target}, exposure: {note}"))
        one = Judged([judgement], repeated)
        definitions = step_definitions(judge.runs)
        return CrashTrial(
            observation.plan,
            judgement,
            named,
            lambda: self._text(trial_view(self.spec, named, one, definitions, self._root)),
        )

    @property
    def _root(self) -> str:
        return str(self._session.options.root)

    def _text(self, shown: Iterable[RenderableType]) -> str:
        return self._session.text(shown)

    def close(self) -> None:
        """Start no further trial."""
        self._executor.shutdown(wait=False, cancel_futures=True)
