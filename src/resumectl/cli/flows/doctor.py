"""`doctor`: check the database, and show the next step for each problem."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import sqlalchemy as sa

from resumectl.cli.common import Common
from resumectl.database import explain, failures_explained, open_engine
from resumectl.errors import ExitCode, MachineFailure, Refusal
from resumectl.publishing.store import records, takeover, workflows
from resumectl.publishing.store.dbos_tables import has_dbos_tables
from resumectl.publishing.store.migration import ensure_own, is_migrated, refuse_old_sqlite
from resumectl.publishing.store.view import viewing
from resumectl.publishing.store.workflows import WorkflowFilter
from resumectl.release import dbos_release, require_dbos
from resumectl.report import console, json_documents
from resumectl.report.sheet import Sheet, sentences, words
from resumectl.report.sweep_header import interpreter_text
from resumectl.runner.interpreters import find_interpreter
from resumectl.settings import OWN_URL_VARIABLE, URL_VARIABLES, Settings
from resumectl.text import counted


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """The result of one check."""

    what: str
    seen: str
    next_step: str = ""  # empty if nothing is to be done


def examine(common: Common) -> ExitCode:
    """Run all checks and show their results."""
    common.start_logging()
    settings = common.settings()
    checks = [HealthCheck("database", f"{settings.shown_url} (from {settings.url_source})")]
    if settings.not_used:
        checks.append(
            HealthCheck(
                "other application",
                f"not used: {settings.not_used}",
                f"export {OWN_URL_VARIABLE}={settings.shown_url}  to silence this",
            )
        )
    if settings.url_source == URL_VARIABLES[1]:
        checks.append(
            HealthCheck(
                "dbos command",
                f"does not read {URL_VARIABLES[1]}",
                f"export {URL_VARIABLES[0]}=${URL_VARIABLES[1]}  for both to agree",
            )
        )
    failure: Refusal | None = None
    try:
        require_dbos()
        checks.append(HealthCheck("dbos", dbos_release()))
        checks.append(_interpreter())
        checks.extend(_look(settings))
    except Refusal as refusal:
        failure = refusal
        checks.append(HealthCheck("usable", f"no: {refusal.what}", refusal.next_step))
    checks = [replace(each, next_step=common.retyped(each.next_step)) for each in checks]
    if common.as_json:
        json_documents.show(
            {
                "checks": [{"what": f.what, "seen": f.seen, "next": f.next_step} for f in checks],
                "healthy": failure is None,
            }
        )
    else:
        console.show(
            Sheet(
                "Doctor",
                [words("what"), sentences("seen"), sentences("next")],
                [[f.what, f.seen, f.next_step or "nothing to do"] for f in checks],
            )
        )
    return failure.exit_code if failure else ExitCode.DONE


def _interpreter() -> HealthCheck:
    """Return which interpreter runs a target of the working directory."""
    try:
        found = find_interpreter(None, Path.cwd())
    except Refusal as refusal:
        return HealthCheck("target's python", f"no: {refusal.what}", refusal.next_step)
    return HealthCheck("target's python", interpreter_text(found))


def _look(settings: Settings) -> list[HealthCheck]:
    if settings.is_sqlite and not settings.sqlite_path.exists():
        directory = settings.sqlite_path.absolute().parent
        if not os.access(directory, os.W_OK):
            raise MachineFailure(
                f"{directory} is not there, or nothing can be written there",
                next_step="create it, or name another file:  --db-url sqlite:///FILE",
            )
        refuse_old_sqlite(settings)
        return [HealthCheck("reachable", "not there yet", "resumectl publish  creates it")]
    engine = open_engine(settings)
    try:
        with failures_explained(settings), engine.connect() as connection:
            checks = [_version(connection)]
        ensure_own(settings, engine)
        with failures_explained(settings), engine.connect() as connection:
            if not is_migrated(connection):
                refuse_old_sqlite(settings)
                return [*checks, HealthCheck("migrations", "missing", "resumectl migrate")]
            checks.append(HealthCheck("migrations", "up to date"))
        with failures_explained(settings), viewing(settings, engine) as view:
            connection = view.connection
            if not has_dbos_tables(connection, settings):
                return [*checks, HealthCheck("DBOS's tables", "missing", "resumectl migrate")]
            seen = takeover.survey(view, settings)
            processes = records.read_processes(view)
            status = "MAX_RECOVERY_ATTEMPTS_EXCEEDED"
            # A resumed batch takes its messages along: name a batch if there is one.
            dead_lettered = workflows.list_workflows(
                connection, WorkflowFilter(status=status, roots_only=True), limit=1
            ) or workflows.list_workflows(connection, WorkflowFilter(status=status), limit=1)
    except sa.exc.SQLAlchemyError as error:
        raise explain(error, settings) from error
    finally:
        engine.dispose()
    running = [process for process in processes if process.ended == "running"]
    waiting = len(seen.available) + len(seen.unstarted)
    checks.append(HealthCheck("running", counted(len(running), "process", "processes")))
    checks.append(
        HealthCheck(
            "unfinished", counted(waiting, "workflow"), "resumectl resume" if waiting else ""
        )
    )
    for reason, next_step in dict.fromkeys((b.reason, b.next_step) for b in seen.blocked):
        count = sum(b.reason == reason for b in seen.blocked)
        checks.append(
            HealthCheck(
                "stranded" if "version" in reason else "in hand",
                f"{counted(count, 'workflow')} {reason}",
                next_step,
            )
        )
    if dead_lettered:
        first = dead_lettered[0].id
        checks.append(
            HealthCheck("dead-lettered", f"{first} at least", f"resumectl resume {first}")
        )
    return checks


def _version(connection: sa.Connection) -> HealthCheck:
    if connection.dialect.name == "sqlite":
        version = f"SQLite {connection.scalar(sa.text('SELECT sqlite_version()'))}"
    else:
        version = f"PostgreSQL {connection.scalar(sa.text('SHOW server_version'))}"
    return HealthCheck("reachable", f"yes, {version}")
