"""One life of a trial, from its first line to its last: runs in a process of its own.

Everything that it meets is written to its record; it ends by the blow, or by `os._exit` as
soon as all is quiet. `zygote` calls it in a forked child.
"""

import functools
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn, Self

import sqlalchemy as sa
from dbos import DBOS
from sqlalchemy import event

from resumectl.database import is_storage_failure
from resumectl.model.crash_plan import CrashPlan
from resumectl.model.schedule import Schedule, Turns
from resumectl.model.target import Subject, without_proxies
from resumectl.probe import clock, dbos_state, pace, poll_notifier, step_instrumentation
from resumectl.probe.call_arguments import named_values, payload_of
from resumectl.probe.client_hold import ClientHold
from resumectl.probe.commit_watch import Watch
from resumectl.probe.containment import Containment
from resumectl.probe.dbos_errors import tell_errors
from resumectl.probe.dbos_internals import check_names
from resumectl.probe.error_facts import facts_of
from resumectl.probe.event_log import DISK_FULL_STATUS, Recorder, shown
from resumectl.probe.execution_context import NOWHERE, follow, here, wait_for_strays, were_at_once
from resumectl.probe.hang_watch import ENDED_WELL, Lookout
from resumectl.probe.load_target import (
    after_launch,
    awaited,
    counted,
    digest_of,
    load,
    plain,
    unless_started,
)
from resumectl.probe.preload import libraries_since
from resumectl.probe.scenario import Scenario, send_effects_to
from resumectl.probe.sql_facts import STARTED, Fact
from resumectl.probe.standstill_watch import StandstillWatch
from resumectl.probe.warm_up import shared_engine
from resumectl.runner.postgres_sandbox import advance_sequences
from resumectl.runner.sandbox import TEMPORARY_DIRECTORY
from resumectl.storage.outside_access import Sandbox
from resumectl.storage.snapshot_reader import Evidence
from resumectl.text import one_line

FAILED = 70  # the scenario could not be run: nothing is proved
# A workflow that has ended may have left threads and tasks at work; so long they are waited for.
_STRAYS_MAX_S = 2.0


@dataclass(frozen=True, slots=True)
class Order:
    """What one life is told."""

    place: str  # the directory that is its own
    database_url: str
    record: str  # the file to append events to
    subject: dict[str, Any]
    deployed_as: str | None  # the module of the release before this one
    death: str | None
    app_version: str | None  # None: the program's own, or the one that DBOS computes
    cores: Sequence[int]  # of the processor: where its threads run
    schedule: dict[str, Any]  # how they get their turns
    is_first: bool
    comes_back_late: bool  # the client asks again when the recovery can do no more
    tells_libraries: bool  # which ones the program has imported
    patience_s: float  # without a commit, before it is looked whether anything can go on
    clock_ahead_s: float  # how far its clock is ahead of the machine's
    control: dict[str, Any] | None  # where to pause, and for how many seconds, instead of dying
    time_limit_s: float | None  # how long it may take, where it is told what it waits for

    def as_plain(self) -> dict[str, Any]:
        """Itself, for JSON."""
        return asdict(self)

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> Self:
        """Read it back."""
        return cls(**values)


