"""`resume`: take up everything unfinished, wait for its end, and show the result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from resumectl.cli.common import Common
from resumectl.cli.flows import stored_sweeps, sweep
from resumectl.cli.flows.publish import look
from resumectl.database import failures_explained, open_engine
from resumectl.errors import ExitCode, Interrupted, MachineFailure, Refusal
from resumectl.publishing.runtime import Runtime
from resumectl.publishing.store import records, takeover, unfinished, workflows
from resumectl.publishing.store.dbos_tables import has_dbos_tables
from resumectl.publishing.store.migration import ensure_migrated
from resumectl.publishing.store.state import State, broken_promises
from resumectl.publishing.store.takeover import Survey
from resumectl.publishing.store.view import View, viewing
from resumectl.publishing.store.workflows import WorkflowFilter, WorkflowSeen
from resumectl.report import console, json_documents
from resumectl.report import publisher_tables as tables
from resumectl.report.progress import progress_bar
from resumectl.report.publisher_tables import Resumed
from resumectl.report.sweep_tables import sweep_document, sweep_view
from resumectl.runner import sweep_workflow
from resumectl.runner.sweep_ids import sweep_ids, workflow_id_of
from resumectl.runner.sweep_store import SweepStore
from resumectl.runner.sweep_worker import SweepWorker
from resumectl.settings import Settings
from resumectl.statuses import ENDED, RESUMABLE_BY_ID, UNFINISHED
from resumectl.text import natural_key


@dataclass(frozen=True, slots=True)
class Recorded:
    """The records of some workflows at one moment."""

    statuses: Mapping[str, str]
    steps: Mapping[str, int]
    deliveries: Mapping[str, int]
    batches: Sequence[str]  # batches that they deliver


def resume(common: Common, ids: Sequence[str], *, timeout_s: float | None) -> ExitCode:
    """Take up everything unfinished, and wait for the workflows that the ids name, or for all."""
    if timeout_s is not None and not timeout_s > 0:
        raise Refusal(f"the timeout {timeout_s} is not positive", next_step="as in  --timeout 60")
    common.start_logging()
    settings = common.settings()
    if settings.is_sqlite and not settings.sqlite_path.exists():  # create none
        if ids:
            raise _no_workflow(ids[0])
        return _nothing(common, Survey((), (), ()), [])
    engine = open_engine(settings)
    with failures_explained(settings):
        ensure_migrated(settings, engine)
        with viewing(settings, engine) as view:
            survey = _retyped(common, takeover.survey(view, settings))
            named = _named(view, settings, ids) if ids else []
            wanted = _takeable(named, survey) if ids else _all(survey)
            before = _recorded(view, settings, wanted)
        if not wanted:
            engine.dispose()
            return _nothing(common, survey, named)
        sweep_workflow.update_queues(settings, engine, sweep_ids(wanted))
    engine.dispose()
    in_time = _run(common, wanted, before, timeout_s=timeout_s)
    return _show(common, wanted, before, survey, late_after_s=None if in_time else timeout_s)


def _retyped(common: Common, survey: Survey) -> Survey:
    blocked = (replace(b, next_step=common.retyped(b.next_step)) for b in survey.blocked)
    return replace(survey, blocked=tuple(blocked))


def _all(survey: Survey) -> list[str]:
    # Without the batches of these: a cancelled batch is resumed only by its id.
    return [*(each.workflow_id for each in survey.available), *survey.unstarted]


def _named(view: View, settings: Settings, ids: Sequence[str]) -> list[WorkflowSeen]:
    """Return the named workflows and, for batches, those of their messages.

    Raises:
        Refusal: A named workflow does not exist.
    """
    found: list[WorkflowSeen] = []
    children: list[WorkflowSeen] = []
    if has_dbos_tables(view.connection, settings):
        found = workflows.list_workflows(view.connection, WorkflowFilter(workflow_ids=ids))
        children = workflows.list_workflows(view.connection, WorkflowFilter(parents=ids))
    missing = [each for each in ids if each not in {w.id for w in found}]
    if missing:
        raise _no_workflow(missing[0])
    return [*children, *found]


def _no_workflow(workflow_id: str) -> Refusal:
    return Refusal(f"there is no workflow {workflow_id}", next_step="resumectl list-workflows")


def _takeable(named: Sequence[WorkflowSeen], survey: Survey) -> list[str]:
    blocked = {each.workflow.workflow_id for each in survey.blocked}
    return [
        w.id for w in named if w.id not in blocked and w.status in (*UNFINISHED, *RESUMABLE_BY_ID)
    ]


def _recorded(view: View, settings: Settings, ids: Sequence[str]) -> Recorded:
    if not has_dbos_tables(view.connection, settings):
        return Recorded({}, {}, {}, ids)
    origins = unfinished.origins(view.connection, ids)
    return Recorded(
        workflows.statuses(view.connection, ids),
        workflows.recorded_steps(view.connection, ids),
        records.deliveries_made(view.connection, origins),
        sorted({each.batch_id for each in origins.values()}),
    )


def _run(
    common: Common, wanted: Sequence[str], before: Recorded, *, timeout_s: float | None
) -> bool:
    revived = [each for each in wanted if before.statuses.get(each) in RESUMABLE_BY_ID]
    worker = SweepWorker(common.settings())
    sweep_workflow.set_worker(worker)
    try:
        with Runtime(common.settings(), "resume", queues=None, companion=worker) as runtime:
            runtime.adopt()
            runtime.revive(revived)
            runtime.start_unstarted()
            sweeps = sweep_ids(wanted)
            looks = [sweep.look(worker.store, each) for each in sweeps]
            if set(wanted) - set(map(workflow_id_of, sweeps)):
                looks.append(look(runtime.engine, before.batches))
            with progress_bar(looks, hidden=common.verbose) as progress:
                return runtime.wait(wanted, timeout_s=timeout_s, every_poll=progress.poll)
    except KeyboardInterrupt:
        raise Interrupted(
            "the work stays unfinished, and nothing is lost", next_step="resumectl resume"
        ) from None


def _rows(wanted: Sequence[str], before: Recorded, after: Recorded) -> list[Resumed]:
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
        for each in sorted(wanted, key=natural_key)
    ]


def _show(
    common: Common,
    wanted: Sequence[str],
    before: Recorded,
    survey: Survey,
    *,
    late_after_s: float | None,
) -> ExitCode:
    settings = common.settings()
    engine = open_engine(settings)
    try:
        with failures_explained(settings):
            with viewing(settings, engine) as view:
                after = _recorded(view, settings, wanted)
                state = records.read_state(view, settings, batch_ids=after.batches)
            rows = _rows(wanted, before, after)
            sweeps = [
                stored_sweeps.result_of(SweepStore(engine), each) for each in sweep_ids(wanted)
            ]
    finally:
        engine.dispose()
    document = {
        **json_documents.state_document(state),
        "workflows": [json_documents.resumed_document(row) for row in rows],
        "blocked": [json_documents.blocked_document(each) for each in survey.blocked],
        "sweeps": [sweep_document(each) for each in sweeps],
    }
    if not common.as_json:
        console.show(tables.resumed_sheet(rows), *tables.resumed_totals(rows))
        batches = list(state.batches)
        if batches:
            console.show(tables.batches_sheet(batches, title="Batches", totals=None))
        console.show(
            *tables.failures(batches),
            *tables.outlived_lines(batches),
            *tables.blocked_lines(survey.blocked),
        )
        if batches:
            console.show(tables.verdict_line(state))
        for each in sweeps:
            console.show(*sweep_view(each, common.retyped))
    if late_after_s is not None:
        raise MachineFailure(
            f"not everything ended within {late_after_s} s",
            next_step="resumectl resume",
            document=document,
        )
    if common.as_json:
        json_documents.show(document)
    codes = [stored_sweeps.code_of(each) for each in sweeps]
    if any(broken_promises(batch) for batch in state.batches):
        codes.append(ExitCode.PROMISE_BROKEN)
    return min((each for each in codes if each is not ExitCode.DONE), default=ExitCode.DONE)


def _nothing(common: Common, survey: Survey, named: Sequence[WorkflowSeen]) -> ExitCode:
    ended = [w for w in reversed(named) if w.status in ENDED]  # a batch comes before its messages
    if common.as_json:
        json_documents.show(
            {
                **json_documents.state_document(State(())),
                "workflows": [],
                "blocked": [json_documents.blocked_document(each) for each in survey.blocked],
                "sweeps": [],
            }
        )
    else:
        console.show("nothing to resume", *tables.blocked_lines(survey.blocked))
        for workflow in ended[:1]:
            common.say(f"{workflow.id} has ended: {workflow.status}")
            swept = sweep_ids([workflow.id])
            common.say_next(
                f"resumectl check {swept[0]}  judges it again"
                if swept
                else f"resumectl fork {workflow.id} --from-step N  starts it again"
            )
    return ExitCode.DONE
