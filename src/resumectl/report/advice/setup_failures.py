"""Advise a user whose program needs what only its `main` does: queues, tables, global variables."""

import ast
import json

from resumectl.model.dbos_table_names import DBOS_TABLE_NAMES
from resumectl.model.events import Phase, Stranded
from resumectl.model.target_error import SetupCode
from resumectl.report.advice.situation import MAIN, Advice, Situation, not_run, paste
from resumectl.text import shell_word

# Files beside a program, and the command that creates its tables.
_MIGRATE = {"alembic.ini": "alembic upgrade head", "manage.py": "python manage.py migrate"}


def queue_not_registered(at: Situation) -> Advice | None:
    """Advise where a workflow waits on a queue that nothing registers."""
    stranded = at.process.last(Stranded)
    if stranded is None or not stranded.unregistered:
        return None
    first = stranded.unregistered[0]
    what = f"{first.workflow} waits on the queue {first.queue}, which no process registers"
    if first.setup is None:
        return Advice(what, _after_launch(f"DBOS.register_queue({json.dumps(first.queue)})"))
    return Advice(
        f"{what}: {not_run(at, first.setup, 'does')}",
        _set_up_by(at, first.setup, *first.setup.lines),
    )


def _after_launch(*lines: str) -> str:
    imports = [each for each in lines if each.startswith("from ")]
    calls = [each for each in lines if each not in imports]
    dbos = ["from dbos import DBOS"] if any("DBOS." in each for each in calls) else []
    kind = "async def" if any(each.startswith("await ") for each in calls) else "def"
    return paste(
        "do it in a function that each process runs after launch:  "
        "--after-launch after_launch.py:setup  with these lines in after_launch.py",
        *dbos, *imports, "", "",
        f"{kind} setup():", *(f"    {line}" for line in calls),
    )  # fmt: skip


def _set_up_by(at: Situation, setup: SetupCode, *lines: str) -> str:
    """Return the option that runs the program's own setup after launch."""
    if setup.is_callable:
        return f"--after-launch {at.short(setup.file)}:{setup.function}"
    return _after_launch(*lines)


def table_missing(at: Situation) -> Advice | None:
    """Advise where a table of the program's does not exist."""
    missing = at.python_error.missing_table if at.python_error is not None else None
    if missing is None:
        return None
    location = f"{at.location()} uses" if at.location() else "the program uses"
    if _is_dbos_table(missing.table):
        return Advice(
            f"{location} DBOS's table {missing.table} in another database than the trial's",
            "name the trial's database in the variable from which the program reads the URL:  "
            "--env NAME={database_url}",
        )
    what = f"{location} the table {missing.table}, which does not exist in the database of a trial"
    command = _MIGRATE.get(next(iter(missing.migrations), ""), "COMMAND")
    by_command = f"by a command, once:  --prepare {shell_word(command)}"
    setup = missing.setup
    if setup is not None:
        made = f"{at.short(setup.file)}:{setup.line}"
        what += f": {not_run(at, setup, 'creates tables')}"
        if missing.migrations:
            return Advice(what, f"create it {by_command}")
        lines = setup.lines or (f"...  # what {made} does",)
        return Advice(what, _set_up_by(at, setup, *lines))
    return Advice(
        what,
        f"create it {by_command};  or in a function that each process runs after launch:  "
        "--after-launch after_launch.py:setup",
    )


def _is_dbos_table(table: str) -> bool:
    """Return whether a table is DBOS's by its name; a program may have one named `queues`."""
    name = table.removeprefix("dbos.")
    may_be = name != table or name.startswith(("workflow_", "operation_", "dbos_"))
    return may_be and name in DBOS_TABLE_NAMES


def global_of_main(at: Situation) -> Advice | None:
    """Advise where only the program's `main` sets a global variable."""
    found = at.python_error.unset_global if at.python_error is not None else None
    if found is None:
        return None
    name, setup = found.name, found.code
    file = at.short(setup.file)
    what = f"{at.location()} uses {name}, which is not set: {not_run(at, setup, 'sets it')}"
    if at.phase is Phase.IMPORT:
        return Advice(what, f"set {name} above the line that uses it, where {file} is imported")
    if setup.is_callable:
        return Advice(what, _set_up_by(at, setup))
    if found.is_before_launch:
        first = f"set it where {file} is imported:  with these lines above  {MAIN}"
        return Advice(what, paste(first, *setup.lines))
    return Advice(
        what,
        paste(
            f"set it where {file} is imported;  or in a function that each process runs after "
            f"launch:  --after-launch {file}:setup  with these lines in {file}",
            "def setup():", f"    global {name}", *(f"    {line}" for line in setup.lines),
        ),
    )  # fmt: skip


def too_early(at: Situation) -> Advice | None:
    """Advise where the import needs DBOS to be launched."""
    said = ("No DBOS was created yet", "accessed before DBOS was launched")
    if not any(each in at.message for each in said) or at.phase is not Phase.IMPORT:
        return None
    line = at.where.text if at.where else "..."
    # Only the first line of a statement is known.
    pasted = line if _is_statement(line) else f"...  # what {at.location()} does"
    return Advice(f"{at.location()} needs DBOS to be launched: {line}", _after_launch(pasted))


def datasource_too_late(at: Situation) -> Advice | None:
    """Advise where a datasource is created after the launch."""
    if "Datasources must be created before DBOS.launch()" not in at.message:
        return None
    location = at.location() or "the program"
    return Advice(
        f"{location} creates a datasource after DBOS is launched",
        "create it where its module is imported",
    )


def _is_statement(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True
