"""Report what this process's DBOS is set to, executes, serves and has registered.

To be called in the target process, before the module under test is imported.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

import dbos._dbos
import sqlalchemy as sa
from dbos import DBOS, DBOSConfig

# Settings of a program that a trial replaces: its database, and connections to other services.
_REPLACED = frozenset(
    {"system_database_engine", "conductor_key", "conductor_url", "enable_otlp", "run_migrations"}
)
# Settings that differ in every trial and do not affect what the program does.
_IRRELEVANT = frozenset({"log_level", "run_migrations"})


def configure(overrides: Mapping[str, object]) -> None:
    """Give these settings precedence over those of the application's `DBOS(config=…)`."""
    original = DBOS.__init__

    @functools.wraps(original)
    def configured(self: DBOS, *, config: DBOSConfig, **_more: object) -> None:
        kept = {k: v for k, v in config.items() if k not in _REPLACED}
        original(self, config=cast(DBOSConfig, {**kept, **overrides}))
        if _process.instance is self:
            return  # DBOS has one instance, and keeps its first configuration
        _process.replaced = sorted(
            name
            for name, value in config.items()
            if value is not None
            and name not in _IRRELEVANT
            and (name in _REPLACED or overrides.get(name, value) != value)
        )
        _process.database = _database_of(config)
        _process.is_version_computed = not DBOS.application_version
        _process.instance = self

    DBOS.__init__ = configured  # type: ignore[method-assign]


class _Process:
    """State of this process's DBOS for which DBOS has no public name."""

    def __init__(self) -> None:
        self.instance: DBOS | None = None
        self.replaced: list[str] = []  # names of the program's settings
        self.database = ""  # the one that the program sets, without a password
        self.is_version_computed = False  # by DBOS, from the sources of the workflows
        self.served: set[str] = set()  # names of queues
        self.has_recovered = False


_process = _Process()


def replaced_settings() -> Sequence[str]:
    """Return the names of the program's settings that do not hold in a trial."""
    return _process.replaced


def _database_of(config: DBOSConfig) -> str:
    """Return the database that the program itself would use, without a password.

    Empty if the program leaves the choice to DBOS, which makes the same one in each process.
    """
    engine, url = config.get("system_database_engine"), config.get("system_database_url")
    named = engine.url if engine is not None else url
    if named is None:
        return ""
    schema = config.get("dbos_system_schema") or ""
    return f"{sa.make_url(named).render_as_string(hide_password=True)} {schema}".rstrip()


def own_database() -> str:
    """Return the system database that the program itself sets; see `_database_of`."""
    return _process.database


def is_version_computed() -> bool:
    """Return whether DBOS computes the application version from the sources of the workflows."""
    return _process.is_version_computed


def executing() -> frozenset[str]:
    """Return the ids of the workflows that this process executes."""
    assert _process.instance is not None, "DBOS has not been created"
    return frozenset(_process.instance._active_workflows_set.activeList())


def served_queues() -> frozenset[str]:
    """Return the names of the queues that this process takes work from."""
    return frozenset(_process.served)


@contextmanager
def serving(queue: str) -> Iterator[None]:
    """Note that this process takes work from a queue."""
    _process.served.add(queue)
    try:
        yield
    finally:
        _process.served.discard(queue)


def has_recovered() -> bool:
    """Return whether DBOS has requeued everything that it recovers at its launch."""
    return _process.has_recovered


def note_recovery() -> None:
    """Note the end of the recovery that DBOS starts at its launch."""
    original = getattr(dbos._dbos, "startup_recovery_thread")  # noqa: B009 (not exported)

    @functools.wraps(original)
    def recovered(*args: object, **kwargs: object) -> None:
        original(*args, **kwargs)
        _process.has_recovered = True

    setattr(dbos._dbos, "startup_recovery_thread", recovered)  # noqa: B010


# The attribute in which DBOS 3.4.0 keeps a function's registered name, and the prefix of
# the workflow that DBOS creates to run a single step.
_REGISTERED_NAME = "dbos_function_name"
_TEMPORARY_PREFIX = "<temp>."


def is_workflow(value: object) -> bool:
    """Return whether this is a function, or a bound method, that DBOS knows as a workflow."""
    return _registered_name(value) in _registered()


def is_step(value: object) -> bool:
    """Return whether this is a function, or a bound method, that DBOS knows as a step."""
    name = _registered_name(value)
    return name is not None and f"{_TEMPORARY_PREFIX}{name}" in _registered()


def _registered_name(value: object) -> str | None:
    # A mock object has every attribute, so the type of the name is checked too.
    name = getattr(value, _REGISTERED_NAME, None) if callable(value) else None
    return name if isinstance(name, str) else None


def _registered() -> Mapping[str, object]:
    known: Mapping[str, object] = dbos._dbos._get_or_create_dbos_registry().workflow_info_map
    return known
