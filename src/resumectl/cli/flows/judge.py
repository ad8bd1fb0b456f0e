"""`check`, `sweeps`, and what `sweep` shows in the end: judgements that are in the archive."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import sqlalchemy as sa

from resumectl.cli.common import Common
from resumectl.cli.flows.experiment import exit_code
from resumectl.cli.subject import read_promises
from resumectl.database import failures_explained, open_engine
from resumectl.errors import ExitCode
from resumectl.judge.concurrency import is_concurrent
from resumectl.judge.experiment import Experiment
from resumectl.judge.stability import Judged, settled
from resumectl.judge.target_settings import settings_of_target
from resumectl.model.observation import Verdict
from resumectl.publishing.migration import ensure_migrated, is_readable
from resumectl.report import console, machine
from resumectl.report import sweep as tables
from resumectl.report.sweep_result import SweepResult
from resumectl.runner.sweep_store import REPEATED, Archive, SweepKept, no_sweep
from resumectl.settings import URL_VARIABLES


def result_of(archive: Archive, sweep_id: int) -> SweepResult:
    """What a sweep proved, as its trials were judged when it ended."""
    with archive.frozen() as seen:
        (kept,) = seen.kept(sweep_id)
        judged = seen.judged(sweep_id, kept.specification.deaths)
        runs = seen.baselines(sweep_id)
        contacts = _contacts(seen, kept)
    experiment = Experiment.of_observed(None, kept.specification.promises, runs)
    return _result(kept, judged, experiment, contacts)


def _contacts(archive: Archive, kept: SweepKept) -> Mapping[str, int]:
    """Return how often all runs of a sweep contacted the services on this machine."""
    found: Counter[str] = Counter()
    for run in archive.baselines(kept.id):
        found += run.contacts
    for round_number in (REPEATED, *range(1, kept.specification.deaths + 1)):
        for each in archive.judgements(kept.id, round_number):
            found += Counter(each.contacts)
    return found


def _result(
    kept: SweepKept, judged: Judged, experiment: Experiment, contacts: Mapping[str, int]
) -> SweepResult:
    settings = tuple(settings_of_target(experiment.runs, later=later) for later in (False, True))
    masked = experiment.baseline.not_compared
    return SweepResult(
        kept,
        judged,
        masked,
        (settings[0], settings[1]),
        any(map(is_concurrent, experiment.runs)),
        contacts,
    )


def code_of(result: SweepResult) -> ExitCode:
    """What a command ends with that shows it."""
    code = exit_code(result.verdicts)
    is_whole = len(result.trials) == result.kept.planned
    return ExitCode.NOTHING_PROVED if code is ExitCode.DONE and not is_whole else code


def show(common: Common, result: SweepResult) -> ExitCode:
    """Show it, in tables or as a document."""
    if common.as_json:
        machine.show(tables.sweep_document(result))
    else:
        console.show(*tables.sweep_view(result, common.retyped))
    kept_in = result.kept.specification.keep_in
    if kept_in and result.verdicts[Verdict.KEPT] < len(result.trials):
        common.say(f"what these trials left is kept in {kept_in}")
    return code_of(result)


def check(common: Common, sweep_id: int, promises: Sequence[str]) -> ExitCode:
    """Judge what a sweep observed once more, without running anything."""
    given = read_promises(promises)
    common.start_logging()
    with _looked_at(common) as archive:
        if archive is None:
            raise no_sweep(sweep_id)
        with archive.frozen() as seen:
            (kept,) = seen.kept(sweep_id)
            runs = seen.baselines(sweep_id)
            trials, repeated = (
                seen.observations(sweep_id, round_number)
                for round_number in (kept.specification.deaths, REPEATED)
            )
            contacts = _contacts(seen, kept)
        # As if it had been told these, so that the replay lines name them too.
        told = replace(kept.specification, promises={**kept.specification.promises, **given})
        experiment = Experiment.of_observed(None, told.promises, runs)
        experiment.refuse_unknown_promises()
        judged, again = (
            [experiment.judge(trial) for _, trial in each] for each in (trials, repeated)
        )
    asked = replace(kept, specification=told)
    return show(common, _result(asked, settled(judged, again), experiment, contacts))


def sweeps(common: Common) -> ExitCode:
    """List what has been swept."""
    common.start_logging()
    with _looked_at(common) as archive:
        found = [] if archive is None else archive.kept()
    if common.as_json:
        machine.show({"sweeps": [tables.kept_document(each) for each in found]})
    else:
        console.show(tables.kept_sheet(found) if found else "nothing has been swept yet")
    return ExitCode.DONE


@contextmanager
def _looked_at(common: Common) -> Iterator[Archive | None]:
    """The archive; None where nothing has been written yet. Looking creates no database."""
    settings = common.settings()
    if settings.is_sqlite and not settings.sqlite_path.exists():
        yield None
        return
    engine = open_engine(settings)
    try:
        with failures_explained(settings):
            with engine.connect() as connection:
                is_there = is_readable(connection)
            yield Archive(engine) if is_there else None
    finally:
        engine.dispose()


@contextmanager
def archived(common: Common) -> Iterator[sa.Engine]:
    """An engine on the database with the archive; what fails in it is said in two parts."""
    settings = common.settings()
    engine = open_engine(settings)
    try:
        with failures_explained(settings):
            is_first_use = ensure_migrated(settings, engine)
            if is_first_use and settings.url_source in URL_VARIABLES:
                # The program under test may read the variable too, its database be empty still.
                common.say(
                    f"resumectl's own database is {settings.shown_url} (from {settings.url_source})"
                )
            yield engine
    finally:
        engine.dispose()
