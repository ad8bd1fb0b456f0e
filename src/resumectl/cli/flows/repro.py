"""`repro`: shrink a broken trial, and write a file that shows it again with dbos alone."""

import itertools
import os
import re
import signal
import subprocess
import tokenize
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from resumectl.cli.common import Common
from resumectl.cli.configured_spec import ConfiguredSpec
from resumectl.cli.flows.discover import opened
from resumectl.cli.flows.stored_sweeps import opened_to_read, result_of
from resumectl.errors import ExitCode, MachineFailure, NothingProved, Refusal
from resumectl.judge.smaller_values import smaller_arguments
from resumectl.model.codec import Plain
from resumectl.model.crash_plan import CrashPlan, PlannedTrial
from resumectl.model.events import ClientStarted, ProgramDescribed
from resumectl.model.observation import Observation
from resumectl.model.sweep_spec import SweepSpec
from resumectl.model.target import Target
from resumectl.model.verdict import Finding, Verdict
from resumectl.report import json_documents
from resumectl.report.activity import Activity
from resumectl.report.advice.advise import refusal_of
from resumectl.report.finding_text import evidence_text
from resumectl.report.replay_command import Command, command_line
from resumectl.report.repro.issue_file import issue_text
from resumectl.report.repro.publishable import other_libraries, parts_of_resumectl, publishable
from resumectl.report.repro.repro_file import Reproduction, look_at, repro_text
from resumectl.report.repro.story import story_of
from resumectl.report.sweep_result import SeenFinding, SweepResult
from resumectl.runner.baseline_runs import BaselineRuns, FailingBaseline
from resumectl.runner.stored_sweep import no_sweep
from resumectl.runner.trial_pool import TrialPool
from resumectl.runner.trial_runner import TrialRunner
from resumectl.text import counted

_RUN_MAX_S = 600
_ERROR_LINE = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit)\b.*")
_CODING = re.compile(r"^(\s*#.*?coding[:=]\s*)[-\w.]+")
_SHRINK_MAX = 24  # trials with smaller arguments
_FAILED = (Verdict.BROKEN, Verdict.UNSTABLE)
_TRIES = 3  # for a finding that depends on chance


def repro(
    common: Common, trial: tuple[int, str | None], directory: Path, doing: Activity, *, runs: int
) -> ExitCode:
    """Write repro.py and ISSUE.md for a broken trial of a sweep."""
    common.start_logging()
    if directory.exists() and not directory.is_dir():
        raise Refusal(f"--output {directory} is a file", next_step="name a directory for the files")
    result, seen = _chosen(common, trial)
    spec = result.stored.spec
    _refuse_what_needs_more(spec)
    with opened(common, ConfiguredSpec(spec), doing) as pool:
        simplest = _simplest(pool, spec, seen, doing)
        found = _reproduction(simplest)
    doing.say("writing repro.py")
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "repro.py"
    file.write_text(repro_text(found, str(_root(spec.target))), encoding="utf-8")
    fails = _count_failures(found, file, runs, doing)
    doing.stop()
    if not fails:
        again = command_line(Command.REPLAY, spec, str(Path.cwd()), plan=str(found.plan))
        raise NothingProved(
            f"{file} shows the finding in none of {counted(runs, 'run')}, so there is no ISSUE.md",
            next_step=f"{again}  shows it with resumectl",
        )
    story = _public(story_of(simplest.trial), spec.target)
    text = issue_text(found, story=story, fails=fails, runs=runs)
    (directory / "ISSUE.md").write_text(text, encoding="utf-8")
    return _say(common, found, file, fails, runs)


def _chosen(common: Common, trial: tuple[int, str | None]) -> tuple[SweepResult, SeenFinding]:
    """Return the sweep, and the finding to show: of the plan after the colon, or the first one."""
    number, plan = trial
    with opened_to_read(common) as store:
        if store is None:
            raise no_sweep(number)
        result = result_of(store, number)
    found = next(_findings(result, plan), None)
    if found is None:
        what = f"at {plan}" if plan else "in it"
        raise Refusal(
            f"sweep {number} has no finding {what}", next_step=f"resumectl check {number}"
        )
    return result, found


def _findings(result: SweepResult, plan: str | None) -> Iterator[SeenFinding]:
    """Yield the findings of a crash plan, or those of the sweep; stable ones and causes first."""
    if plan:
        for trial in result.trials:
            if trial.plan == plan:
                yield from (SeenFinding(each, plan, 1, None) for each in trial.findings)
        return
    yield from sorted(
        result.findings,
        key=lambda each: (each.repeated.endswith("unstable"), each.cause is not None),
    )