def live(order: Order) -> NoReturn:
    """Live, and never return."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    recorder = Recorder(os.open(order.record, flags, 0o600))
    roots = [Path.cwd()]  # where the command was typed: before the sandbox is entered
    if (order.subject["target"] or ("",))[0].endswith(".py"):
        roots.append(Path(order.subject["target"][0]).parent)
    try:
        os.sched_setaffinity(0, order.cores)
        _live(order, recorder, Lookout(recorder, roots, order.time_limit_s))
    except BaseException as error:  # noqa: BLE001 (the record is where it is told)
        recorder.write("failed", **facts_of(error, roots=roots))
        os._exit(FAILED)
    os._exit(ENDED_WELL)


def _live(order: Order, recorder: Recorder, lookout: Lookout) -> None:
    subject = Subject.from_plain(order.subject)
    started_in = Path.cwd()
    os.chdir(order.place)
    if order.clock_ahead_s:
        clock.set_ahead(order.clock_ahead_s)
    if order.control is not None and order.control["jump_s"]:
        clock.install()
    os.environ["RESUMECTL_PLACE"] = order.place
    tempfile.tempdir = os.environ["TMPDIR"] = str(Path(order.place, TEMPORARY_DIRECTORY))
    given = subject.environ_in(order.place, order.database_url, os.environ)
    for name in os.environ.keys() - without_proxies(os.environ).keys():
        del os.environ[name]
    os.environ.update(given)
    if "PYTHONPATH" in subject.environ:
        # The interpreter reads it as it starts, and this one has been forked.
        sys.path[1:1] = os.environ["PYTHONPATH"].split(os.pathsep)
    Containment(
        Sandbox.of_trial(subject.access, order.place, order.database_url),
        recorder,
        started_in=started_in,
        sandbox_url=order.database_url,
    ).install()
    event.listen(sa.Engine, "handle_error", _end_with_the_disk)
    evidence = Evidence(order.database_url)
    backlog = evidence.unfinished()
    standstill = StandstillWatch(order.database_url, order.patience_s, order.time_limit_s)
    wakener = poll_notifier.Wakener(backlog, standstill.wait)

    def survived(facts: Sequence[Fact]) -> None:
        standstill.committed()
        wakener.committed(facts)

    started: list[tuple[str, str]] = []  # by a client: id and name of each workflow

    def committed(facts: Sequence[Fact]) -> None:
        if here() == NOWHERE:
            started.extend((str(f.workflow_id), f.what) for f in facts if f.kind in STARTED)
        more = _writes_of_bodies(facts)
        recorder.write("commit", facts=[[fact.name, fact.what] for fact in facts], **more)
        if order.time_limit_s is not None:
            _tell_failures(facts, recorder, lookout)
        for fact in facts:
            if fact.sent and fact.kind == "step":
                number = int(fact.name.rpartition("-")[2])
                recorder.write("sent", workflow=fact.workflow_id, number=number, messages=fact.sent)

    turns = Turns(Schedule(**order.schedule))
    watch = _watch(
        order,
        recorder,
        turns,
        on_commit=committed,
        on_survived=survived,
        hold=_hold_of_client(order, wakener),
        of_publisher=subject.target is None,
    )
    _hook(order, recorder, wakener, watch, turns)
    poll_notifier.note_pauses(standstill.pause)
    if subject.longest_sleep_s is not None:
        poll_notifier.shorten_sleeps(subject.longest_sleep_s)
    watch.arm()
    known_modules = set(sys.modules)
    lookout.begin("import", target=subject.target)
    scenario = load(subject, order.database_url, order.deployed_as)
    recorder.write("imported", started=started)
    scenario = unless_started(scenario, subject, started)
    set_up = after_launch(subject)
    if order.is_first:
        lookout.begin("prepare")
        with watch.suspended():
            awaited(scenario.prepare())
    lookout.begin("launch")
    recorder.write(
        "launch",
        promises=dict(scenario.promises),
        digest=digest_of(subject),
    )
    if order.control is not None:
        advance_sequences(order.database_url)
    DBOS(config={"name": "trial"})  # the application's own, where it has made one
    DBOS.launch()
    recorder.write(
        "launched",
        app_version=DBOS.application_version,
        is_version_computed=dbos_state.is_version_computed(),
        executor_id=DBOS.executor_id,
        clock_ms=time.time_ns() // 1_000_000,
        replaced=dbos_state.replaced_settings(),
        database=dbos_state.own_database(),
    )
    if set_up is not None:
        lookout.begin("after-launch")
        awaited(set_up())
    standstill.start(functools.partial(_end_stranded, order, lookout, watch))
    if order.comes_back_late:
        wakener.wait_for_standstill(backlog)
    lookout.begin("request")
    _request(scenario, recorder, lookout)
    standstill.has_answer = True
    still_running = _wait_for_quiet(evidence, wakener)
    watch.wait_for_blow()
    recorder.write("quiet", still_running=still_running, at_once=were_at_once())
    if order.tells_libraries:
        recorder.write("libraries", names=libraries_since(known_modules))
    with watch.suspended():
        _look(recorder, "observed", lambda: plain(awaited(scenario.observe())))
        _look(recorder, "counted", lambda: counted(awaited(scenario.effects())))


def _tell_failures(facts: Sequence[Fact], recorder: Recorder, lookout: Lookout) -> None:
    """Record the error of each workflow whose failure this thread has just committed.

    DBOS (3.4.0) commits it while it handles the error.
    """
    error = sys.exception()
    for fact in facts:
        if fact.kind == "failed" and error is not None:
            told = facts_of(error, roots=lookout.roots)
            recorder.write("raised", workflow=fact.workflow_id, **told)


def _end_stranded(
    order: Order, lookout: Lookout, watch: Watch, workflow_ids: Sequence[str]
) -> NoReturn:
    """End the process: what is left can only be taken up by another one."""
    watch.wait_for_blow()
    lookout.end_stranded(workflow_ids, order.database_url)


def _hold_of_client(order: Order, wakener: poll_notifier.Wakener) -> ClientHold | None:
    """Return what holds the client where time passes in a control run; None if it is no such run."""
    if order.control is None or not order.control["jump_s"]:
        return None
    return ClientHold(functools.partial(wakener.wait_for_silence, order.patience_s))


def _watch(
    order: Order, recorder: Recorder, turns: Turns, hold: ClientHold | None, **more: Any
) -> Watch:
    before_write = turns.give if hold is None else hold.before_write
    told, pause = order.death, None
    if order.control is not None:
        told = order.control["at"]
        pause = functools.partial(_pause, order.control["pause_s"])
        if hold is not None:
            jobs = poll_notifier.BackgroundJobs()
            jobs.install()
            pause = functools.partial(_let_time_pass, order.control, hold, jobs)
    plan = CrashPlan.parse(told) if told else None
    return Watch(
        plan.deaths[0] if plan else None,
        lambda text: recorder.write("struck" if pause is None else "paused", at=text),
        pause=pause,
        before_write=before_write,
        system_database=order.database_url,
        body=_body,
        **more,
    )


def _pause(pause_s: float) -> None:
    time.sleep(pause_s)  # it is the time that is put to the test


def _let_time_pass(
    control: Mapping[str, Any], hold: ClientHold, jobs: poll_notifier.BackgroundJobs
) -> None:
    """Set the clock ahead, and let DBOS do what it does when a process is back after so long."""
    with hold.while_time_passes():
        clock.set_ahead(control["jump_s"])
        jobs.wait_for_pass()
        _pause(control["pause_s"])


def _writes_of_bodies(facts: Sequence[Fact]) -> dict[str, list[list[str]]]:
    """What a workflow's body, outside of any step, writes: the fact, the workflow, the values."""
    names = {fact.name for fact in facts}
    found: defaultdict[str, list[list[str]]] = defaultdict(list)
    for fact in facts:
        if fact.by_body is None:
            continue
        # What deletes a row and puts it there again does no harm by doing so once more.
        is_put_back = f"{fact.name.rpartition('/')[0]}/deleted" in names
        if fact.does_more_each_time and not is_put_back:
            found["added_by_bodies"].append([fact.name, fact.by_body])
        else:
            sql = " ".join(fact.sql.split())
            found["set_by_bodies"] += [
                [
                    fact.name,
                    fact.by_body,
                    ": ".join(filter(None, (", ".join(named_values(each)), sql))),
                ]
                for each in fact.given or [{}]
            ]
    return found


