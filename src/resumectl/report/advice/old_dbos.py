"""List the APIs of earlier releases of DBOS and their replacements.

Each entry comes from the sources of dbos 0.27, 1.14, 2.31 and 3.4.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ApiChange:
    """A change between releases of DBOS.

    Args:
        what: API that the program uses, and the releases that had it.
        instead: Replacement to write now.
    """

    what: str
    instead: str


_BY_MESSAGE = (
    (
        r"DBOS\.__new__\(\) missing 1 required keyword-only argument: 'config'",
        ApiChange(
            "DBOS() without a configuration belongs to DBOS 0, which read dbos-config.yaml itself",
            'write  DBOS(config={"name": "shop"})',
        ),
    ),
    (
        r"DBOS\.__(?:new|init)__\(\) got an unexpected keyword argument '(fastapi|flask)'",
        ApiChange(
            "DBOS({0}=…) belongs to DBOS 2 and earlier: since 3 DBOS adds nothing to a web application",
            "leave out  {0}=;  call DBOS.launch() where the application starts, as in its lifespan",
        ),
    ),
    (
        r"Queue objects cannot be constructed directly",
        ApiChange(
            "Queue(…) belongs to DBOS 2 and earlier: since 3 a queue is registered in the database",
            "call  DBOS.register_queue(NAME)  after launch, in a function of  --after-launch "
            "FILE.py:FUNCTION,  and enqueue with  DBOS.enqueue_workflow(NAME, workflow, …)",
        ),
    ),
    (
        r"DBOS\.launch\(\) got an unexpected keyword argument 'debug_mode'",
        ApiChange("DBOS.launch(debug_mode=…) belongs to DBOS 1", "leave out  debug_mode="),
    ),
    (
        r"register_queue(?:_async)?\(\) got an unexpected keyword argument "
        r"'(priority_enabled|partition_queue)'",
        ApiChange(
            "register_queue({0}=…) belongs to DBOS 2",
            "leave out  {0}=:  each queue has priorities, and partition_* limits make a partitioned one",
        ),
    ),
    (
        r"kafka_consumer\(\) got an unexpected keyword argument '(in_order)'",
        ApiChange(
            "kafka_consumer(in_order=…) belongs to DBOS 2 and earlier", 'write  ordering="topic"'
        ),
    ),
)

# Removed attributes of the class DBOS: the last releases that had them, and their replacements.
_ATTRIBUTES = {
    "transaction": (
        "2 and earlier",
        "make a SQLAlchemyDatasource, and run the function with its  run_tx_step",
    ),
    "sql_session": (
        "2 and earlier",
        "use the session of a SQLAlchemyDatasource:  datasource.sql_session()",
    ),
    "scheduled": (
        "2 and earlier",
        "call  DBOS.apply_schedules  after launch, in a function of  --after-launch FILE.py:FUNCTION",
    ),
    "register_instance": ("2 and earlier", "let the class extend  DBOSConfiguredInstance"),
    "restart_workflow": ("1", "write  DBOS.fork_workflow(workflow_id, 0)"),
    "restart_workflow_async": ("1", "write  await DBOS.fork_workflow_async(workflow_id, 0)"),
    "parent_workflow_id": ("1", "ask  DBOS.get_workflow_status(workflow_id).parent_workflow_id"),
    "debug_mode": ("1", "leave it out"),
    "config": ("0", "keep the configuration that is given to  DBOS(config=…)  in a name"),
    "request": ("0", "pass the request to the workflow as an argument"),
}
_ATTRIBUTE = re.compile(r"'DBOS'(?: object)? has no attribute '(\w+)'")

_NAMES = {
    "load_config": ("0", 'write the configuration as a dictionary:  DBOS(config={"name": "shop"})'),
    "ConfigFile": ("0", "use  DBOSConfig"),
    "get_dbos_database_url": ("0", "keep the URL that is given to  DBOS(config=…)  in a name"),
    "GetWorkflowsInput": ("1", "give the filters to  DBOS.list_workflows  as arguments"),
}
_NAME = re.compile(r"cannot import name '(\w+)' from 'dbos'")
_CALL = re.compile(
    r"(?:DBOS|DBOSClient|Queue)(?:\.\w+)*\(\) (?:got an unexpected|missing|takes) .*"
)


def what_changed(kind: str, message: str) -> ApiChange | None:
    """Return the change between releases of DBOS that causes an error; None if there is none.

    Args:
        kind: Full name of the exception's class.
        message: Message of the exception.
    """
    for pattern, change in _BY_MESSAGE:
        found = re.search(pattern, message)
        if found:
            name = found[1] if found.groups() else ""
            return ApiChange(*(each.replace("{0}", name) for each in (change.what, change.instead)))
    for where, table, shown in (
        (_ATTRIBUTE, _ATTRIBUTES, "DBOS.{0}"),
        (_NAME, _NAMES, "from dbos import {0}"),
    ):
        found = where.search(message)
        if found:
            name = shown.format(found[1])
            if found[1] not in table:
                return ApiChange(f"{name}: there is no such name", "correct the name")
            release, instead = table[found[1]]
            return ApiChange(f"{name} belongs to DBOS {release}", instead)
    if kind == "builtins.TypeError" and _CALL.fullmatch(message):
        return ApiChange(message, "give it the arguments that this release takes")
    return None
