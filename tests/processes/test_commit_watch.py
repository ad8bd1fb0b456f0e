"""Transitions named from statements, and the watch that counts them, on real commits."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa
from conftest import DEADLINE_S

from resumectl.probe.sql_facts import Extractor, Fact, fact_extractors, no_body


def told(
    extractors: Sequence[Extractor],
    parameters: Mapping[str, object] | None = None,
    body: Callable[[], str | None] = no_body,
) -> list[Fact]:
    return [fact for extract in extractors for fact in extract([parameters or {}], body)]


@pytest.mark.parametrize(
    ("sql", "parameters", "named"),
    [
        (
            'INSERT INTO "dbos".workflow_status (workflow_uuid, status) VALUES (…)',
            {"workflow_uuid": "a-1", "status": "PENDING"},
            ["a-1/accepted"],
        ),
        (
            "INSERT INTO workflow_status (workflow_uuid, status) VALUES (…)",
            {"workflow_uuid": "a-1-2", "status": "ENQUEUED"},
            ["a-1-2/enqueued"],
        ),
        (
            "INSERT INTO operation_outputs (workflow_uuid, function_id) VALUES (…), (…)",
            {
                "workflow_uuid_m0": "a",
                "function_id_m0": 1,
                "workflow_uuid_m1": "b",
                "function_id_m1": 2,
            },
            ["a/step-1", "b/step-2"],
        ),
        (
            "WITH updated AS (UPDATE dbos.workflow_status SET status=…), stored AS (INSERT INTO"
            " dbos.workflow_output …) SELECT count(*) FROM updated",
            {"wf_id": "a-1", "new_status": "SUCCESS", "status_1": "PENDING"},
            ["a-1/succeeded"],
        ),
        (
            "UPDATE workflow_status SET status=? WHERE workflow_uuid = ? AND status = ?",
            {"status": "ERROR", "workflow_uuid_1": "a-1", "status_1": "PENDING"},
            ["a-1/failed"],
        ),
        (
            "INSERT INTO datasource_outputs (workflow_id, step_id) VALUES (…)",
            {"workflow_id": "a-1-7", "step_id": 1},
            ["a-1-7/transaction-1"],
        ),
        (
            "INSERT INTO deliveries (workflow_id) VALUES (…) ON CONFLICT DO UPDATE SET ignored = …",
            {"workflow_id": "a-1-7"},
            ["a-1-7/delivered"],
        ),
        (
            "UPDATE workflow_status SET status=? WHERE workflow_uuid IN (?, ?) AND status = ?",
            {"status": "PENDING", "workflow_uuid_1": ["a-1", "a-2"], "status_1": "ENQUEUED"},
            ["a-1/claimed", "a-2/claimed"],
        ),
        (
            "UPDATE workflow_status SET status=? WHERE workflow_uuid = ? AND status = ?",
            {"status": "ENQUEUED", "workflow_uuid_1": "a-1", "status_1": "PENDING"},
            ["a-1/requeued"],
        ),
        (
            "DELETE FROM datasource_outputs WHERE workflow_id = ? AND step_id >= ?",
            {"workflow_id_1": "a-1", "step_id_1": 1},
            ["a-1/transactions-cleared"],
        ),
        (
            "INSERT INTO workflow_status (workflow_uuid, status) VALUES (…)",
            {"workflow_uuid": "order #7, 50%", "status": "PENDING"},
            ["order%20%237%2C%2050%25/accepted"],
        ),
        (
            "DELETE FROM workflow_status WHERE workflow_uuid IN (__[POSTCOMPILE_workflow_uuid_1])",
            {"workflow_uuid_1": ["a-1", "a-2"]},
            ["a-1/deleted", "a-2/deleted"],
        ),
        (
            "INSERT INTO notifications (destination_uuid, topic) VALUES (…)",
            {"destination_uuid": "a-1", "topic": "paid"},
            ["a-1/notified"],
        ),
        ("INSERT OR REPLACE INTO orders VALUES (…)", {"id": 1}, ["orders/inserted"]),
        ('UPDATE "shop"."orders" SET paid = 1', {}, ["orders/updated"]),
        ("WITH gone AS (DELETE FROM carts RETURNING id) SELECT 1", {}, ["carts/deleted"]),
        ("SELECT id FROM orders FOR UPDATE", {}, []),
        ("SELECT * FROM deliveries", {}, []),
        ("UPDATE queues SET name=?", {"name": "q"}, []),
        ("INSERT INTO messages VALUES (…)", {"batch_id": "a-1"}, []),
    ],
)
def test_a_statement_says_what_it_makes_true(
    sql: str, parameters: dict[str, object], named: list[str]
) -> None:
    assert [fact.name for fact in told(fact_extractors(sql, True), parameters)] == named


def test_a_table_of_a_program_may_be_named_as_one_of_dboss() -> None:
    sql = 'INSERT INTO "shop".notifications (id) VALUES (1)'
    named = [fact.name for fact in told(fact_extractors(sql, False, frozenset({"dbos"})))]
    assert named == ["notifications/inserted"]
    sql = "INSERT INTO dbos.workflow_events (key) VALUES (1)"
    assert told(fact_extractors(sql, False, frozenset({"dbos"}))) == []


@pytest.mark.parametrize(
    ("sql", "does_more"),
    [
        ("INSERT INTO stock VALUES (?)", True),
        ("INSERT INTO stock VALUES (?) ON CONFLICT DO NOTHING", False),
        ("INSERT INTO stock AS s VALUES (?) ON CONFLICT (id) DO UPDATE SET n = s.n + 1", True),
        ("INSERT INTO stock VALUES (?) ON CONFLICT (id) DO UPDATE SET n = excluded.n", False),
        ('UPDATE stock SET name=?, "left"=(stock."left" - ?) WHERE stock.id = ?', True),
        ("UPDATE stock SET n = coalesce(n, 0) + 1", True),
        ("UPDATE stock SET n=%(n)s WHERE n - 1 = %(n_1)s", False),
        ("UPDATE stock SET n=:n", False),
        ("UPDATE stock SET n = greatest(n, 5), note = 'n = n + 1'", False),
        ("UPDATE stock SET data = data || ?, kind = data -> 'kind'", False),
        ("UPDATE stock SET total = price * 2", False),
        ("DELETE FROM stock WHERE n = n + 1", False),
    ],
)
def test_what_a_body_does_once_more_is_told_from_what_it_repeats(sql: str, does_more: bool) -> None:
    (fact,) = told(fact_extractors(sql), body=lambda: "w-1")
    assert (fact.by_body, fact.does_more_each_time) == ("w-1", does_more)


# A program that has nothing to do with DBOS: the watch knows statements and commits only.
PROGRAM = """
import os, sys, sqlalchemy as sa
from resumectl.model.crash_plan import CrashPlan
from resumectl.probe.commit_watch import CommitWatch, WatchedDatabase
from resumectl.probe.crash_trigger import CrashTrigger
path, plan, note = sys.argv[1], sys.argv[2], int(sys.argv[3])
def write(text):
    os.write(note, f"{text}\\n".encode())
