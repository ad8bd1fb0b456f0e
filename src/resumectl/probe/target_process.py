"""Run the program under test in this process, from its first line to its last.

The order is stated once, in `TargetProcess.run`: instrument, load, launch, request, settle, observe.
Everything that happens is written to the event log. The process is killed at its crash point, or ends
by `os._exit` as soon as all is quiet. `fork_server` calls it in a forked child.
"""

import functools
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar

import sqlalchemy as sa
from dbos import DBOS
from sqlalchemy import event

from resumectl.model.crash_plan import STARTED, Crash, CrashPlan, transition_name
from resumectl.model.events import (
    BecameQuiet,
    ClientGaveUp,
    Committed,
    CommittedFact,
    ControlReached,
    CrashPointReached,
    EffectHappened,
    EffectsCounted,
    ErrorLogged,
    Launched,
    LaunchStarted,
    LibrariesImported,
    MessagesSent,
    OutsideObserved,
    Phase,
    RequestEnded,
    RequestStarted,
    SentMessage,
    Site,
    StartedWorkflow,
    StepEnded,
    StepReplayed,
    StepStarted,
    TargetFailed,
    TargetImported,
    WorkflowRaised,
    now_us,
)
from resumectl.model.orders import ProcessOrder
from resumectl.model.process_exit import DISK_FULL, ENDED_WELL, TARGET_FAILED
from resumectl.probe import clock, dbos_pauses, dbos_state, pace, step_instrumentation
from resumectl.probe.body_writes import body_inserts, body_updates
from resumectl.probe.call_arguments import describe_arguments
from resumectl.probe.client_starts import ClientStarts
from resumectl.probe.commit_watch import CommitWatch, Listeners, WatchedDatabase
from resumectl.probe.control_pause import ControlPause
from resumectl.probe.crash_trigger import CrashTrigger
from resumectl.probe.dbos_errors import report_errors
from resumectl.probe.dbos_internals import check_names
from resumectl.probe.dbos_migrations import skip_migrations
from resumectl.probe.error_facts import describe_error
from resumectl.probe.event_log import EventLog, open_event_log
from resumectl.probe.execution_context import (
    OUTSIDE,
    begin_request,
    follow_threads,
    had_own_concurrency,
    here,
    wait_for_background_work,
)
from resumectl.probe.hang_watch import HangWatch
from resumectl.probe.late_writes import LateWrites
from resumectl.probe.load_target import (
    after_launch,
    awaited,
    checked_counts,
    digest_of,
    load_target,
    plain,
    with_import_as_client,
)
from resumectl.probe.poll_notifier import PollNotifier
from resumectl.probe.preload import libraries_since
from resumectl.probe.program_description import describe_program
from resumectl.probe.scenario import Scenario, send_effects_to
from resumectl.probe.sql_facts import Fact
from resumectl.probe.stable_repr import stable_repr
from resumectl.probe.standstill_watch import StandstillWatch
from resumectl.probe.thread_turns import ThreadTurns
from resumectl.probe.trial_environment import dbos_config, enter_sandbox
from resumectl.probe.warm_up import shared_engine
from resumectl.storage.disk_errors import is_storage_failure
from resumectl.storage.postgres import advance_sequences
from resumectl.storage.snapshot_reader import SnapshotReader
from resumectl.text import one_line

T = TypeVar("T")
# How long to wait for threads and tasks that a workflow has left running when it ended.
_BACKGROUND_WORK_MAX_S = 2.0
_QUIET_POLL_S = 0.02


def run_target(order: ProcessOrder) -> NoReturn:
    """Carry out an order, and end this process.

    Args:
        order: Order of the runner.
    """
    event_log = open_event_log(order.event_file)
    roots = [Path.cwd()]  # the user's directory: before the sandbox is entered
    if order.target.entry is not None and order.target.entry[0].endswith(".py"):
        roots.append(Path(order.target.entry[0]).parent)
    try:
        os.sched_setaffinity(0, order.cores)
        TargetProcess(order, event_log, HangWatch(event_log, roots, order.time_limit_s)).run()
    except BaseException as error:  # noqa: BLE001 (the event log is where it is reported)
        event_log.write(TargetFailed(now_us(), describe_error(error, roots=roots)))
        os._exit(TARGET_FAILED)
    os._exit(ENDED_WELL)


