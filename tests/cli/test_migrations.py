"""Migrations: equal to the models, there and back, and safe with many first users.

On SQLite and on PostgreSQL. DBOS's own tables are DBOS's to migrate, and are left alone.
"""

import sqlite3
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from conftest import CHECKOUT, DEADLINE_S, Ran, Workspace

from resumectl.database import SCHEMA, open_engine
from resumectl.errors import ExitCode
from resumectl.publishing.store.migration import (
    current_revision,
    ensure_migrated,
    is_migrated,
    scripts_directory,
)
from resumectl.publishing.store.models import SCHEMA_REVISION, VERSION_TABLE, metadata
from resumectl.settings import Settings

# More than any migration will ever be numbered.
NEWER = "9999"
COMMANDS = Path(sys.executable).parent  # where `alembic` is installed


def own_engine(settings: Settings) -> sa.Engine:
    """An engine for which resumectl's tables are those of the default schema."""
    if settings.is_sqlite:
        return sa.create_engine(settings.url)
    return sa.create_engine(settings.url, connect_args={"options": f"-c search_path={SCHEMA}"})


def migrate(workspace: Workspace) -> None:
    """Bring resumectl's tables to the newest migration, as every first use does."""
    engine = open_engine(workspace.settings)
    ensure_migrated(workspace.settings, engine)
    engine.dispose()