trigger = CrashTrigger(CrashPlan.parse(plan).crashes[0], write)
CommitWatch(WatchedDatabase(f"sqlite:///{path}", has_publisher=True), trigger).arm()
engine = sa.create_engine(f"sqlite:///{path}")
table = sa.Table("deliveries", sa.MetaData(), sa.Column("workflow_id", sa.Text))
NOTHING = sa.select(sa.bindparam("workflow_id")).where(sa.false())
def deliver(connection, name):
    connection.execute(sa.insert(table).values(workflow_id=name))
with engine.begin() as c:
    deliver(c, "a-1")
with engine.connect() as c:
    deliver(c, "rolled-back")
    c.rollback()
with engine.begin() as c:
    deliver(c, "a-2")
    with c.begin_nested() as savepoint:
        deliver(c, "to-savepoint")
        inner = c.begin_nested()
        deliver(c, "to-inner-savepoint")
        savepoint.rollback()
with engine.connect() as c:
    deliver(c, "invalidated")
    c.invalidate()
with engine.connect() as c:
    # Before a WITH the driver begins no transaction; and a lower-case returning counts no rows.
    c.execute(sa.text("with n(id) as (select 'by-cte') insert into others select id from n"))
    c.execute(sa.text("insert into others values ('returned') returning workflow_id")).all()
    c.commit()