def _body() -> str | None:
    """The workflow in whose body, outside of any step, this thread is at work."""
    workflow_id, number = here()
    return workflow_id if number is None else None


def _look(recorder: Recorder, kind: str, look: Callable[[], Any]) -> None:
    """What the outside world looks like; that it cannot be told after a crash is a finding."""
    try:
        recorder.write(kind, value=look())
    except Exception as error:  # noqa: BLE001 (an outcome, and compared as one)
        recorder.write(kind, value=None, error=one_line(error))


def _end_with_the_disk(context: sa.ExceptionContext) -> None:
    """DBOS would try again for ever, and the program take the error for an outcome."""
    error = context.sqlalchemy_exception
    if error is not None and is_storage_failure(error):
        os._exit(DISK_FULL_STATUS)


def config_of(database_url: str, app_version: str | None) -> dict[str, Any]:
    """Return what a process's DBOS is given, whatever the application says.

    The executor id stays the program's own, and so does the application version unless one is
    given: whether a recovery finds what was left behind depends on both.
    """
    version = {} if app_version is None else {"application_version": app_version}
    return {
        **version,
        "system_database_url": database_url,
        "dbos_system_schema": "dbos",
        "notification_listener_polling_interval_sec": poll_notifier.LISTENER_POLL_S,
        "run_migrations": False,  # the database is a copy of one that is migrated
        "log_level": "WARNING",
    }


