"""Advise a user whose program needs what only its `main` does: queues, tables, globals. Pure."""

import ast
import json
from collections.abc import Mapping
from typing import Any

from resumectl.judge.advice.situation import MAIN, Advice, Situation, not_run, paste
from resumectl.text import shell_word


def queue_not_registered(at: Situation) -> Advice | None:
    stranded = at.life.last("stranded")
    if stranded is None or not stranded["unregistered"]:
        return None
    first = stranded["unregistered"][0]
    queue, setup = first["queue"], first["setup"]
    what = f"{first['workflow']} waits on the queue {queue}, which no process registers"
    if setup is None:
        return Advice(what, _after_launch(f"DBOS.register_queue({json.dumps(queue)})"))
    return Advice(
        f"{what}: {not_run(at, setup, 'does')}",
        _set_up_by(at, setup, *setup["lines"]),
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


def _set_up_by(at: Situation, setup: Mapping[str, Any], *lines: str) -> str:
    """Return how to run what a program does after launch."""
    if setup["is_callable"]:
        return f"--after-launch {at.short(setup['file'])}:{setup['function']}"
    return _after_launch(*lines)


def table_missing(at: Situation) -> Advice | None:
    if "table" not in at.about:
        return None
    table, setup = at.about["table"], at.about["setup"]
    place = f"{at.place()} uses" if at.place() else "the program uses"
    what = f"{place} the table {table}, which does not exist in the database of a trial"
    command = _MIGRATE.get(next(iter(at.about["migrations"]), ""), "COMMAND")
    by_command = f"by a command, once:  --prepare {shell_word(command)}"
    if setup is not None:
        made = f"{at.short(setup['file'])}:{setup['line']}"
        what += f": {not_run(at, setup, 'creates tables')}"
        if at.about["migrations"]:
            return Advice(what, f"create it {by_command}")
        lines = setup["lines"] or [f"...  # what {made} does"]
        return Advice(what, _set_up_by(at, setup, *lines))
    return Advice(
        what,
        f"create it {by_command};  or in a function that each process runs after launch:  "
        "--after-launch after_launch.py:setup",
    )


# Files beside a program, and the command that creates its tables.
_MIGRATE = {"alembic.ini": "alembic upgrade head", "manage.py": "python manage.py migrate"}


def global_of_main(at: Situation) -> Advice | None:
    setup = at.about.get("global")
    if setup is None:
        return None
    name, file = setup["name"], at.short(setup["file"])
    what = f"{at.place()} uses {name}, which is not set: {not_run(at, setup, 'sets it')}"
    if at.phase == "import":
        return Advice(what, f"set {name} above the line that uses it, where {file} is imported")
    if setup["is_callable"]:
        return Advice(what, _set_up_by(at, setup))
    if setup["is_before_launch"]:
        first = f"set it where {file} is imported:  with these lines above  {MAIN}"
        return Advice(what, paste(first, *setup["lines"]))
    return Advice(
        what,
        paste(
            f"set it where {file} is imported;  or in a function that each process runs after "
            f"launch:  --after-launch {file}:setup  with these lines in {file}",
            "def setup():", f"    global {name}", *(f"    {line}" for line in setup["lines"]),
        ),
    )  # fmt: skip


def too_early(at: Situation) -> Advice | None:
    said = ("No DBOS was created yet", "accessed before DBOS was launched")
    if not any(each in at.message for each in said) or at.phase != "import":
        return None
    where = at.error.get("where")
    line = where["text"] if where else "..."
    # Of a statement of several lines, the first is known.
    pasted = line if _is_statement(line) else f"...  # what {at.place()} does"
    return Advice(f"{at.place()} needs DBOS to be launched: {line}", _after_launch(pasted))


def datasource_too_late(at: Situation) -> Advice | None:
    if "Datasources must be created before DBOS.launch()" not in at.message:
        return None
    place = at.place() or "the program"
    return Advice(
        f"{place} creates a datasource after DBOS is launched",
        "create it where its module is imported",
    )


def _is_statement(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True