# As SQLAlchemy's manual has it: the driver begins no transaction, and the program does.
recipe = sa.create_engine(f"sqlite:///{path}")
@sa.event.listens_for(recipe, "connect")
def connected(raw, _record):
    raw.isolation_level = None
@sa.event.listens_for(recipe, "begin")
def begun(connection):
    connection.exec_driver_sql("BEGIN")
for end in ("rollback", "commit"):
    with recipe.connect() as c:
        c.execute(sa.text(f"/* by {end} */ INSERT INTO others VALUES ('{end}')"))
        getattr(c, end)()
recipe.dispose()
with engine.connect() as c:
    c.execute(sa.text("-- taken back\\n INSERT INTO others VALUES ('taken back')"))
    c.rollback()
with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as c:
    c.execute(sa.insert(table).from_select(["workflow_id"], NOTHING), {"workflow_id": "nothing"})
    deliver(c, "a-3")
try:
    with engine.begin() as c:
        deliver(c, "failing")
        c.execute(sa.text("no such statement"))
except sa.exc.OperationalError:
    pass
with engine.begin() as c:
    c.execute(sa.insert(table), [{"workflow_id": "a-4"}, {"workflow_id": "a-5"}])
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "watched.sqlite"
    engine = sa.create_engine(f"sqlite:///{found}")
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE deliveries (workflow_id TEXT)"))
        connection.execute(sa.text("CREATE TABLE others (workflow_id TEXT)"))
    engine.dispose()
    return found


def run(path: Path, plan: str, table: str = "deliveries") -> tuple[int, str, list[str]]:
    """Return the exit code, the crash point in the note, and the durable rows of a table."""
    reader, writer = os.pipe()
    code = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path), plan, str(writer)],
        pass_fds=(writer,),
        check=False,
        timeout=DEADLINE_S,
    ).returncode
    os.close(writer)
    with os.fdopen(reader) as note:
        reached = note.read().strip()
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        rows = list(connection.scalars(sa.text(f"SELECT workflow_id FROM {table}")))
    engine.dispose()
    return code, reached, rows


@pytest.mark.parametrize(
    ("plan", "reached", "durable"),
    [
        ("before:*/delivered", "before:a-1/delivered", []),
        ("after:*/delivered", "after:a-1/delivered", ["a-1"]),
        # What is rolled back, to a savepoint too, was never true and is not counted.
        ("before:*/delivered#2", "before:a-2/delivered", ["a-1"]),
        ("after:*/delivered#2", "after:a-2/delivered", ["a-1", "a-2"]),
        ("before:*/delivered#3", "before:a-3/delivered", ["a-1", "a-2"]),
        ("after:*/delivered#3", "after:a-3/delivered", ["a-1", "a-2", "a-3"]),
        # One commit, two transitions: both are durable, or neither.
        ("before:*/delivered#5", "before:a-5/delivered", ["a-1", "a-2", "a-3"]),
        ("after:*/delivered#4", "after:a-4/delivered", ["a-1", "a-2", "a-3", "a-4", "a-5"]),
    ],
)
def test_process_is_killed_on_its_side_of_the_commit(
    path: Path, plan: str, reached: str, durable: list[str]
) -> None:
    assert run(path, plan) == (-9, reached, durable)


@pytest.mark.parametrize(
    ("plan", "durable"),
    [
        ("before:others/inserted", []),
        ("after:others/inserted", ["by-cte"]),
        ("before:others/inserted#2", ["by-cte"]),
        ("after:others/inserted#2", ["by-cte", "returned"]),
        ("before:others/inserted#3", ["by-cte", "returned"]),
        ("after:others/inserted#3", ["by-cte", "returned", "commit"]),
    ],
)
def test_a_statement_may_be_written_in_any_way(path: Path, plan: str, durable: list[str]) -> None:
    reached = plan.partition("#")[0]
    assert run(path, plan, "others") == (-9, reached, durable)


