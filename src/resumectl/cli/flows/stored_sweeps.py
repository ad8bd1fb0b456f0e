"""`check` and `sweeps`: show stored judgements, as `sweep` does at its end."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa

from resumectl.cli.common import Common
from resumectl.cli.flows.replay import exit_code
from resumectl.cli.report_files import write_reports
from resumectl.cli.spec_from_options import read_promises
from resumectl.cli.target_options import ReportOptions
from resumectl.database import failures_explained, open_engine
from resumectl.errors import ExitCode, Refusal
from resumectl.judge.crash_points import crash_points
from resumectl.judge.judge import Judge
from resumectl.judge.promises import refuse_unknown_promises
from resumectl.judge.stability import Judged, settled
from resumectl.model.verdict import Verdict
from resumectl.publishing.store.migration import ensure_migrated, is_readable
from resumectl.report import console, json_documents
from resumectl.report import sweep_tables as tables
from resumectl.report.page.comparison import Comparison, compare
from resumectl.report.page.sweep_page import SweepPage, sweep_page
from resumectl.report.sweep_result import SweepResult, seen_findings, sweep_result
from resumectl.runner.stored_sweep import StoredSweep, no_sweep
from resumectl.runner.sweep_ids import workflow_id_of
from resumectl.runner.sweep_store import SweepStore
from resumectl.runner.trial_store import REPEATED
from resumectl.settings import URL_VARIABLES


def result_of(store: SweepStore, sweep_id: int) -> SweepResult:
    """Return the result of a sweep, as its trials were judged when it ended."""
    with store.frozen() as seen:
        return _read(seen, sweep_id)[0]


def _read(store: SweepStore, sweep_id: int) -> tuple[SweepResult, Judge]:
    """Return the result of a sweep as it was judged when it ended, and the judge of its trials."""
    (stored,) = store.stored(sweep_id)
    judge = Judge.of_observed(stored.spec.promises, store.baselines(sweep_id))
    return _result(store, stored, store.trials(sweep_id).judged(stored.spec.crashes), judge), judge


def page_of(
    store: SweepStore, sweep_id: int, *, plan: str | None = None, against: int | None = None
) -> SweepPage:
    """Return what the page of a sweep shows.

    Args:
        store: Store of the sweeps.
        sweep_id: Number of the sweep.
        plan: Crash plan of the trials to show; None for all.
        against: Number of the sweep to compare with; None for none.

    Raises:
        Refusal: There is no such sweep, or it has no trial of this plan.
    """
    with store.frozen() as seen:
        result, judge = _read(seen, sweep_id)
        if plan is not None and all(each.plan != plan for each in result.trials):
            raise Refusal(
                f"sweep {sweep_id} has no trial {plan!r}",
                next_step=f"resumectl report {sweep_id}  shows all of its trials",
            )
        comparison = _compared(seen, against, result, judge) if against is not None else None
        return _page(seen, result, judge, plan, comparison)


def _compared(store: SweepStore, against: int, result: SweepResult, judge: Judge) -> Comparison:
    """Return what changed since another sweep of the same target.

    Raises:
        Refusal: There is no such sweep, or it is one of another target.
    """
    earlier, before = _read(store, against)
    if earlier.stored.target != result.stored.target:
        raise Refusal(
            f"sweep {against} is one of {earlier.stored.target}, not of {result.stored.target}",
            next_step="resumectl sweeps  lists the target of each",
        )
    points = [set(map(str, crash_points(each.baseline.transitions))) for each in (before, judge)]
    return compare(earlier, result, (points[0], points[1]), str(Path.cwd()))


def _page(
    store: SweepStore,
    result: SweepResult,
    judge: Judge,
    plan: str | None = None,
    comparison: Comparison | None = None,
) -> SweepPage:
    trials = store.trials(result.stored.id).observations(result.stored.spec.crashes)
    here = str(Path.cwd())
    return sweep_page(result, judge, trials, here, plan=plan, comparison=comparison)


def _contacts(store: SweepStore, stored: StoredSweep) -> Mapping[str, int]:
    """Return how often all runs of a sweep contacted each service on this machine."""
    found: Counter[str] = Counter()
    for run in store.baselines(stored.id):
        found += run.contacts
    for round_number in (REPEATED, *range(1, stored.spec.crashes + 1)):
        for each in store.trials(stored.id).judgements(round_number):
            found += Counter(each.contacts)
    return found


def _result(store: SweepStore, stored: StoredSweep, judged: Judged, judge: Judge) -> SweepResult:
    """Return the result of a sweep, read from the store at one moment."""
    spec = stored.spec
    is_over = stored.seconds is not None
    trials = store.trials(stored.id)
    seen = trials.observations_of({each.plan for each in seen_findings(judged)})
    return replace(
        sweep_result(stored, judged, judge, seen, _contacts(store, stored)),
        seconds=trials.seconds(spec.crashes),
        left_out=trials.not_run(spec.crashes) if is_over and spec.budget_s else [],
    )


def code_of(result: SweepResult) -> ExitCode:
    """Return the exit code of a command that shows the result."""
    code = exit_code(result.verdicts)
    is_whole = result.trials and len(result.trials) + len(result.left_out) == result.stored.planned
    return ExitCode.NOTHING_PROVED if code is ExitCode.DONE and not is_whole else code


def show(common: Common, result: SweepResult) -> ExitCode:
    """Show the result as tables or as a JSON document."""
    if common.as_json:
        json_documents.show(tables.sweep_document(result))
    else:
        console.show(*tables.sweep_view(result, common.retyped))
    kept_in = result.stored.spec.keep_in
    if kept_in and result.verdicts[Verdict.KEPT] < len(result.trials):
        common.say(f"the sandboxes of these trials are kept in {kept_in}")
    if len(result.trials) + len(result.left_out) < result.stored.planned:
        common.say_next(f"resumectl resume {workflow_id_of(result.stored.id)}  finishes it")
    return code_of(result)


def show_all(common: Common, results: Sequence[SweepResult]) -> ExitCode:
    """Print the document of one sweep, or one document with those of several."""
    if len(results) == 1:
        return show(common, results[0])
    json_documents.show({"sweeps": [tables.sweep_document(each) for each in results]})
    return code_of_all(results)


def code_of_all(results: Sequence[SweepResult]) -> ExitCode:
    """Return the exit code of a command that shows several results: that of the worst."""
    codes = [code_of(each) for each in results]
    worst = (ExitCode.PROMISE_BROKEN, ExitCode.UNSTABLE, ExitCode.NOTHING_PROVED, ExitCode.DONE)
    return next(code for code in worst if code in codes)


def check(
    common: Common, sweep_id: int, promises: Sequence[str], reports: ReportOptions
) -> ExitCode:
    """Judge the stored trials of a sweep again without running anything."""
    given = read_promises(promises)
    common.start_logging()
    with opened_to_read(common) as store:
        if store is None:
            raise no_sweep(sweep_id)
        with store.frozen() as seen:
            (stored,) = seen.stored(sweep_id)
            stored = stored.with_promises(given)
            judge = Judge.of_observed(stored.spec.promises, seen.baselines(sweep_id))
            refuse_unknown_promises(judge.promises, judge.baseline)
            trials = seen.trials(sweep_id)
            judged, again = (
                [judge.judge(trial) for _, trial in trials.observations(round_number)]
                for round_number in (stored.spec.crashes, REPEATED)
            )
            result = _result(seen, stored, settled(judged, again), judge)
            write_reports(reports, [result], lambda: [_page(seen, result, judge)])
    return show(common, result)


def sweeps(common: Common) -> ExitCode:
    """List all sweeps."""
    common.start_logging()
    with opened_to_read(common) as store:
        found = [] if store is None else store.stored()
    if common.as_json:
        json_documents.show({"sweeps": [tables.stored_document(each) for each in found]})
    else:
        console.show(tables.stored_sheet(found) if found else "nothing has been swept yet")
    return ExitCode.DONE


@contextmanager
def opened_to_read(common: Common) -> Iterator[SweepStore | None]:
    """Yield the sweep store; None if nothing is stored yet. Create no database."""
    settings = common.settings()
    if settings.is_sqlite and not settings.sqlite_path.exists():
        yield None
        return
    engine = open_engine(settings)
    try:
        with failures_explained(settings):
            with engine.connect() as connection:
                is_there = is_readable(connection)
            yield SweepStore(engine) if is_there else None
    finally:
        engine.dispose()


@contextmanager
def opened_store(common: Common) -> Iterator[sa.Engine]:
    """Yield an engine of the database with the sweeps, and turn its errors into refusals."""
    settings = common.settings()
    engine = open_engine(settings)
    try:
        with failures_explained(settings):
            is_first_use = ensure_migrated(settings, engine)
            if is_first_use and settings.url_source in URL_VARIABLES:
                # The target may read the same variable, and its database may still be empty.
                common.say(
                    f"resumectl's own database is {settings.shown_url} (from {settings.url_source})"
                )
            yield engine
    finally:
        engine.dispose()