class TargetProcess:
    """One run of the program in this process.

    Args:
        order: Order of the runner.
        event_log: Event log of this process.
        hang_watch: Watch that ends a run in which nothing moves any more.
    """

    def __init__(self, order: ProcessOrder, event_log: EventLog, hang_watch: HangWatch) -> None:
        self._order = order
        self._target = order.target
        self._event_log = event_log
        self._hang_watch = hang_watch
        self._began_s = time.monotonic()
        self._started_by_import: list[StartedWorkflow] = []
        self._turns = ThreadTurns(order.schedule)
        enter_sandbox(order, event_log)
        self._reader = SnapshotReader(order.database_url)
        self._backlog = self._reader.unfinished()
        self._standstill = StandstillWatch(order.database_url, order.patience_s, order.time_limit_s)
        self._notifier = PollNotifier(self._backlog, self._standstill.wait)
        self._late: LateWrites | None = None
        self._pause_in_step: Callable[[str], None] | None = None
        self._client = ClientStarts(order.names, order.starts, event_log.write)
        self._watch = self._commit_watch()

    def run(self) -> None:
        """Run the program to its end, or to the crash point of the order."""
        self.instrument()
        scenario, set_up = self.load()
        self.launch(scenario, set_up)
        self.request(scenario)
        self.settle()
        self.observe(scenario)

    # --- instrument

    def instrument(self) -> None:
        """Instrument DBOS and SQLAlchemy, before the program is imported."""
        order = self._order
        event.listen(sa.Engine, "handle_error", _end_if_disk_full)
        check_names()
        if not order.migrates:
            skip_migrations()
        follow_threads()
        config = dbos_config(order.database_url, self._target.app_version, migrates=order.migrates)
        config["system_database_engine"] = shared_engine(order.database_url)
        dbos_state.configure(config)
        self._notifier.install()
        dbos_state.note_recovery()
        if self._late is not None:
            dbos_pauses.let_waits_follow_the_clock(self._late.wait_has_ended)
        step_instrumentation.watch_steps(self._on_step)
        step_instrumentation.watch_replays(self._on_replay)
        report_errors(lambda text: self._event_log.write(ErrorLogged(now_us(), text)))
        send_effects_to(self._on_effect)
        dbos_pauses.note_pauses(self._standstill.pause)
        if self._target.max_sleep_s is not None:
            dbos_pauses.limit_sleeps(self._target.max_sleep_s)
        self._watch.arm()

    def _commit_watch(self) -> CommitWatch:
        order, control = self._order, self._order.control
        trigger = None
        if control is not None:
            wait_for_silence = functools.partial(self._notifier.wait_for_silence, order.patience_s)
            pause = ControlPause(control, wait_for_silence)
            self._late = pause.late
            trigger = CrashTrigger(
                _crash_at(control.at), self._on_control, pause, named=self._client.named
            )
            # Where time passes, waits of other threads may end, and are then recorded.
            self._pause_in_step = trigger.pause_in_step if control.jump_s else None
        elif order.crash is not None:
            trigger = CrashTrigger(
                _crash_at(order.crash), self._on_crash_point, named=self._client.named
            )
        return CommitWatch(
            WatchedDatabase(order.database_url, has_publisher=self._target.entry is None),
            trigger,
            Listeners(
                before_commit=self._client.before_commit,
                on_commit=self._on_commit,
                on_survived=self._on_survived,
                before_write=self._late.before_write if self._late else self._turns.give,
                body=_workflow_of_body,
            ),
        )

    # --- load

    def load(self) -> tuple[Scenario, Callable[[], object] | None]:
        """Import the program.

        Returns:
            Its scenario, and the function to call after launch; None if there is none.
        """
        order = self._order
        self._known_modules = set(sys.modules)
        self._hang_watch.start_phase(Phase.IMPORT)
        scenario = load_target(self._target, order.database_url, order.deployed_as)
        started = tuple(self._started_by_import)
        self._event_log.write(TargetImported(now_us(), started))
        scenario = with_import_as_client(scenario, self._target, started)
        set_up = after_launch(self._target)
        if order.is_first:
            self._hang_watch.start_phase(Phase.PREPARE)
            with self._watch.suspended():
                awaited(scenario.prepare())
        return scenario, set_up

    # --- launch

    def launch(self, scenario: Scenario, set_up: Callable[[], object] | None) -> None:
        """Launch DBOS, which recovers what an earlier process has left.

        Args:
            scenario: Scenario of the program.
            set_up: Function to call after the launch; None for none.
        """
        order = self._order
        self._hang_watch.start_phase(Phase.LAUNCH)
        promises = {name: str(promise) for name, promise in scenario.promises.items()}
        self._event_log.write(LaunchStarted(now_us(), promises, digest_of(self._target)))
        if order.control is not None:
            advance_sequences(order.database_url)
        DBOS(config={"name": "trial"})  # the application's own instance, if it has made one
        DBOS.launch()
        self._event_log.write(
            Launched(
                now_us(),
                app_version=str(DBOS.application_version),
                is_version_computed=dbos_state.is_version_computed(),
                executor_id=str(DBOS.executor_id),
                clock_ms=time.time_ns() // 1_000_000,
                replaced_settings=tuple(dbos_state.replaced_settings()),
                database=dbos_state.own_database(),
            )
        )
        if set_up is not None:
            self._hang_watch.start_phase(Phase.AFTER_LAUNCH)
            awaited(set_up())
        self._standstill.start(self._end_stranded)

    def _end_stranded(self, workflow_ids: Sequence[str]) -> NoReturn:
        """End the process: only another process can continue the stranded workflows."""
        self._watch.wait_for_kill()
        self._hang_watch.end_stranded(workflow_ids, self._order.database_url)

    # --- request, settle, observe

    def request(self, scenario: Scenario) -> None:
        """Make the client's request, and record its answer; or record that the client has given up.

        Args:
            scenario: Scenario of the program.
        """
        if not self._order.has_request:
            self._event_log.write(ClientGaveUp(now_us()))
            self._standstill.has_answer = True
            return
        if self._order.delays_client:
            self._notifier.wait_for_standstill(self._backlog)
        self._hang_watch.start_phase(Phase.REQUEST)
        self._event_log.write(RequestStarted(now_us()))
        self._client.begin()
        begin_request()
        try:
            answer = plain(awaited(scenario.request()))
        except Exception as error:  # noqa: BLE001 (an outcome like any other, and compared as one)
            described = describe_error(error, roots=self._hang_watch.roots)
            self._event_log.write(RequestEnded(now_us(), None, described))
        else:
            self._event_log.write(RequestEnded(now_us(), answer, None))
        self._standstill.has_answer = True

    def settle(self) -> None:
        """Wait until every workflow and its background work have ended; the runner has a time limit."""
        still_running = self._wait_for_quiet()
        self._watch.wait_for_kill()
        self._event_log.write(BecameQuiet(now_us(), still_running, had_own_concurrency()))
        if self._order.reports_libraries:
            modules = tuple(libraries_since(self._known_modules))
            self._event_log.write(LibrariesImported(now_us(), modules))
            self._event_log.write(describe_program(self._known_modules))

    def _wait_for_quiet(self) -> int:
        """Return how many threads and tasks are still running when all workflows have ended."""
        while True:
            while self._reader.unfinished():
                self._notifier.wait(_QUIET_POLL_S)
            left = wait_for_background_work(pace.stretched(_BACKGROUND_WORK_MAX_S))
            if not self._reader.unfinished():  # background work may have started another workflow
                return left

    def observe(self, scenario: Scenario) -> None:
        """Record the state of the outside world, or the error of observing it.

        Args:
            scenario: Scenario of the program.
        """
        with self._watch.suspended():
            value, error = _attempt(lambda: plain(awaited(scenario.observe())))
            self._event_log.write(OutsideObserved(now_us(), value, error))
            counts, error = _attempt(lambda: checked_counts(awaited(scenario.effects())))
            self._event_log.write(EffectsCounted(now_us(), counts or {}, error))

    # --- what is watched

    def _on_crash_point(self, crash_point: str) -> None:
        self._event_log.write(CrashPointReached(now_us(), crash_point))

    def _on_control(self, crash_point: str) -> None:
        self._event_log.write(ControlReached(now_us(), crash_point))

    def _on_commit(self, facts: Sequence[Fact]) -> None:
        if self._late is not None:
            self._late.begin()
        if here() == OUTSIDE:
            self._started_by_import.extend(
                StartedWorkflow(str(fact.workflow_id), fact.what)
                for fact in facts
                if fact.kind in STARTED
            )
        self._client.on_commit(facts)
        self._event_log.write(
            Committed(
                now_us(),
                facts=tuple(CommittedFact(fact.name, fact.what) for fact in facts),
                inserts=tuple(body_inserts(facts)),
                updates=tuple(body_updates(facts)),
            )
        )
        if self._order.time_limit_s is not None:
            self._report_failures(facts)
        for fact in facts:
            if fact.sent and fact.kind == "step":
                number = int(fact.name.rpartition("-")[2])
                messages = tuple(SentMessage(to, content) for to, content in fact.sent)
                self._event_log.write(
                    MessagesSent(now_us(), str(fact.workflow_id), number, messages)
                )

    def _report_failures(self, facts: Sequence[Fact]) -> None:
        """Record the error of each workflow whose failure this thread has just committed.

        DBOS (3.4.0) commits it while it handles the error.
        """
        error = sys.exc_info()[1]
        for fact in facts:
            if fact.kind == "failed" and error is not None:
                described = describe_error(error, roots=self._hang_watch.roots)
                self._event_log.write(WorkflowRaised(now_us(), str(fact.workflow_id), described))

    def _on_survived(self, facts: Sequence[Fact]) -> None:
        self._standstill.committed()
        self._notifier.committed(facts)

    def _on_step(
        self, step: str, is_transaction: bool, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> Callable[[], None]:
        """Record the start of a step's body; return the function that records its end."""
        site = Site(DBOS.workflow_id, DBOS.step_id, _workflow_of_body())
        alive_s = time.monotonic() - self._began_s + clock.ahead_s()
        arguments = describe_arguments(args, kwargs, alive_s=alive_s)
        is_retry = step_instrumentation.is_retry()
        with self._watch.not_before_kill():
            self._event_log.write(
                StepStarted(now_us(), step, site, is_transaction, is_retry, arguments)
            )
        self._turns.give()
        if self._late is not None:
            self._late.work_begins()

        def end() -> None:
            self._event_log.write(StepEnded(now_us(), step, site, is_transaction))
            if self._pause_in_step is not None and site.workflow and not is_transaction:
                self._pause_in_step(transition_name(site.workflow, f"step-{site.step_number}"))

        return end

    def _on_replay(self, workflow_id: str, number: int, step: str, recorded: str) -> None:
        site = Site(workflow_id, number, None)
        self._event_log.write(StepReplayed(now_us(), step, site, recorded))

    def _on_effect(self, name: str, about: tuple[object, ...]) -> None:
        site = Site(*here(), begun_in=None)
        texts = tuple(map(stable_repr, about))
        with self._watch.not_before_kill():
            self._event_log.write(EffectHappened(now_us(), name, site, texts))


def _crash_at(crash: str) -> Crash:
    return CrashPlan.parse(crash).crashes[0]


def _workflow_of_body() -> str | None:
    """Return the id of the workflow whose body this thread runs, outside of any step; else None."""
    workflow_id, number = here()
    return workflow_id if number is None else None


def _attempt(look: Callable[[], T]) -> tuple[T | None, str | None]:
    """Call a function; return its result and its error, one of which is None."""
    try:
        return look(), None
    except Exception as error:  # noqa: BLE001 (an outcome, and compared as one)
        return None, one_line(error)


def _end_if_disk_full(context: sa.ExceptionContext) -> None:
    """End the process if the disk is full: DBOS would retry for ever, or report an outcome."""
    error = context.sqlalchemy_exception
    if error is not None and is_storage_failure(error):
        os._exit(DISK_FULL)
