"""What a command says is of one moment, wherever another process writes meanwhile.

Each reader is run once for each statement that it executes. Right after that statement a second
connection ends the batch, delivers the rest and releases the lock of its process. The answer must
be the one of before or the one of after, never one that was true at no time.
"""

import ast
import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from types import ModuleType
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from conftest import DEADLINE_S, MOSTLY_SQLITE, Workspace, seconds, wait_for
from in_process import look
from scene import MESSAGES, Scene, a_scene
from sqlalchemy import event

from resumectl.cli.common import Common
from resumectl.cli.flows import crash_after, publish, stored_sweeps
from resumectl.database import open_engine
from resumectl.model.crash_plan import CrashPlan
from resumectl.model.process_exit import ProcessExit
from resumectl.model.snapshot import Snapshot
from resumectl.publishing.store import batches, migration, records, takeover, workflows
from resumectl.publishing.store.processes import executor_locks
from resumectl.runner.crash_process import CrashedProcess
from resumectl.runner.sweep_store import SweepStore
from resumectl.storage.snapshot_reader import SnapshotReader


@pytest.fixture
def scene(workspace: Workspace) -> Iterator[Scene]:
    with a_scene(workspace) as found:
        yield found


@contextmanager
def let_in(after: int, writer: Callable[[], None]) -> Iterator[list[str]]:
    """Run the writer after that many statements of this process; yields the statements."""
    seen: list[str] = []

    def count(_c: Any, _cursor: Any, sql: str, *_rest: Any) -> None:
        seen.append(sql)
        if len(seen) == after:
            writer()

    event.listen(sa.Engine, "after_cursor_execute", count)
    try:
        yield seen
    finally:
        event.remove(sa.Engine, "after_cursor_execute", count)


def answers_between(
    set_up: Callable[[], None],
    writer: Callable[[], None],
    read: Callable[[], Any],
    letting_in: Callable[[int, Callable[[], None]], Any] = let_in,
) -> None:
    """Assert that the answer is of before or of after, whichever statement the writer follows."""
    set_up()
    before = read()
    writer()
    after = read()
    assert before != after
    set_up()
    with letting_in(0, writer) as statements:
        assert read() == before
    for number in range(1, len(statements) + 1):
        set_up()
        with letting_in(number, writer):
            found = read()
        assert found in (before, after), f"after statement {number}, {statements[number - 1]}"


COMMANDS = (
    ("state", "--check"),
    ("state", "--name", "alpha"),
    ("list-workflows", "--tree"),
    ("list-workflows", "--limit", "3"),
    ("steps", "alpha-1"),
    ("doctor",),
    ("resume",),
)


@pytest.mark.slow
@MOSTLY_SQLITE
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_what_a_command_says_was_true_at_one_moment(scene: Scene, command: Sequence[str]) -> None:
    def read() -> tuple[int, Any]:
        ran = look(scene.workspace, *command, "--json")
        return ran.code, ran.document

    answers_between(scene.set, scene.end, read)


def test_a_progress_bar_counts_at_one_moment(scene: Scene) -> None:
    engine = open_engine(scene.workspace.settings)
    answers_between(scene.set, scene.end, publish.look(engine, ["alpha-1"]))
    engine.dispose()


