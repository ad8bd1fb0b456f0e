"""`watch`: show what processes are doing now, once or until Ctrl-C."""

import os
import select
import signal
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import sqlalchemy as sa
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live as Screen
from sqlalchemy import event

from resumectl.cli.common import Common
from resumectl.database import explain, failures_explained, open_engine
from resumectl.errors import ExitCode, MachineFailure, Refusal
from resumectl.publishing.store.live_counts import NOTHING, Live, LiveReader
from resumectl.publishing.store.migration import is_readable
from resumectl.publishing.store.state import FROZEN, RUNNING
from resumectl.publishing.store.view import viewing
from resumectl.report import console, json_documents
from resumectl.report.live_view import Frame, LiveSweep, first_lines, live_document, live_view
from resumectl.runner.stored_sweep import StoredSweep
from resumectl.runner.sweep_store import SweepStore
from resumectl.settings import Settings

_SWEEPS_MAX = 10
_SWEEPING = ("sweep", "resume", "worker")  # commands that run trials
_RATE_OVER_S = 5.0
_LOCKED_MAX_MS = 3_000


def watch(common: Common, *, once: bool, every_s: float) -> ExitCode:
    """Show what processes are doing.

    Args:
        common: Options of the command.
        once: Whether to print one frame and end.
        every_s: Time between two frames, in seconds.
    """
    common.start_logging()
    frames = Frames(common.settings())
    with frames.opened():
        if once:
            frame = frames.read()
            if common.as_json:
                json_documents.show(live_document(frame))
            else:
                console.show(*live_view(frame))
            return ExitCode.DONE
        target = console.console()
        if not target.is_terminal or common.as_json:
            raise Refusal(
                "watch needs a terminal",
                next_step="resumectl watch --once  prints one frame, also with --json",
            )
        _show(target, frames, every_s)
    return ExitCode.DONE


def _show(target: Console, frames: "Frames", every_s: float) -> None:
    """Show one frame after the other until Ctrl-C; the last one stays."""
    frame = frames.read()
    with (
        _until_a_signal() as has_come,
        Screen(_Page(frame), console=target, screen=True, auto_refresh=False) as screen,
    ):
        while not has_come(every_s):
            frame = frames.read_after(frame)
            screen.update(_Page(frame), refresh=True)
    console.show(*live_view(frame))


@contextmanager
def _until_a_signal() -> Iterator[Callable[[float], bool]]:
    """Yield a function that waits, and returns whether Ctrl-C, SIGTERM or SIGHUP has come.

    A KeyboardInterrupt could come in the middle of a query or of a frame. A second signal ends a query that
    waits, for a lock or a server. The function waits for a pipe: the lock of a `threading.Event` may be held
    already by the code that a signal interrupts.
    """
    reader, writer = os.pipe()

    def has_come(within_s: float) -> bool:
        return bool(select.select([reader], [], [], within_s)[0])

    def end(_number: int, _frame: object) -> None:
        if has_come(0):
            raise KeyboardInterrupt
        os.write(writer, b"\0")

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, end) for number in numbers]
    try:
        yield has_come
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)


def _wait_briefly(connection: sqlite3.Connection, _record: object) -> None:
    """Wait only briefly for a lock: Python handles Ctrl-C when the query has ended."""
    connection.execute(f"PRAGMA busy_timeout={_LOCKED_MAX_MS}")


def _identity(settings: Settings) -> tuple[int, int] | None:
    """Return device and inode of an SQLite file; None for a server."""
    if not settings.is_sqlite:
        return None
    found = settings.sqlite_path.stat()
    return found.st_dev, found.st_ino


class _Page:
    """A frame that fits the terminal; its last line says how many lines are left out."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def __rich_console__(self, target: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.lines(*live_view(self._frame), width=options.max_width)
        yield from first_lines(lines, options.max_height - 1)


def _state(sweep: StoredSweep, live: Live) -> str:
    """Return whether a sweep has ended, is running, or was left by its process."""
    if sweep.seconds is not None:
        return "ended"
    runs = (
        each.state in (RUNNING, FROZEN) and each.command in _SWEEPING for each in live.processes
    )
    return "running" if any(runs) else "unfinished"


class Frames:
    """Reads one frame after the other.

    Args:
        settings: Settings that name the database.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reader = LiveReader(settings)
        self._engine: sa.Engine | None = None
        self._file: tuple[int, int] | None = None
        # Time in seconds, and counts, of the frames of the last seconds.
        self._counts: deque[tuple[float, dict[str, int]]] = deque()

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Open the database, and close it at the end."""
        with failures_explained(self._settings):
            try:
                yield
            finally:
                if self._engine is not None:
                    self._engine.dispose()

    def read(self) -> Frame:
        """Return what processes are doing now; nothing as long as there is no database."""
        live = NOTHING
        sweeps: list[LiveSweep] = []
        engine = self._open()
        if engine is not None:
            with viewing(self._settings, engine) as view:
                live = self._reader.read(view)
            store = SweepStore(engine)
            for each in store.stored(limit=_SWEEPS_MAX):
                planned, verdicts = store.trials(each.id).verdicts(with_repetitions=False)
                state = _state(each, live)
                sweeps.append(LiveSweep(each.id, each.target, planned, verdicts, state))
        counts = {"deliveries": live.deliveries}
        if sweeps:
            counts["trials"] = sum(each.trials for each in sweeps)
        rates = self._rates(counts)
        return Frame(self._settings.shown_url, time.time_ns() // 1_000_000, live, sweeps, rates, "")

    def read_after(self, last: Frame) -> Frame:
        """Return what processes are doing now; the last frame with the reason if the database fails.

        Args:
            last: The frame before.
        """
        try:
            return self.read()
        except sa.exc.DBAPIError as error:
            return replace(last, failure=explain(error, self._settings).what)
        except MachineFailure as failure:
            return replace(last, failure=failure.what)

    def _rates(self, counts: dict[str, int]) -> dict[str, float]:
        """Return the number per second of each count, over the last seconds."""
        now = time.monotonic()
        while len(self._counts) > 1 and self._counts[0][0] < now - _RATE_OVER_S:
            self._counts.popleft()
        self._counts.append((now, counts))
        since, before = self._counts[0]
        return {
            what: max(0, count - before.get(what, 0)) / (now - since)
            for what, count in counts.items()
            if now > since
        }

    def _open(self) -> sa.Engine | None:
        """Return the engine; None as long as the database does not exist."""
        if self._settings.is_sqlite and not self._settings.sqlite_path.exists():
            if self._file is not None:
                raise MachineFailure(
                    f"{self._settings.sqlite_path.name} is gone", next_step="put it back"
                )
            return None
        file = _identity(self._settings)
        if self._engine is not None and file != self._file:  # another one has taken its place
            self._engine.dispose()
            self._engine, self._reader = None, LiveReader(self._settings)
        if self._engine is None:
            self._engine, self._file = open_engine(self._settings), file
            if self._settings.is_sqlite:
                event.listen(self._engine, "connect", _wait_briefly)
        with self._engine.connect() as connection:
            return self._engine if is_readable(connection) else None