def _refuse_what_needs_more(spec: SweepSpec) -> None:
    """Refuse a target that dbos alone cannot run."""
    target = spec.target
    if target.entry is None:
        raise Refusal(
            "the built-in publisher needs resumectl", next_step="sweep a program of your own"
        )
    access = target.access
    in_the_way = {
        "--on postgres": spec.on != "sqlite",
        "--redirect": access.redirects,
        "--prepare": access.prepare,
        "another program or version after the crash": spec.later != target,
    }
    found = [what for what, is_used in in_the_way.items() if is_used]
    if found:
        raise Refusal(
            f"the sweep was made with {', '.join(found)}; a repro.py has one release of the program, "
            "on SQLite, and no other database",
            next_step="sweep the target without that",
        )


@dataclass(frozen=True, slots=True)
class _Shown:
    """A trial that shows the finding.

    Attributes:
        spec: Spec of the sweep, with the arguments of the trial.
        baseline: Uninterrupted runs with these arguments.
        plan: Its crash plan, with one crash.
        finding: The finding.
        trial: Its observation, with names.
    """

    spec: SweepSpec
    baseline: BaselineRuns
    plan: CrashPlan
    finding: Finding
    trial: Observation


def _simplest(pool: TrialPool, spec: SweepSpec, seen: SeenFinding, doing: Activity) -> _Shown:
    """Return the simplest trial that shows a finding: one crash, and small arguments.

    Raises:
        NothingProved: No trial with one crash shows it.
    """
    doing.say(f"trial of {seen.plan}")
    plans = [CrashPlan((crash,)) for crash in CrashPlan.parse(seen.plan).crashes]
    stable = (_show(pool, spec, plan, seen.finding, Verdict.BROKEN) for plan in plans)
    found = next(filter(None, stable), None)
    if found is None:
        tries = (
            _show(pool, spec, plan, seen.finding, *_FAILED) for _ in range(_TRIES) for plan in plans
        )
        found = next(filter(None, tries), None)
        if found is None:
            raise NothingProved(
                f"no trial with one crash of {seen.plan} shows the finding again",
                next_step=f"see how often it occurs:  "
                f"{command_line(Command.REPLAY, spec, str(Path.cwd()), plan=seen.plan)} --times 10",
            )
        return found
    left = _SHRINK_MAX
    is_smaller = True
    while is_smaller and left:
        is_smaller = False
        for args in itertools.islice(smaller_arguments(found.spec.target.args), left):
            left -= 1
            doing.say(f"smaller arguments, {_SHRINK_MAX - left} of at most {_SHRINK_MAX}")
            other = _with_arguments(found.spec, args)
            try:
                smaller = _show(pool, other, found.plan, seen.finding, Verdict.BROKEN)
            except Refusal:  # the program does not take such arguments
                continue
            if smaller is not None:
                found, is_smaller = smaller, True
                break
    return found


def _with_arguments(spec: SweepSpec, args: Sequence[Plain]) -> SweepSpec:
    return replace(
        spec, target=replace(spec.target, args=args), later=replace(spec.later, args=args)
    )


def _show(
    pool: TrialPool, spec: SweepSpec, plan: CrashPlan, finding: Finding, *verdicts: Verdict
) -> _Shown | None:
    """Return a trial that shows the finding and has one of these verdicts; None if it does not."""
    runner = TrialRunner(pool, spec.target, spec.later, spec.downtime_s)
    baseline = BaselineRuns.of(runner, spec.promises)
    try:
        baseline.discover(spec.timeout_s)
    except FailingBaseline as error:
        refusal = refusal_of(error.run, error.target, str(Path.cwd()))
        raise NothingProved(refusal.what, next_step=refusal.next_step) from None
    except NothingProved:
        raise
    except Refusal as refusal:  # such as a promise for a step that is no longer there
        raise NothingProved(refusal.what, next_step=refusal.next_step) from None
    trial = runner.trial(PlannedTrial(0, plan))
    (judgement,) = baseline.judged([trial]).trials
    same = [each for each in judgement.findings if _topic(each) == _topic(finding)]
    if judgement.verdict not in verdicts or not same:
        return None
    return _Shown(spec, baseline, plan, same[0], baseline.judge.with_names(trial))


def _topic(finding: Finding) -> tuple[str, str]:
    """Return the kind and subject of a finding, without the arguments of an effect."""
    return finding.kind, finding.subject.partition("(")[0]