@pytest.mark.parametrize("plan", ["after:*/delivered#6", "before:rolled-back/delivered"])
def test_what_never_becomes_durable_is_no_crash_point(path: Path, plan: str) -> None:
    assert run(path, plan) == (0, "", ["a-1", "a-2", "a-3", "a-4", "a-5"])


# On a server a statement in AUTOCOMMIT is committed without a word from here.
SERVER_PROGRAM = """
import gc, os, sys, threading, sqlalchemy as sa
from resumectl.model.crash_plan import CrashPlan
from resumectl.probe.commit_watch import CommitWatch, Listeners, WatchedDatabase
from resumectl.probe.crash_trigger import CrashTrigger
url, plan, note = sys.argv[1], sys.argv[2], int(sys.argv[3])
def write(text):
    os.write(note, f"{text}\\n".encode())
seen = threading.Semaphore(0)
def committed(facts):
    for fact in facts:
        write(fact.name)
        seen.release()
def survived(facts):
    pass
trigger = CrashTrigger(CrashPlan.parse(plan).crashes[0], write)
listeners = Listeners(on_commit=committed, on_survived=lambda facts: survived(facts))
watch = CommitWatch(WatchedDatabase(url), trigger, listeners)
watch.arm()
engine = sa.create_engine(url)
at_once = engine.execution_options(isolation_level="AUTOCOMMIT")
def execute(connection, sql, **values):
    return connection.execute(sa.text(sql), values)
def insert(engine, table, number):
    with engine.begin() as c:
        execute(c, f"INSERT INTO {table} VALUES (:n)", n=number)
"""

BOTH_EDGES = """
insert(at_once, "matched", 1)
insert(at_once, "matched", 2)
"""
AMONG_OTHERS = """
def others(first):
    for number in range(first, 10**6, 4):
        insert(at_once, "others", number)
for first in range(4):
    threading.Thread(target=others, args=[first], daemon=True).start()
for _ in range(40):
    seen.acquire()
insert(engine, "matched", 1)
"""
WAKING = """
def survived(facts):
    write("survived")
insert(at_once, "others", 1)
insert(engine, "others", 2)
insert(at_once, "matched", 1)
insert(engine, "matched", 2)
"""
AMONG_EFFECTS = """
def others():
    while True:
        with watch.not_before_kill():
            write("effect")
        seen.release()
for _ in range(4):
    threading.Thread(target=others, daemon=True).start()
for _ in range(40):
    seen.acquire()
insert(engine, "matched", 1)
"""
WAITING_FOR_ITS_LOCK = """
insert(engine, "others", 1)
waiting = sa.text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                  "AND datname = current_database()")
def update():
    with at_once.begin() as c:
        execute(c, "UPDATE others SET n = n + 10")
with engine.begin() as c, at_once.connect() as look:
    execute(c, "UPDATE others SET n = n + 1")
    execute(c, "INSERT INTO matched VALUES (1)")
    thread = threading.Thread(target=update)
    thread.start()
    while not look.scalar(waiting):
        pass
thread.join()
"""
COMES_TO_NOTHING = """
with at_once.connect() as c:
    execute(c, "INSERT INTO others VALUES (1)")  # takes one of two places, for good
    left_open = sa.create_engine(engine.url, poolclass=sa.NullPool, pool_reset_on_return=None)
    forgotten = left_open.connect()
    execute(forgotten, "INSERT INTO others VALUES (3)")
    del forgotten  # its connection is closed, and nothing is rolled back before
    gc.collect()
    for _ in range(3):
        try:
            execute(c, "INSERT INTO others VALUES (1)")
        except sa.exc.IntegrityError:
            pass
        execute(c, "INSERT INTO others VALUES (1) ON CONFLICT DO NOTHING")
    execute(c, "INSERT INTO others VALUES (2)")
third = threading.Thread(target=insert, args=[at_once, "others", 3], daemon=True)
third.start()
third.join(0.3)
os._exit(0)
"""