def _hook(
    order: Order, recorder: Recorder, wakener: poll_notifier.Wakener, watch: Watch, turns: Turns
) -> None:
    check_names()
    follow()
    config = config_of(order.database_url, order.app_version)
    config["system_database_engine"] = shared_engine(order.database_url)
    dbos_state.configure(config)
    wakener.install()
    dbos_state.note_recovery()
    if order.control is not None and order.control["jump_s"]:
        poll_notifier.let_waits_follow_the_clock()

    began_s = time.monotonic()

    def ran(
        step: str, is_transaction: bool, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Callable[[], None]:
        where = {
            "step": step,
            "workflow": DBOS.workflow_id,
            "number": DBOS.step_id,
            "begun_in": _body(),
            "transaction": is_transaction,
        }
        payload = payload_of(args, kwargs, alive_s=time.monotonic() - began_s + clock.ahead_s())
        with watch.no_blow():
            recorder.write("ran", **where, is_retry=step_instrumentation.is_retry(), **payload)
        turns.give()
        return lambda: recorder.write("ended", **where)

    def happened(name: str, about: tuple[Any, ...]) -> None:
        workflow_id, number = here()
        told = [*map(shown, about)]
        with watch.no_blow():
            recorder.write("effect", name=name, workflow=workflow_id, number=number, about=told)

    def replayed(workflow_id: str, number: int, step: str, recorded: str) -> None:
        recorder.write(
            "replayed", step=step, workflow=workflow_id, number=number, recorded=recorded
        )

    step_instrumentation.count_steps(ran)
    step_instrumentation.tell_replays(replayed)
    tell_errors(lambda text: recorder.write("logged", text=text))
    send_effects_to(happened)


def _request(scenario: Scenario, recorder: Recorder, lookout: Lookout) -> None:
    recorder.write("requested")
    try:
        answer = awaited(scenario.request())
    except Exception as error:  # noqa: BLE001 (an outcome like any other, and compared as one)
        recorder.write("answered", **facts_of(error, roots=lookout.roots))
    else:
        recorder.write("answered", value=plain(answer))


def _wait_for_quiet(evidence: Evidence, wakener: poll_notifier.Wakener) -> int:
    """Until every workflow has ended, and what they left running: the runner has the clock.

    Returns:
        How much of that is still running.
    """
    while True:
        while evidence.unfinished():
            wakener.wait(0.02)
        left = wait_for_strays(pace.stretched(_STRAYS_MAX_S))
        if not evidence.unfinished():  # what was left may have begun another
            return left