def alembic(workspace: Workspace, function: Any, revision: str) -> None:
    """An Alembic command on the place's database, with the migrations of the checkout."""
    engine = open_engine(workspace.settings)
    config = Config(str(scripts_directory() / "alembic.ini"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        function(config, revision)
    engine.dispose()


def differences(workspace: Workspace) -> list[Any]:
    """What Alembic would still have to do for the database to equal the models."""
    engine = own_engine(workspace.settings)
    options = {
        "version_table": VERSION_TABLE,
        "compare_type": True,
        "compare_server_default": True,
    }
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        found: list[Any] = compare_metadata(context, metadata)
    engine.dispose()
    return found


def described(settings: Settings) -> dict[str, Any]:
    """Everything that SQLAlchemy can tell of each of resumectl's tables."""
    engine = own_engine(settings)
    inspector = sa.inspect(engine)
    tables = {
        name: {
            "columns": [{**c, "type": str(c["type"])} for c in inspector.get_columns(name)],
            "primary key": inspector.get_pk_constraint(name),
            "foreign keys": sorted(inspector.get_foreign_keys(name), key=str),
            "unique": sorted(inspector.get_unique_constraints(name), key=str),
            "indexes": sorted(inspector.get_indexes(name), key=str),
            "options": inspector.get_table_options(name),
        }
        for name in inspector.get_table_names()
        if name != VERSION_TABLE
    }
    engine.dispose()
    return tables


def table_names(workspace: Workspace) -> set[str]:
    """The names of all of resumectl's tables."""
    engine = own_engine(workspace.settings)
    names = set(sa.inspect(engine).get_table_names())
    engine.dispose()
    return names


# ---------------------------------------------------------------- equal to the models


def test_an_empty_database_upgraded_equals_the_models(workspace: Workspace) -> None:
    migrate(workspace)
    assert table_names(workspace) == {*metadata.tables, VERSION_TABLE}
    assert differences(workspace) == []


@pytest.mark.parametrize(
    "change",
    [
        "DROP INDEX {schema}ix_deliveries_message",
        "CREATE INDEX ix_more ON {schema}deliveries (publisher)",
        "CREATE UNIQUE INDEX uq_more ON {schema}publishers (created_at_ms)",
        "ALTER TABLE {schema}processes DROP COLUMN how",
        "ALTER TABLE {schema}processes ADD COLUMN more TEXT",
        "CREATE TABLE {schema}more (id INTEGER)",
    ],
)
def test_the_comparison_sees_a_change(workspace: Workspace, change: str) -> None:
    migrate(workspace)
    workspace.execute(change.format(schema="" if workspace.settings.is_sqlite else f"{SCHEMA}."))
    assert differences(workspace) != []


def test_names_and_options_are_those_of_the_models_too(
    workspace: Workspace, tmp_path: Path
) -> None:
    """What Alembic does not compare: names of keys, orders of columns, SQLite's AUTOINCREMENT."""
    migrate(workspace)
    migrated = described(workspace.settings)
    other = workspace.settings
    if workspace.settings.is_sqlite:
        other = Settings.resolve(db_url=f"sqlite:///{tmp_path / 'other.sqlite'}", environ={})
    else:
        workspace.execute(f"DROP SCHEMA {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA}")
    engine = open_engine(other)
    metadata.create_all(engine)
    engine.dispose()
    created = described(other)
    assert created == migrated
    assert set(created) == set(metadata.tables)


def test_the_models_know_the_newest_migration() -> None:
    scripts = ScriptDirectory.from_config(Config(str(scripts_directory() / "alembic.ini")))
    assert scripts.get_heads() == [SCHEMA_REVISION]
    # A newer database is told by comparing numbers as text.
    numbers = [script.revision for script in scripts.walk_revisions()]
    assert all(len(number) == len(NEWER) and number.isdigit() for number in numbers)
    assert numbers == sorted(numbers, reverse=True)


# ---------------------------------------------------------------- there and back


def test_down_to_base_and_up_again(workspace: Workspace) -> None:
    migrate(workspace)
    alembic(workspace, command.downgrade, "base")
    assert table_names(workspace) == {VERSION_TABLE}
    engine = open_engine(workspace.settings)
    with engine.connect() as connection:
        assert current_revision(connection) is None
        assert not is_migrated(connection)
    engine.dispose()
    migrate(workspace)
    assert differences(workspace) == []


def test_the_way_down_leaves_dbos_s_tables_alone(workspace: Workspace) -> None:
    workspace.ok("publish", "--count", "1")
    before = workspace.rows("SELECT workflow_uuid, status FROM workflow_status ORDER BY 1")
    alembic(workspace, command.downgrade, "base")
    assert workspace.rows("SELECT workflow_uuid, status FROM workflow_status ORDER BY 1") == before
    assert len(before) == 2


@pytest.mark.slow
def test_the_alembic_command_migrates_from_a_checkout(workspace: Workspace) -> None:
    def run(*arguments: str) -> str:
        ran = subprocess.run(
            [COMMANDS / "alembic", *arguments],
            cwd=CHECKOUT,
            env={
                **workspace.environ,
                "ALEMBIC_CONFIG": "migrations/alembic.ini",
                "DBOS_SYSTEM_DATABASE_URL": workspace.url,
            },
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    run("upgrade", "head")
    assert differences(workspace) == []
    assert SCHEMA_REVISION in run("current")
    run("downgrade", "base")
    assert table_names(workspace) == {VERSION_TABLE}


# ---------------------------------------------------------------- a newer database


def everything(workspace: Workspace) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, resumectl's and DBOS's."""
    engine = sa.create_engine(workspace.settings.url)
    found = {}
    with engine.connect() as connection:
        inspector = sa.inspect(connection)
        schemas = (
            [None] if workspace.settings.is_sqlite else [SCHEMA, workspace.settings.dbos_schema]
        )
        for schema in schemas:
            for name in inspector.get_table_names(schema=schema):
                table = sa.table(name, schema=schema)
                rows = connection.execute(sa.select(sa.text("*")).select_from(table))
                found[f"{schema}.{name}"] = sorted((tuple(row) for row in rows), key=repr)
    engine.dispose()
    return found


def refused_by_each(workspace: Workspace, commands: list[tuple[str, ...]]) -> None:
    """None of the commands works on a database of a newer resumectl, nor changes it."""
    workspace.ok("publish", "--count", "1")
    workspace.execute(f"UPDATE {VERSION_TABLE} SET version_num = '{NEWER}'")
    before = everything(workspace)
    assert sum(map(len, before.values())) > 4
    for arguments in commands:
        ran = workspace.run(*arguments)
        assert ran.code == ExitCode.REFUSED, (arguments, ran)
        assert f"migration {NEWER}" in ran.out + ran.err, arguments
        assert "pip install --upgrade resumectl" in ran.out + ran.err, arguments
        assert "Traceback" not in ran.err, arguments
    assert everything(workspace) == before


@pytest.mark.slow
def test_a_database_of_a_newer_resumectl_is_refused_and_left_as_it_is(workspace: Workspace) -> None:
    refused_by_each(workspace, [("publish", "--count", "1"), ("state",), ("migrate",)])


@pytest.mark.long
def test_every_command_refuses_a_database_of_a_newer_resumectl(sqlite_workspace: Workspace) -> None:
    refused_by_each(
        sqlite_workspace,
        [
            ("publish", "--count", "1", "--detach"),
            ("crash-after", "1"),
            ("resume",),
            ("worker",),
            ("list-workflows",),
            ("steps", "alpha-1"),
            ("cancel", "alpha-1"),
            ("fork", "alpha-1", "--from-step", "1"),
            ("reset", "--yes"),
            ("doctor",),
        ],
    )


# ---------------------------------------------------------------- many first users


@pytest.mark.parametrize(
    "time", [0, *(pytest.param(time, marks=pytest.mark.long) for time in (1, 2))]
)
def test_two_first_users_at_once_both_succeed(workspace: Workspace, time: int) -> None:
    del time
    processes = [
        workspace.start("publish", "--name", name, "--count", "1", "--json") for name in ("a", "b")
    ]
    for process in processes:
        out, err = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0, (out, err)
    assert workspace.rows("SELECT batch_id FROM deliveries ORDER BY 1") == [("a-1",), ("b-1",)]
    assert workspace.rows(f"SELECT version_num FROM {VERSION_TABLE}") == [(SCHEMA_REVISION,)]


def test_a_first_user_waits_for_another_program_s_write(sqlite_workspace: Workspace) -> None:
    """As another first user's, or `dbos migrate`'s: SQLite does not wait by itself here."""
    path = sqlite_workspace.settings.sqlite_path
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = threading.Thread(target=migrate, args=[sqlite_workspace], daemon=True)
    waiting.start()
    # What it raises there is an error by pytest's settings; and it must not be over yet.
    waiting.join(timeout=0.5)
    assert waiting.is_alive()
    other.execute("COMMIT")
    waiting.join(timeout=DEADLINE_S)
    assert not waiting.is_alive()
    other.close()
    assert differences(sqlite_workspace) == []
    assert sqlite_workspace.rows("PRAGMA journal_mode") == [("wal",)]


# ---------------------------------------------------------------- a role that may not


@pytest.fixture
def restricted_role(postgres_workspace: Workspace) -> Iterator[str]:
    """A role that may connect to the place's database, and create nothing in it."""
    role = f"test_{uuid.uuid4().hex[:12]}"
    # libpq does not know the name of a driver.
    url = postgres_workspace.settings.url.set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{role}'".encode())
        yield role
        connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def as_role(workspace: Workspace, role: str) -> Workspace:
    """The same database, by another role."""
    url = workspace.settings.url.set(username=role, password=role)
    text = url.render_as_string(hide_password=False)
    environ = {**workspace.environ, "DBOS_SYSTEM_DATABASE_URL": text}
    return replace(workspace, settings=Settings.resolve(db_url=text, environ={}), environ=environ)


def command_said(ran: Ran, *, url: str) -> list[str]:
    """The arguments of the resumectl command in the next step, ready to be run."""
    (line,) = [each for each in ran.err.splitlines() if each.startswith("next:")]
    _before, found, arguments = line.partition("resumectl migrate")
    assert found, line
    return ["migrate", *(url if each == "URL" else each for each in arguments.split())]


def test_a_role_that_may_not_create_tables_is_told_the_command_that_does(
    postgres_workspace: Workspace, restricted_role: str
) -> None:
    restricted = as_role(postgres_workspace, restricted_role)
    ran = restricted.run("publish", "--count", "1")
    assert ran.code == ExitCode.MACHINE_FAILED, ran
    assert f"the role {restricted_role} may not create" in ran.err
    assert f":{restricted_role}@" not in ran.err  # its password
    assert "Traceback" not in ran.err
    engine = sa.create_engine(postgres_workspace.settings.url)
    assert not {SCHEMA, "dbos"} & set(sa.inspect(engine).get_schema_names())
    engine.dispose()
    postgres_workspace.ok(*command_said(ran, url=postgres_workspace.url))
    assert differences(postgres_workspace) == []


@pytest.mark.slow
def test_after_that_command_the_role_may_work(
    postgres_workspace: Workspace, restricted_role: str
) -> None:
    restricted = as_role(postgres_workspace, restricted_role)
    migrate(postgres_workspace)
    # The tables are there, and nobody has let the role in.
    ran = restricted.run("publish", "--count", "1")
    assert ran.code == ExitCode.MACHINE_FAILED, ran
    postgres_workspace.ok(*command_said(ran, url=postgres_workspace.url))
    # Exactly once: the checkpoint's table is one that the role may not create either.
    assert restricted.document("publish", "--count", "2")["totals"]["delivered"] == 2
