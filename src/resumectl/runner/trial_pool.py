"""Manage the fork servers and sandboxes in which trials run, any number at the same time."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from queue import SimpleQueue
from types import TracebackType
from typing import Protocol, Self

from resumectl.errors import MachineFailure
from resumectl.model.crash_plan import PlannedTrial
from resumectl.model.observation import Observation
from resumectl.model.process_exit import ENDED_WELL, SQLITE_TOO_OLD
from resumectl.model.sweep_spec import SweepSpec
from resumectl.model.target import Target
from resumectl.publishing.store.dbos_tables import QUEUE_NAME
from resumectl.runner.fork_server_client import ForkServerClient
from resumectl.runner.fork_servers import ForkServers
from resumectl.runner.sandbox import EMBEDDED, Sandboxes
from resumectl.settings import Settings

TEMPLATE_TIMEOUT_S = 60.0


class TrialPool:
    """Fork servers and sandboxes of any number of targets; `close` ends all of them.

    Args:
        servers: Fork servers of the targets, and the directory of the sandboxes; the pool closes them.
        server_url: URL of the PostgreSQL server of the trials' databases, with its password;
            `embedded` for a server of their own, None for SQLite.
        jobs: Maximum number of trials at the same time, for all targets together.
        has_publisher: Whether every target is resumectl's own publisher. Another program may have
            classes of the same names, and DBOS accepts each name once.
        target: Target with the redirected databases and the `prepare` command of all targets.

    Attributes:
        sandboxes: Sandboxes of the trials.
        jobs: Maximum number of trials at the same time.
        cores: Numbers of all cores.
        slowness: Factor by which everything takes longer here than on a quiet machine.

    Raises:
        MachineFailure: No sandbox can be made.
    """

    def __init__(
        self,
        servers: ForkServers,
        *,
        server_url: str | None = None,
        jobs: int = 1,
        has_publisher: bool = False,
        target: Target | None = None,
    ) -> None:
        self._servers = servers
        self._target = target or Target()
        try:
            self.sandboxes = Sandboxes(servers.root.directory, server_url)
        except BaseException:
            servers.close()
            raise
        # One core for each running trial. A trial stays on one core: Python runs one thread at a time,
        # and five messages took a fifth longer with threads on two cores.
        self._free_cores: SimpleQueue[int] = SimpleQueue()
        self.jobs = jobs
        self.cores = cores = tuple(sorted(os.sched_getaffinity(0)))
        for turn in range(os.getpid(), os.getpid() + jobs):  # other pools start with another core
            self._free_cores.put(cores[turn % len(cores)])
        self.slowness = 1.0
        self._has_publisher = has_publisher
        self._warm_up: Future[None] | None = None
        self._beginning = threading.Lock()

    def fork_server(self, number: int, *, later: bool) -> ForkServerClient:
        """Return the fork server for a process.

        Args:
            number: Number of its hash seed, 0 or 1.
            later: Whether it runs as the processes after the first one.
        """
        return self._servers.server(number, later=later)

    @property
    def fork_servers(self) -> Sequence[ForkServerClient]:
        """All fork servers; the first one makes the template."""
        return self._servers.all

    @property
    def has_two_interpreters(self) -> bool:
        """Whether the processes after the first one have another interpreter."""
        return self._servers.interpreters.are_two

    def migrates(self, *, later: bool) -> bool:
        """Return whether a process has another release of DBOS than the template's.

        Args:
            later: Whether it runs as the processes after the first one.
        """
        return later and self._servers.interpreters.migrates

    @contextmanager
    def core(self) -> Iterator[int]:
        """Wait for a free core, and yield its number."""
        core = self._free_cores.get()
        try:
            yield core
        finally:
            self._free_cores.put(core)

    def begin_warm_up(self) -> "Future[None]":
        """Begin to make the template and to warm up each fork server, once, in a thread.

        Returns:
            The end of the warm-up, or its error: see `warm_up`.
        """
        with self._beginning:
            if self._warm_up is None:
                self._warm_up = Future()
                thread = threading.Thread(
                    target=self._run_warm_up, args=[self._warm_up], name="warm-up", daemon=True
                )
                thread.start()
            return self._warm_up

    def warm_up(self) -> None:
        """Make the template and warm up each fork server, once.

        Raises:
            MachineFailure: The template or the warm-up fails.
            Refusal: The tables of a redirected database cannot be made.
        """
        self.begin_warm_up().result()

    def _run_warm_up(self, end: "Future[None]") -> None:
        try:
            self._make_template()
            self._warm_up_fork_servers()
        except BaseException as error:  # noqa: BLE001 (raised where the end is waited for)
            end.set_exception(error)
        else:
            end.set_result(None)

    def _make_template(self) -> None:
        databases = self.sandboxes.databases
        if databases.owned is not None:
            for server in self.fork_servers:
                server.own_databases(databases.owned)
        self.slowness = max([server.slowness() for server in self.fork_servers])
        error_file = self.sandboxes.root / "template-error"
        process_exit = self.fork_servers[0].make_template(
            databases.template_url,
            TEMPLATE_TIMEOUT_S * self.slowness,
            has_publisher=self._has_publisher,
            error_file=error_file,
        )
        if process_exit.exit_status != ENDED_WELL:
            error = error_file.read_text(encoding="utf-8") if error_file.exists() else process_exit
            if process_exit.exit_status == SQLITE_TOO_OLD:
                raise MachineFailure(
                    str(error),
                    next_step="name an interpreter with a newer SQLite:  --python PATH;  or run the "
                    "trials on PostgreSQL:  --on postgres",
                )
            raise self._failure(f"no database could be made: {error}")
        access = self._target.access
        if access.redirects or access.prepare is not None:
            from resumectl.runner.redirects import make_seed  # loads psycopg

            make_seed(self._target, self.sandboxes.seed, databases.template_url)

    def _warm_up_fork_servers(self) -> None:
        queue = QUEUE_NAME if self._has_publisher else None
        with ExitStack() as stack:
            ends = []
            for server in self.fork_servers:
                sandbox = stack.enter_context(self.sandboxes.sandbox())
                is_later = self._servers.is_later(server)
                ends.append(
                    server.warm_up(
                        sandbox.database_url,
                        sandbox.directory,
                        publisher_queue=queue,
                        migrates=self.migrates(later=is_later),
                    )
                )
            for end in ends:
                warmed_up = end()
                if warmed_up.threads:
                    raise MachineFailure(
                        "the interpreter cannot be forked, since it runs threads: "
                        + ", ".join(warmed_up.threads),
                        next_step="start each process with a fresh interpreter:  --isolation spawn",
                    )
                if warmed_up.error:
                    raise self._failure(f"the warm-up failed: {warmed_up.error}")

    def _failure(self, what: str) -> MachineFailure:
        needs = [f"{self.sandboxes.root.parent} needs space"]
        if self.sandboxes.databases.owned is not None:
            is_dbos_2 = self._servers.interpreters.first.dbos.startswith("2.")
            extension = ", with the extension uuid-ossp for DBOS 2" if is_dbos_2 else ""
            needs.append(f"the server must be up{extension}")
        return MachineFailure(what, next_step=" and ".join(needs))

    def __enter__(self) -> Self:
        try:
            self.warm_up()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all processes, and delete the sandboxes."""
        self.sandboxes.close()
        self._servers.close()


