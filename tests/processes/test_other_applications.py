"""A database that another application of DBOS uses is left as it is, and that application works on.

The other application is real: processes of their own, which launch DBOS under its name.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import pytest
import sqlalchemy as sa
from conftest import DEADLINE_S, MOSTLY_SQLITE, Ran, Workspace, swept
from dbos import DBOS
from in_process import look

from resumectl.cli.common import Common
from resumectl.cli.flows.stored_sweeps import opened_store
from resumectl.database import open_engine, snapshot
from resumectl.errors import ExitCode, Refusal
from resumectl.publishing.store.migration import ensure_migrated, ensure_own
from resumectl.publishing.store.ownership import refuse_other_applications
from resumectl.settings import CONFIG_FILE_NAME, OWN_URL_VARIABLE, URL_VARIABLES, Settings

NAME = "corner-shop"
# What its own first process leaves: one workflow that has ended and two that wait. One is on
# the queue that every process of DBOS serves, whatever it says about queues.
SHOP = f"""
import sys
from dbos import DBOS, DBOSClient

URL = sys.argv[1]

@DBOS.step()
def charge(order: str) -> str:
    return order

@DBOS.workflow()
def checkout(order: str) -> str:
    return charge(order)

def launch():
    DBOS(config={{"name": "{NAME}", "system_database_url": URL, "application_version": "0.1.0"}})
    DBOS.launch()
    DBOS.register_queue("orders", polling_interval_sec=0.1)

if __name__ == "__main__" and sys.argv[2] == "open":
    launch()
    checkout("first")
    DBOS.destroy()
    client = DBOSClient(system_database_url=URL)
    options = {{"queue_name": "orders", "workflow_name": "checkout"}}
    client.enqueue({{**options, "workflow_id": "ordered"}}, "second")
    client.enqueue({{**options, "workflow_id": "again"}}, "third")
    client.cancel_workflow("again")
    client.resume_workflow("again")
elif __name__ == "__main__":
    launch()
    for order in ("ordered", "again"):
        print(DBOS.retrieve_workflow(order).get_result(polling_interval_sec=0.1))
    print("newest:", DBOS.get_latest_application_version()["version_name"])
    DBOS.destroy()
