"""Refuse a database that another application uses.

A process that launches DBOS registers its version as the newest of its application, migrates
DBOS's tables, and takes work of all applications from DBOS's internal queue (DBOS 3.4.0). Reads
only.
"""

import os
from collections.abc import Iterator, Mapping

import sqlalchemy as sa

from resumectl.database import SCHEMA, Snapshot
from resumectl.errors import Refusal
from resumectl.model.dbos_table_names import DBOS_TABLE_NAMES
from resumectl.publishing.store.dbos_tables import (
    application_versions,
    has_dbos_tables,
    has_not_ended,
    is_resumectls,
    queues,
    workflow_status,
)
from resumectl.settings import DEFAULT_DATABASE_URL, OWN_URL_VARIABLE, Settings

# With this variable DBOS ignores its configuration, and takes name and database from the variables
# of DBOS Cloud (3.4.0).
_CLOUD_VARIABLE = "DBOS__CLOUD"


def refuse_other_applications(
    connection: Snapshot,
    settings: Settings,
    *,
    is_first_use: bool,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Check that no other application uses the database.

    Args:
        connection: Connection to the database, in a snapshot.
        settings: Settings that name the database.
        is_first_use: Whether resumectl has no tables there yet; then the database must be empty.
        environ: Environment variables.

    Raises:
        Refusal: Another application uses the database, or DBOS would run as another one.
    """
    if environ.get(_CLOUD_VARIABLE) == "true":
        raise Refusal(
            f"{_CLOUD_VARIABLE} is set: DBOS would run in the database of that application",
            next_step=f"unset {_CLOUD_VARIABLE}",
        )
    evidence = other_application(connection, settings, is_first_use=is_first_use)
    if evidence is not None:
        raise Refusal(
            f"another application uses the database {settings.shown_url}"
            f" (from {settings.url_source}): {evidence}",
            next_step=_own_database(settings),
        )


def other_application(
    connection: Snapshot, settings: Settings, *, is_first_use: bool
) -> str | None:
    """Return what another application has in the database; None if nothing.

    Args:
        connection: Connection to the database, in a snapshot.
        settings: Settings that name the database.
        is_first_use: Whether resumectl has no tables there yet.
    """
    if is_first_use:
        table = next(_tables_of_others(connection, settings), None)
        if table is not None:
            return f"the table {table}"
    if not has_dbos_tables(connection, settings):
        is_older = is_first_use and _has_any_dbos_table(connection, settings)
        return "the tables of another release of DBOS" if is_older else None
    w, v, q = workflow_status.c, application_versions.c, queues.c
    # All workflows are read only at the first use: they may be a million. An application that has
    # come since then has its version there, or work that has not ended.
    scope = sa.true() if is_first_use else has_not_ended()
    for kind, name, owner, condition in (
        ("version", v.version_name, v.application_name, sa.true()),
        ("queue", q.name, q.application_name, sa.true()),
        ("workflow", w.workflow_uuid, w.application_name, scope),
    ):
        query = sa.select(name, owner).where(condition, sa.not_(is_resumectls(owner))).limit(1)
        row = connection.execute(query).first()
        if row is not None:
            return f"the {kind} {row[0]} of {row[1] or 'an application without a name'}"
    return None


def _tables_of_others(connection: Snapshot, settings: Settings) -> Iterator[str]:
    """Yield the names of tables that neither DBOS nor resumectl created."""
    inspector = sa.inspect(connection)
    if settings.is_sqlite:
        yield from sorted(set(inspector.get_table_names()) - DBOS_TABLE_NAMES)
        return
    for schema in inspector.get_schema_names():
        if schema in (SCHEMA, "information_schema"):
            continue
        known = DBOS_TABLE_NAMES if schema == settings.dbos_schema else frozenset[str]()
        for table in sorted(set(inspector.get_table_names(schema)) - known):
            yield f"{schema}.{table}"


def _has_any_dbos_table(connection: Snapshot, settings: Settings) -> bool:
    schema = None if settings.is_sqlite else settings.dbos_schema
    return sa.inspect(connection).has_table(workflow_status.name, schema=schema)


def _own_database(settings: Settings) -> str:
    """Return the next step that gives resumectl a database of its own."""
    is_default = settings.url.render_as_string() == DEFAULT_DATABASE_URL
    url = "sqlite:///resumectl-own.sqlite" if is_default else DEFAULT_DATABASE_URL
    if settings.url_source == "--db-url":
        return f"--db-url {url}"
    return f"export {OWN_URL_VARIABLE}={url}"
