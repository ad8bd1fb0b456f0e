"""Where SQLite is too old for DBOS, the error says so, before anything is stored."""

import sqlite3
import sys
from pathlib import Path

import pytest

from resumectl.errors import MachineFailure
from resumectl.probe.template_database import SqliteTooOldError, make_template
from resumectl.publishing.store.migration import refuse_old_sqlite
from resumectl.settings import Settings
from resumectl.storage.sqlite import sqlite_problem


@pytest.mark.parametrize(
    ("python", "sqlite", "is_problem"),
    [
        ((3, 11, 9), (3, 40, 1), False),
        ((3, 12, 0), (3, 41, 2), True),
        ((3, 13, 1), (3, 40, 1), True),
        ((3, 12, 0), (3, 42, 0), False),
    ],
)
def test_dbos_needs_subsec_from_python_3_12_on(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    python: tuple[int, ...],
    sqlite: tuple[int, ...],
    is_problem: bool,
) -> None:
    monkeypatch.setattr(sys, "version_info", python)
    monkeypatch.setattr(sqlite3, "sqlite_version_info", sqlite)
    assert bool(sqlite_problem()) is is_problem
    settings = Settings.resolve(db_url=f"sqlite:///{tmp_path}/resumectl.sqlite", environ={})
    refuse_old_sqlite(Settings.resolve(db_url="postgresql://localhost/x", environ={}))
    if not is_problem:
        refuse_old_sqlite(settings)
        return
    with pytest.raises(MachineFailure, match=r"needs SQLite 3\.42"):
        refuse_old_sqlite(settings)
    with pytest.raises(SqliteTooOldError):
        make_template(f"sqlite:///{tmp_path}/template.sqlite", has_publisher=False)
    assert not list(tmp_path.iterdir())


def test_dbos_itself_makes_the_distinction_by_these_versions() -> None:
    # Fails when a release of DBOS asks SQLite instead, or takes something newer for granted.
    from dbos._migration import get_sqlite_timestamp_expr

    needs_subsec = "subsec" in get_sqlite_timestamp_expr()
    assert needs_subsec is (sys.version_info >= (3, 12))
    with sqlite3.connect(":memory:") as database:
        (found,) = database.execute("SELECT unixepoch('subsec')").fetchone()
    assert (found is not None) is (sqlite3.sqlite_version_info >= (3, 42))