"""
PROGRAM = "shop.py"


def run_shop(workspace: Workspace, url: str, what: str) -> str:
    """Run one process of the other application to its end."""
    (workspace.directory / PROGRAM).write_text(SHOP)
    command = [sys.executable, PROGRAM, url, what]
    ran = subprocess.run(
        command, cwd=workspace.directory, capture_output=True, text=True, timeout=DEADLINE_S
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def works_on(workspace: Workspace, url: str) -> None:
    """Assert that the other application takes up its work, as the newest version of itself."""
    said = run_shop(workspace, url, "serve")
    assert said.splitlines()[-3:] == ["second", "third", "newest: 0.1.0"]


def rows(workspace: Workspace) -> Mapping[str, list[str]]:
    """Return every row of every table of the place's database."""
    engine = sa.create_engine(workspace.settings.url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        tables = sa.MetaData()
        for schema in sa.inspect(connection).get_schema_names():
            if schema != "information_schema":
                tables.reflect(connection, schema=schema)
        return {
            name: sorted(map(str, connection.execute(sa.select(table))))
            for name, table in tables.tables.items()
        }


@contextmanager
def left_as_it_is(workspace: Workspace) -> Iterator[None]:
    """Assert that no row of the place's database is another afterwards, nor any table."""
    before = rows(workspace)
    yield
    assert rows(workspace) == before


def refused(ran: Ran, evidence: str) -> None:
    assert ran.code == ExitCode.REFUSED, ran
    assert "another application uses the database" in ran.err
    assert evidence in ran.err
    assert "--db-url sqlite:///resumectl" in ran.err.split("next:")[1]


WRITING = [
    ("publish",),
    ("publish", "--detach"),
    ("crash-after", "1", "--count", "2"),
    ("sweep", f"{PROGRAM}:checkout", "--args", '["x"]'),
    ("resume",),
    ("worker",),
    ("migrate",),
]


@pytest.mark.slow
def test_no_command_writes_where_another_application_is(workspace: Workspace) -> None:
    run_shop(workspace, workspace.url, "open")
    with left_as_it_is(workspace):
        for command in WRITING:
            refused(look(workspace, *command), f"the version 0.1.0 of {NAME}")
        assert "another application" in look(workspace, "doctor").out
        for command in (("state",), ("list-workflows",), ("reset", "--yes")):
            assert look(workspace, *command).code == ExitCode.DONE
    works_on(workspace, workspace.url)


def test_a_refusal_names_a_database_that_can_be_used(sqlite_workspace: Workspace) -> None:
    url = f"sqlite:///{sqlite_workspace.directory / 'shop.sqlite'}"
    run_shop(sqlite_workspace, url, "open")
    workspace = replace(
        sqlite_workspace, environ={**sqlite_workspace.environ, URL_VARIABLES[0]: url}
    )
    ran = workspace.run("publish", "--count", "1")
    assert ran.code == ExitCode.REFUSED
    variable, _, value = ran.err.split("next:  export ")[1].strip().partition("=")
    assert variable == OWN_URL_VARIABLE
    replace(workspace, environ={**workspace.environ, variable: value}).ok("publish", "--count", "1")
    assert (workspace.directory / "resumectl.sqlite").exists()


@pytest.mark.slow
@MOSTLY_SQLITE
def test_a_sweep_beside_an_application_leaves_its_database_alone(workspace: Workspace) -> None:
    """The application's file is in the working directory, and its variable in the environment."""
    theirs = workspace.url
    if workspace.settings.is_sqlite:
        theirs = f"sqlite:///{workspace.directory / 'corner_shop.sqlite'}"
    run_shop(workspace, theirs, "open")
    (workspace.directory / CONFIG_FILE_NAME).write_text(
        f"name: {NAME}\nsystem_database_url: ${{{URL_VARIABLES[0]}}}\n"
    )
    workspace = replace(
        workspace,
        settings=Settings.resolve(db_url=theirs, environ={}),
        environ={**workspace.environ, URL_VARIABLES[0]: theirs},
    )
    with left_as_it_is(workspace):
        only = ("--only", "*/step-1", "--edge", "after")
        found = swept(workspace, f"{PROGRAM}:checkout", "--args", '["x"]', *only)
        assert found["verdicts"]["KEPT"] == 1
        ran = workspace.ok("publish", "--count", "1")
        assert (
            "resumectl's own database is sqlite:///resumectl.sqlite; not used:"
            f" {CONFIG_FILE_NAME} and {URL_VARIABLES[0]}, of the application {NAME}"
        ) in " ".join(ran.err.split())
    works_on(workspace, theirs)


@pytest.mark.slow
def test_an_application_that_comes_later_ends_what_resumectl_does_there(
    workspace: Workspace,
) -> None:
    engine = open_engine(workspace.settings)
    ensure_migrated(workspace.settings, engine)
    workspace.ok("publish", "--count", "1", "--detach")
    run_shop(workspace, workspace.url, "open")
    before = rows(workspace)
    for command in (*WRITING, ("cancel", "ordered"), ("fork", "alpha-1", "--from-step", "1")):
        refused(look(workspace, *command), f"the version 0.1.0 of {NAME}")
    assert rows(workspace) == before
    # What is of resumectl can be taken away, and nothing else goes with it.
    workspace.ok("reset", "--yes", "--db-url", workspace.url)
    kept = [row for row in before[_dbos_table(workspace, "workflow_status")] if "alpha" not in row]
    assert rows(workspace)[_dbos_table(workspace, "workflow_status")] == kept
    assert len(kept) == 3
    works_on(workspace, workspace.url)
    engine.dispose()


def _dbos_table(workspace: Workspace, name: str) -> str:
    return f"{'main' if workspace.settings.is_sqlite else workspace.settings.dbos_schema}.{name}"


# ---------------------------------------------------------------- what counts as another's


def evidence_in(workspace: Workspace) -> str:
    """What is said of the other application in the place's database."""
    engine = open_engine(workspace.settings)
    with pytest.raises(Refusal) as caught:
        ensure_own(workspace.settings, engine)
    engine.dispose()
    return caught.value.what.rpartition("): ")[2]


@MOSTLY_SQLITE
def test_work_that_waits_for_an_application_is_seen_before_its_first_launch(
    workspace: Workspace,
) -> None:
    engine = open_engine(workspace.settings)
    ensure_migrated(workspace.settings, engine)
    DBOS.migrate(workspace.url, schema=workspace.settings.dbos_schema)
    ensure_own(workspace.settings, engine)
    engine.dispose()
    workspace.execute(
        "INSERT INTO workflow_status (workflow_uuid, status, name, class_name, created_at,"
        " updated_at, queue_name, priority)"
        " VALUES ('w', 'ENQUEUED', 'f', 'Publisher', 1, 1, '_dbos_internal_queue', 0)"
    )
    assert evidence_in(workspace) == "the workflow w of an application without a name"
    workspace.execute("UPDATE workflow_status SET application_name = 'resumectl-b'")
    ensure_own(workspace.settings, engine)
    workspace.execute("UPDATE workflow_status SET application_name = 'resumectls'")
    assert evidence_in(workspace) == "the workflow w of resumectls"


@MOSTLY_SQLITE
def test_an_application_s_own_tables_count_before_the_first_use(workspace: Workspace) -> None:
    engine = open_engine(workspace.settings)
    DBOS.migrate(workspace.url, schema=workspace.settings.dbos_schema)
    ensure_own(workspace.settings, engine)  # DBOS's alone, and no row in them
    schema = "" if workspace.settings.is_sqlite else "public."
    workspace.execute(f"CREATE TABLE {schema}orders (id INTEGER)")
    assert evidence_in(workspace) == f"the table {schema}orders"


def test_tables_of_another_release_of_dbos_are_an_application_s(
    sqlite_workspace: Workspace,
) -> None:
    sqlite_workspace.execute("CREATE TABLE workflow_status (workflow_uuid TEXT)")
    assert evidence_in(sqlite_workspace) == "the tables of another release of DBOS"


def test_in_dbos_cloud_nothing_is_launched(sqlite_workspace: Workspace) -> None:
    engine = open_engine(sqlite_workspace.settings)
    with snapshot(engine) as connection, pytest.raises(Refusal) as caught:
        refuse_other_applications(
            connection,
            sqlite_workspace.settings,
            is_first_use=True,
            environ={"DBOS__CLOUD": "true"},
        )
    assert caught.value.next_step == "unset DBOS__CLOUD"


def test_a_sweep_says_when_a_variable_of_applications_gives_it_its_database(
    sqlite_workspace: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = URL_VARIABLES[0]
    monkeypatch.setenv(variable, sqlite_workspace.url)
    monkeypatch.delenv(OWN_URL_VARIABLE, raising=False)
    common = Common(executor=str(sqlite_workspace.directory.stat().st_ino))  # settings of its own
    for times in (1, 0):  # the first use, and a later one
        with opened_store(common):
            said = " ".join(capsys.readouterr().err.split())
            assert said.count(f"resumectl's own database is {sqlite_workspace.url}") == times
            assert said.count(f"(from {variable})") == times