def run_on_server(url: str, plan: str, program: str) -> tuple[int, list[str], list[int], list[int]]:
    """Return the exit code, the note's lines, and the durable rows of two tables."""
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        for table in ("matched", "others"):
            connection.execute(sa.text(f"DROP TABLE IF EXISTS {table}"))
            connection.execute(sa.text(f"CREATE TABLE {table} (n INTEGER PRIMARY KEY)"))
    with tempfile.TemporaryFile("w+") as note:
        code = subprocess.run(
            [sys.executable, "-c", SERVER_PROGRAM + program,
             engine.url.render_as_string(hide_password=False), plan, str(note.fileno())],
            pass_fds=(note.fileno(),), check=False, timeout=DEADLINE_S,
        ).returncode  # fmt: skip
        note.seek(0)
        lines = note.read().split()
    with engine.begin() as connection:
        # What a killed client had sent may still be under way: no lock is had before it has ended.
        connection.execute(sa.text("LOCK TABLE matched, others"))
        matched, others = (
            sorted(connection.scalars(sa.text(f"SELECT n FROM {table}")))
            for table in ("matched", "others")
        )
    engine.dispose()
    return code, lines, matched, others


@pytest.mark.parametrize(
    ("plan", "durable"),
    [
        ("before:matched/inserted", []),
        ("after:matched/inserted", [1]),
        ("before:matched/inserted#2", [1]),
        ("after:matched/inserted#2", [1, 2]),
    ],
)
def test_a_commit_of_the_server_s_own_has_two_edges(
    postgres_url: str, plan: str, durable: list[int]
) -> None:
    code, lines, matched, _ = run_on_server(postgres_url, plan, BOTH_EDGES)
    assert (code, lines[-1], matched) == (-9, plan.partition("#")[0], durable)
    assert lines[:-1] == ["matched/inserted"] * len(durable)


@pytest.mark.parametrize("edge", ["before", "after"])
def test_the_server_commits_nothing_that_nobody_was_told_of(postgres_url: str, edge: str) -> None:
    for _ in range(5):
        plan = f"{edge}:matched/inserted"
        code, lines, matched, others = run_on_server(postgres_url, plan, AMONG_OTHERS)
        assert (code, lines[-1], matched) == (-9, plan, [1] if edge == "after" else [])
        assert lines.count("others/inserted") == len(others) >= 40


def test_thread_that_waits_for_a_commit_is_woken_when_no_kill_happens_there(
    postgres_url: str,
) -> None:
    code, lines, _, _ = run_on_server(postgres_url, "after:matched/inserted#2", WAKING)
    told = ["others/inserted"] * 2 + ["matched/inserted"] * 2
    every = [line for name in told for line in (name, "survived")]
    assert (code, lines) == (-9, [*every[:-1], "after:matched/inserted"])


def test_nothing_is_recorded_between_a_commit_and_the_kill(postgres_url: str) -> None:
    for _ in range(5):
        plan = "after:matched/inserted"
        code, lines, _, _ = run_on_server(postgres_url, plan, AMONG_EFFECTS)
        assert (code, lines[-2:]) == (-9, ["matched/inserted", plan])
        assert lines.count("effect") >= 40


def test_a_statement_may_wait_for_the_lock_of_the_transaction_that_matches(
    postgres_url: str,
) -> None:
    plan = "before:matched/inserted#2"
    code, lines, matched, others = run_on_server(postgres_url, plan, WAITING_FOR_ITS_LOCK)
    assert (code, matched, others) == (0, [1], [12])
    assert sorted(lines) == [
        "matched/inserted",
        "others/inserted",
        "others/updated",
        "others/updated",
    ]


def test_what_comes_to_nothing_takes_no_place_in_the_hold(postgres_url: str) -> None:
    plan = "before:matched/inserted+hold:others/inserted#2"
    code, lines, _, others = run_on_server(postgres_url, plan, COMES_TO_NOTHING)
    assert (code, lines, others) == (0, ["others/inserted"] * 2, [1, 2])
