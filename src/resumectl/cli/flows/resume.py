"""`resume`: a new process takes up everything unfinished, sees it through, and shows how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from resumectl.cli.common import Common
from resumectl.cli.flows.publish import batch_ids, look_around, read, watched
from resumectl.database import failures_explained, open_engine
from resumectl.errors import ExitCode, Interrupted, MachineFailure, Refusal
from resumectl.publishing import records
from resumectl.publishing.dbos_tables import ENDED, RESUMABLE_BY_ID, UNFINISHED
from resumectl.publishing.migration import ensure_migrated
from resumectl.publishing.records import WorkflowSeen
from resumectl.publishing.runtime import Life
from resumectl.publishing.state import State, broken_promises
from resumectl.publishing.takeover import Survey
from resumectl.report import console, machine
from resumectl.report import publishing as tables
from resumectl.report.publishing import Resumed


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was recorded of some workflows at one moment."""

    statuses: Mapping[str, str]
    steps: Mapping[str, int]
    deliveries: Mapping[str, int]


def resume(common: Common, ids: Sequence[str], *, timeout_s: float | None) -> ExitCode:
    """Take up what is unfinished; with ids, only wait for these, ended ones included."""
    if timeout_s is not None and not timeout_s > 0:
        raise Refusal(f"the timeout {timeout_s} is not positive", next_step="as in  --timeout 60")
    common.start_logging()
    settings = common.settings()
    if settings.is_sqlite and not settings.sqlite_path.exists() and not ids:
        return _nothing(common, Survey((), (), ()), [])  # and no database is made to say so
    engine = open_engine(settings)
    with failures_explained(settings):
        ensure_migrated(settings, engine)
        survey = look_around(settings, engine)
        named = _named(common, ids) if ids else []
        if (survey.is_empty or ids) and not _takeable(named, survey):
            engine.dispose()
            return _nothing(common, survey, named)
        wanted = _takeable(named, survey) if ids else _all(survey)
        before = _snapshot(common, wanted)
    engine.dispose()
    in_time = _live(common, wanted, before, timeout_s=timeout_s)
    code = _show(common, wanted, before, survey)
    if not in_time:
        raise MachineFailure(
            f"not everything has ended within {timeout_s} s", next_step="resumectl resume"
        )
    return code


def _all(survey: Survey) -> list[str]:
    ids = [each.workflow_id for each in survey.available]
    return list(dict.fromkeys([*batch_ids(survey), *ids]))


def _named(common: Common, ids: Sequence[str]) -> list[WorkflowSeen]:
    """The named workflows and, of batches, their messages.

    Raises:
        Refusal: One of them does not exist.
    """
    settings = common.settings()
    engine = open_engine(settings)
    with engine.connect() as connection:
        found = (
            records.list_workflows(connection, workflow_ids=ids)
            if records.has_dbos_tables(connection, settings)
            else []
        )
        children = records.list_workflows(connection, parents=ids) if found else []
    engine.dispose()
    missing = [each for each in ids if each not in {w.id for w in found}]
    if missing:
        raise Refusal(f"there is no workflow {missing[0]}", next_step="resumectl list-workflows")
    return [*children, *found]


def _takeable(named: Sequence[WorkflowSeen], survey: Survey) -> list[str]:
    blocked = {each.workflow.workflow_id for each in survey.blocked}
    return [
        w.id for w in named if w.id not in blocked and w.status in (*UNFINISHED, *RESUMABLE_BY_ID)
    ]


def _snapshot(common: Common, ids: Sequence[str]) -> Snapshot:
    settings = common.settings()
    engine = open_engine(settings)
    try:
        with failures_explained(settings), engine.connect() as connection:
            if not records.has_dbos_tables(connection, settings):
                return Snapshot({}, {}, {})
            return Snapshot(
                records.statuses(connection, ids),
                records.recorded_steps(connection, ids),
                records.deliveries_made(connection, ids),
            )
    finally:
        engine.dispose()


def _live(
    common: Common, wanted: Sequence[str], before: Snapshot, *, timeout_s: float | None
) -> bool:
    revived = [each for each in wanted if before.statuses.get(each) in RESUMABLE_BY_ID]
    try:
        with Life(common.settings(), "resume") as life:
            life.adopt()
            life.revive(revived)
            life.start_unstarted()
            with watched(common, life, list(wanted)) as progress:
                return life.wait(wanted, timeout_s=timeout_s, every_poll=progress.poll)
    except KeyboardInterrupt:
        raise Interrupted(
            "what is unfinished stays so, and nothing of it is lost", next_step="resumectl resume"
        ) from None


def _rows(wanted: Sequence[str], before: Snapshot, after: Snapshot) -> list[Resumed]:
    return [
        Resumed(
            workflow_id=each,
            before=before.statuses.get(each, "NOT_STARTED"),
            after=after.statuses.get(each, "NOT_STARTED"),
            replayed=before.steps.get(each, 0),
            executed=after.steps.get(each, 0) - before.steps.get(each, 0),
            repeated=max(0, after.deliveries.get(each, 0) - 1)
            - max(0, before.deliveries.get(each, 0) - 1),
        )
        for each in sorted(wanted, key=records.natural_order)
    ]


def _show(common: Common, wanted: Sequence[str], before: Snapshot, survey: Survey) -> ExitCode:
    rows = _rows(wanted, before, _snapshot(common, wanted))
    ids = sorted(set(wanted) | {each.rpartition("-")[0] for each in wanted})
    state = read(common.settings(), ids)
    if common.as_json:
        machine.show(
            {
                **machine.state_document(state),
                "workflows": [machine.resumed_document(row) for row in rows],
                "blocked": [machine.blocked_document(each) for each in survey.blocked],
            }
        )
    else:
        console.show(tables.resumed_sheet(rows), *tables.resumed_totals(rows))
        batches = list(state.batches)
        console.show(tables.batches_sheet(batches, title="Batches", totals=None))
        console.show(*tables.failures(batches), *tables.blocked_lines(survey.blocked))
        console.show(tables.verdict_line(state))
    broken = any(broken_promises(batch) for batch in state.batches)
    return ExitCode.PROMISE_BROKEN if broken else ExitCode.DONE


def _nothing(common: Common, survey: Survey, named: Sequence[WorkflowSeen]) -> ExitCode:
    ended = [w for w in reversed(named) if w.status in ENDED]  # before its messages, a batch
    if common.as_json:
        machine.show(
            {
                **machine.state_document(State(())),
                "workflows": [],
                "blocked": [machine.blocked_document(each) for each in survey.blocked],
            }
        )
    else:
        console.show("nothing to resume", *tables.blocked_lines(survey.blocked))
        for workflow in ended[:1]:
            common.say(f"{workflow.id} has ended: {workflow.status}")
            common.say(f"next:  resumectl fork {workflow.id} --from-step N  begins it again")
    return ExitCode.DONE