def open_trial_pool(
    settings: Settings, spec: SweepSpec, *, jobs: int, servers: ForkServers | None = None
) -> TrialPool:
    """Return a pool for trials on SQLite, on the configured server, or on an embedded server.

    Args:
        settings: Settings with the configured server.
        spec: Spec of the sweep, with its target and kind of database.
        jobs: Maximum number of trials at the same time.
        servers: Fork servers that have been started for this spec; None to start them.

    Raises:
        MachineFailure: No sandbox can be made.
    """
    server_url = None
    if spec.on == "postgres":
        server_url = EMBEDDED if settings.is_sqlite else settings.secret_url
    return TrialPool(
        servers or ForkServers(spec.interpreters, spec.isolation),
        server_url=server_url,
        jobs=jobs,
        has_publisher=spec.has_publisher,
        target=spec.target,
    )


class RunsTrials(Protocol):
    """Interface of a runner of single trials."""

    def trial(self, planned: PlannedTrial) -> Observation:
        """Run a trial, and return its observation."""


def run_trials(
    runner: RunsTrials,
    planned: Iterable[PlannedTrial],
    *,
    jobs: int,
    on_trial: Callable[[int, Observation], bool],
) -> None:
    """Run trials concurrently, in threads of this process.

    Args:
        runner: Runner of a single trial.
        planned: Trials to run, in their order.
        jobs: Maximum number of trials at the same time.
        on_trial: Function to call in this thread when a trial ends, with its number and observation.
            It returns whether to continue.
    """
    left = iter(planned)
    stop = threading.Event()
    with ThreadPoolExecutor(jobs, thread_name_prefix="trial") as pool:
        running: dict[Future[Observation], int] = {}
        while True:
            while len(running) < jobs and not stop.is_set():
                trial = next(left, None)
                if trial is None:
                    stop.set()
                    break
                running[pool.submit(runner.trial, trial)] = trial.number
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for each in done:
                if not on_trial(running.pop(each), each.result()):
                    stop.set()