def test_what_a_crash_left_is_of_one_moment(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    common = Common(db_url=scene.workspace.url, as_json=True)
    plan = CrashPlan.parse("after:alpha-1-2/delivered")
    crashed = CrashedProcess(str(plan), ProcessExit(1, 9, None, in_time=True))

    batch = batches.Batch("alpha-1", "alpha", "exactly-once", MESSAGES, 0.0, is_new=True)

    def read() -> str:
        crash_after._report(common, batch, plan, crashed)
        return capsys.readouterr().out

    answers_between(scene.set, scene.end, read)


def test_what_a_trial_left_is_of_one_moment(scene: Scene) -> None:
    """Its process was killed, but a server may still be at what it was asked for last."""
    statements: list[str] = []
    let: tuple[int, Callable[[], None]] = 0, scene.end

    class Interrupted(SnapshotReader):
        def _rows(self, sql: str, **parts: str) -> list[Sequence[Any]]:
            rows = super()._rows(sql, **parts)
            statements.append(sql)
            if len(statements) == let[0]:
                let[1]()
            return rows

    @contextmanager
    def letting_in(after: int, writer: Callable[[], None]) -> Iterator[list[str]]:
        nonlocal let
        statements.clear()
        let = after, writer
        yield statements

    def read() -> Snapshot:
        with closing(Interrupted(scene.workspace.url)) as reader:
            return reader.read()

    answers_between(scene.set, scene.end, read, letting_in)


LATE = """
import sys, psycopg
with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    connection.execute(
        "INSERT INTO dbos.workflow_status (workflow_uuid, status, created_at, updated_at)"
        " SELECT 'late', 'SUCCESS', 1, 1 FROM pg_sleep({seconds})"
    )
"""


def test_what_a_server_commits_after_its_client_was_killed_is_seen(
    postgres_workspace: Workspace,
) -> None:
    assert look(postgres_workspace, "migrate").code == 0
    url = postgres_workspace.settings.url.set(drivername="postgresql")
    shown = url.render_as_string(hide_password=False)
    lasts = seconds(1)  # longer than it takes to look whether it is there
    process = subprocess.Popen([sys.executable, "-c", LATE.replace("{seconds}", lasts), shown])
    active = (
        "SELECT count(*) FROM pg_stat_activity"
        f" WHERE query LIKE '%pg_sleep({lasts})' AND state = 'active'"
    )
    wait_for("the statement", lambda: postgres_workspace.rows(active) == [(1,)])
    process.kill()
    process.wait()
    with closing(SnapshotReader(shown)) as reader:
        reader.wait_for_server(DEADLINE_S)
        assert [each.id for each in reader.read().workflows] == ["late"]


def test_a_statement_that_waits_for_ever_is_ended(postgres_workspace: Workspace) -> None:
    assert look(postgres_workspace, "migrate").code == 0
    url = postgres_workspace.settings.url.set(drivername="postgresql")
    shown = url.render_as_string(hide_password=False)
    with psycopg.connect(shown) as other, closing(SnapshotReader(shown)) as reader:
        reader.wait_for_server(DEADLINE_S)  # an idle connection is left alone
        assert other.execute("SELECT 1").fetchall() == [(1,)]
        process = subprocess.Popen([sys.executable, "-c", LATE.replace("{seconds}", "6000"), shown])
        active = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(6000)'"
        wait_for("the statement", lambda: postgres_workspace.rows(active) == [(1,)])
        process.kill()
        process.wait()
        reader.wait_for_server(0)
        assert reader.read().workflows == ()


@pytest.mark.slow
@MOSTLY_SQLITE
def test_what_is_listed_of_a_sweep_is_of_one_moment(workspace: Workspace) -> None:
    workspace.ok("sweep", "--count", "1", "--only", "*accepted*")
    half = "UPDATE trials SET verdict = NULL, ended_at_ms = NULL WHERE number > 1"
    scene = Scene(workspace, executor_locks(workspace.settings))
    kept = workspace.rows("SELECT number, verdict, ended_at_ms FROM trials WHERE number > 1")
    assert kept
    whole = [
        f"UPDATE trials SET verdict = '{verdict}', ended_at_ms = {at} WHERE number = {number}"
        for number, verdict, at in kept
    ]
    engine = open_engine(workspace.settings)

    def read() -> tuple[int, int]:
        result = stored_sweeps.result_of(SweepStore(engine), 1)
        return result.stored.trials, len(result.trials)

    answers_between(lambda: scene.write(half), lambda: scene.write(*whole), read)
    engine.dispose()


# ------------------------------------------------------------- locks, which no snapshot holds


def test_a_process_that_begins_meanwhile_is_not_told_as_dead(scene: Scene) -> None:
    scene.set()

    def forget() -> None:
        scene.write("DELETE FROM processes WHERE id = 2")
        if scene.locks.holds("local-2"):
            scene.locks.release("local-2")

    def begin() -> None:
        assert scene.locks.acquire("local-2")
        scene.locks.set_process("local-2", 2)
        scene.write(
            "INSERT INTO processes (id, executor_id, app_version, command, pid, host, started_at_ms)"
            " VALUES (2, 'local-2', 'resumectl-1', 'worker', 2, 'here', 1000)"
        )

    def running() -> str:
        checks = look(scene.workspace, "doctor", "--json").document["checks"]
        (seen,) = (each["seen"] for each in checks if each["what"] == "running")
        return str(seen)

    answers_between(forget, begin, running)


def test_a_dead_process_stays_dead_while_another_takes_over_its_work(scene: Scene) -> None:
    def ended() -> list[str]:
        (publisher,) = look(scene.workspace, "state", "--json").document["publishers"]
        return [process["ended"] for process in publisher["counters"]["processes"]]

    scene.set()
    assert ended() == ["running"]
    scene.locks.release("local")
    assert ended() == ["killed"]
    assert scene.locks.acquire("local")  # as an adopter does, and a process that begins
    assert ended() == ["killed"]


# ------------------------------------------------------------- the next reader


@pytest.mark.parametrize("module", [records, workflows, takeover])
def test_reader_of_several_statements_uses_one_snapshot(module: ModuleType) -> None:
    """A function that uses a plain connection twice would compare what does not belong together."""
    several = [
        function.name
        for function in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(function, ast.FunctionDef)
        for argument in function.args.args
        if argument.annotation and ast.unparse(argument.annotation) == "sa.Connection"
        if _uses(function, argument.arg) > 1
    ]
    assert several == []


def _uses(node: ast.AST, name: str) -> int:
    if isinstance(node, ast.Name):
        return int(node.id == name)
    repeated = node.body if isinstance(node, ast.For | ast.While) else []
    return sum(
        _uses(child, name) * (2 if child in repeated else 1) for child in ast.iter_child_nodes(node)
    )


def test_tables_that_another_process_makes_now(sqlite_workspace: Workspace) -> None:
    settings = sqlite_workspace.settings

    def set_up() -> None:
        for file in sqlite_workspace.directory.glob("*.sqlite*"):
            file.unlink()

    def writer() -> None:
        with closing_engine() as engine:
            migration.make_tables(settings, engine)

    def read() -> bool:
        with closing_engine() as engine, engine.connect() as connection:
            return migration.is_readable(connection)

    @contextmanager
    def closing_engine() -> Iterator[sa.Engine]:
        engine = open_engine(settings)
        yield engine
        engine.dispose()

    answers_between(set_up, writer, read)