def _reproduction(shown: _Shown) -> Reproduction:
    target, finding = shown.spec.target, shown.finding
    described = shown.baseline.judge.runs[0].final.last(ProgramDescribed)
    root = _root(target)
    sources = {}
    for path in described.sources if described is not None else ():
        if not Path(path).is_relative_to(root):
            raise Refusal(
                f"the program imports {path}, which is outside of {root}",
                next_step="sweep it from a directory that holds all of its files",
            )
        sources[str(Path(path).relative_to(root))] = _source(path)
    if parts := parts_of_resumectl(sources):
        raise Refusal(
            f"the program imports {', '.join(parts)}, which dbos alone does not have",
            next_step="sweep the module of the workflow without its tests",
        )
    look = " ".join(look_at(finding))
    if _public(look, target) != look:
        raise Refusal(
            f"what shows the finding has a value of --env or a path in it: {_public(look, target)}",
            next_step="sweep again with a value that others may read",
        )
    interpreters = shown.spec.interpreters
    assert interpreters is not None
    return Reproduction(
        target=target,
        client=shown.baseline.runner.client,
        plan=shown.plan,
        finding=finding,
        title=_public(
            f"{finding.kind} {finding.subject}: {evidence_text(finding.evidence)}", target
        ),
        sources=sources,
        starts=frozenset(each.workflow for each in shown.trial.all(ClientStarted)),
        dbos=interpreters.first.dbos,
        python=interpreters.first.python,
        interpreter=interpreters.first.path,
        libraries=other_libraries(sources),
    )


def _public(text: str, target: Target) -> str:
    return publishable(text, str(_root(target)), target.environ)


def _source(path: str) -> str:
    """Return the text of a file of the program, which the file writes in UTF-8."""
    with tokenize.open(path) as file:
        lines = file.read().splitlines(keepends=True)
    # Python reads the encoding in the first two lines.
    return "".join([*(_CODING.sub(r"\1utf-8", line) for line in lines[:2]), *lines[2:]])


def _root(target: Target) -> Path:
    """Return the directory from which the program is imported."""
    module = target.entry[0] if target.entry is not None else ""
    if not module.endswith(".py"):
        return Path.cwd()
    directory = Path(module).parent
    while (directory / "__init__.py").exists():
        directory = directory.parent
    return directory


def _count_failures(found: Reproduction, file: Path, runs: int, doing: Activity) -> int:
    """Run the file, and return how often it showed the finding."""
    given = {name: found.target.environ[name] for name in found.needs}
    codes: list[int] = []
    running: set[subprocess.Popen[str]] = set()

    def run(_number: int) -> int:
        ran = subprocess.Popen(
            [found.interpreter, str(file.absolute())],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **given},
            start_new_session=True,  # with its own processes
        )
        running.add(ran)
        out, err = ran.communicate(timeout=_RUN_MAX_S)
        running.discard(ran)
        if out.splitlines()[-1:] not in (["BROKEN"], ["KEPT"]):
            raise MachineFailure(
                f"{file} does not run: {_public(_error_in(err), found.target)}",
                next_step=f"python {file}  shows all that it prints",
            )
        return ran.returncode

    try:
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            try:
                for code in pool.map(run, range(runs)):
                    codes.append(code)
                    doing.say(f"run {len(codes)} of {runs} of repro.py")
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for each in list(running):
                    with suppress(ProcessLookupError):  # it has just ended
                        os.killpg(each.pid, signal.SIGKILL)
                raise
    except subprocess.TimeoutExpired:
        raise MachineFailure(
            f"{file} does not end within {_RUN_MAX_S} s", next_step=f"run it:  python {file}"
        ) from None
    return sum(codes)


def _error_in(text: str) -> str:
    """Return the error of the program in what the file has printed, or the last line."""
    lines = [line for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if _ERROR_LINE.match(line)]
    own = [line for line in errors if not line.startswith("AssertionError: ")]
    return (own or errors or lines or ["it prints nothing"])[-1]


def _say(common: Common, found: Reproduction, file: Path, fails: int, runs: int) -> ExitCode:
    if common.as_json:
        json_documents.show(
            {
                "file": str(file),
                "plan": str(found.plan),
                "fails": fails,
                "runs": runs,
                "title": found.title,
            }
        )
    else:
        print(f"{file} and ISSUE.md: {found.title}")
        print(f"{fails} of {counted(runs, 'run')} of repro.py fail")
        common.say_next(f"python {file}")
    return ExitCode.DONE
