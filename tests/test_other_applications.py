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
from conftest import DEADLINE_S, MOSTLY_SQLITE, Place, Ran, swept
from dbos import DBOS
from test_commands import look

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


def run_shop(place: Place, url: str, what: str) -> str:
    """Run one process of the other application to its end."""
    (place.directory / PROGRAM).write_text(SHOP)
    command = [sys.executable, PROGRAM, url, what]
    ran = subprocess.run(
        command, cwd=place.directory, capture_output=True, text=True, timeout=DEADLINE_S
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def works_on(place: Place, url: str) -> None:
    """Assert that the other application takes up its work, as the newest version of itself."""
    said = run_shop(place, url, "serve")
    assert said.splitlines()[-3:] == ["second", "third", "newest: 0.1.0"]


def rows(place: Place) -> Mapping[str, list[str]]:
    """Return every row of every table of the place's database."""
    engine = sa.create_engine(place.settings.url, poolclass=sa.NullPool)
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
def left_as_it_is(place: Place) -> Iterator[None]:
    """Assert that no row of the place's database is another afterwards, nor any table."""
    before = rows(place)
    yield
    assert rows(place) == before


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


def test_no_command_writes_where_another_application_is(place: Place) -> None:
    run_shop(place, place.url, "open")
    with left_as_it_is(place):
        for command in WRITING:
            refused(look(place, *command), f"the version 0.1.0 of {NAME}")
        assert "another application" in look(place, "doctor").out
        for command in (("state",), ("list-workflows",), ("reset", "--yes")):
            assert look(place, *command).code == ExitCode.DONE
    works_on(place, place.url)


def test_a_refusal_names_a_database_that_can_be_used(sqlite_place: Place) -> None:
    url = f"sqlite:///{sqlite_place.directory / 'shop.sqlite'}"
    run_shop(sqlite_place, url, "open")
    place = replace(sqlite_place, environ={**sqlite_place.environ, URL_VARIABLES[0]: url})
    ran = place.run("publish", "--count", "1")
    assert ran.code == ExitCode.REFUSED
    variable, _, value = ran.err.split("next:  export ")[1].strip().partition("=")
    assert variable == OWN_URL_VARIABLE
    replace(place, environ={**place.environ, variable: value}).ok("publish", "--count", "1")
    assert (place.directory / "resumectl.sqlite").exists()


@MOSTLY_SQLITE
def test_a_sweep_beside_an_application_leaves_its_database_alone(place: Place) -> None:
    """The application's file is in the working directory, and its variable in the environment."""
    theirs = place.url
    if place.settings.is_sqlite:
        theirs = f"sqlite:///{place.directory / 'corner_shop.sqlite'}"
    run_shop(place, theirs, "open")
    (place.directory / CONFIG_FILE_NAME).write_text(
        f"name: {NAME}\nsystem_database_url: ${{{URL_VARIABLES[0]}}}\n"
    )
    place = replace(
        place,
        settings=Settings.resolve(db_url=theirs, environ={}),
        environ={**place.environ, URL_VARIABLES[0]: theirs},
    )
    with left_as_it_is(place):
        only = ("--only", "*/step-1", "--edge", "after")
        found = swept(place, f"{PROGRAM}:checkout", "--args", '["x"]', *only)
        assert found["verdicts"]["KEPT"] == 1
        ran = place.ok("publish", "--count", "1")
        assert (
            "resumectl's own database is sqlite:///resumectl.sqlite; not used:"
            f" {CONFIG_FILE_NAME} and {URL_VARIABLES[0]}, of the application {NAME}"
        ) in " ".join(ran.err.split())
    works_on(place, theirs)


def test_an_application_that_comes_later_ends_what_resumectl_does_there(place: Place) -> None:
    engine = open_engine(place.settings)
    ensure_migrated(place.settings, engine)
    place.ok("publish", "--count", "1", "--detach")
    run_shop(place, place.url, "open")
    before = rows(place)
    for command in (*WRITING, ("cancel", "ordered"), ("fork", "alpha-1", "--from-step", "1")):
        refused(look(place, *command), f"the version 0.1.0 of {NAME}")
    assert rows(place) == before
    # What is of resumectl can be taken away, and nothing else goes with it.
    place.ok("reset", "--yes", "--db-url", place.url)
    kept = [row for row in before[_dbos_table(place, "workflow_status")] if "alpha" not in row]
    assert rows(place)[_dbos_table(place, "workflow_status")] == kept
    assert len(kept) == 3
    works_on(place, place.url)
    engine.dispose()


def _dbos_table(place: Place, name: str) -> str:
    return f"{'main' if place.settings.is_sqlite else place.settings.dbos_schema}.{name}"


# ---------------------------------------------------------------- what counts as another's


def evidence_in(place: Place) -> str:
    """What is said of the other application in the place's database."""
    engine = open_engine(place.settings)
    with pytest.raises(Refusal) as caught:
        ensure_own(place.settings, engine)
    engine.dispose()
    return caught.value.what.rpartition("): ")[2]


@MOSTLY_SQLITE
def test_work_that_waits_for_an_application_is_seen_before_its_first_launch(place: Place) -> None:
    engine = open_engine(place.settings)
    ensure_migrated(place.settings, engine)
    DBOS.migrate(place.url, schema=place.settings.dbos_schema)
    ensure_own(place.settings, engine)
    engine.dispose()
    place.execute(
        "INSERT INTO workflow_status (workflow_uuid, status, name, class_name, created_at,"
        " updated_at, queue_name, priority)"
        " VALUES ('w', 'ENQUEUED', 'f', 'Publisher', 1, 1, '_dbos_internal_queue', 0)"
    )
    assert evidence_in(place) == "the workflow w of an application without a name"
    place.execute("UPDATE workflow_status SET application_name = 'resumectl-lab'")
    ensure_own(place.settings, engine)
    place.execute("UPDATE workflow_status SET application_name = 'resumectls'")
    assert evidence_in(place) == "the workflow w of resumectls"


@MOSTLY_SQLITE
def test_an_application_s_own_tables_count_before_the_first_use(place: Place) -> None:
    engine = open_engine(place.settings)
    DBOS.migrate(place.url, schema=place.settings.dbos_schema)
    ensure_own(place.settings, engine)  # DBOS's alone, and no row in them
    schema = "" if place.settings.is_sqlite else "public."
    place.execute(f"CREATE TABLE {schema}orders (id INTEGER)")
    assert evidence_in(place) == f"the table {schema}orders"


def test_tables_of_another_release_of_dbos_are_an_application_s(sqlite_place: Place) -> None:
    sqlite_place.execute("CREATE TABLE workflow_status (workflow_uuid TEXT)")
    assert evidence_in(sqlite_place) == "the tables of another release of DBOS"


def test_in_dbos_cloud_nothing_is_launched(sqlite_place: Place) -> None:
    engine = open_engine(sqlite_place.settings)
    with snapshot(engine) as connection, pytest.raises(Refusal) as caught:
        refuse_other_applications(
            connection,
            sqlite_place.settings,
            is_first_use=True,
            environ={"DBOS__CLOUD": "true"},
        )
    assert caught.value.next_step == "unset DBOS__CLOUD"


def test_a_sweep_says_when_a_variable_of_applications_gives_it_its_database(
    sqlite_place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = URL_VARIABLES[0]
    monkeypatch.setenv(variable, sqlite_place.url)
    monkeypatch.delenv(OWN_URL_VARIABLE, raising=False)
    common = Common(executor=str(sqlite_place.directory.stat().st_ino))  # settings of its own
    for times in (1, 0):  # the first use, and a later one
        with opened_store(common):
            said = " ".join(capsys.readouterr().err.split())
            assert said.count(f"resumectl's own database is {sqlite_place.url}") == times
            assert said.count(f"(from {variable})") == times
