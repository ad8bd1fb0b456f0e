"""Lists are in an order that people expect, and that paging can rely upon."""

import random

import pytest
import sqlalchemy as sa
from conftest import Workspace
from in_process import listed, look

from resumectl.database import open_engine, snapshot
from resumectl.publishing.store import natural_order as module
from resumectl.publishing.store import workflows
from resumectl.publishing.store.dbos_tables import workflow_status
from resumectl.publishing.store.natural_order import natural_order
from resumectl.text import natural_key

IDS = [
    *(f"alpha-2-{n}" for n in (1, 2, 8, 9, 10, 20, 100)), "alpha-10-3", "alpha-10", "alpha-2",
    "beta-1", "beta-01", "sweep:9", "sweep:10", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
    "b-007", "b-7", f"b-{2**63}", f"b-{2**63 - 1}", "ünïcode-2", "ünïcode-10", "Capital-1", "a b-2",
    "no number", "no number 2", "-", "9", "10",
]  # fmt: skip


def fill(workspace: Workspace, created: dict[str, int]) -> None:
    """Write workflows by hand, in an order of their own."""
    workspace.ok("migrate")
    engine = open_engine(workspace.settings)
    shuffled = random.Random(1).sample(sorted(created), len(created))
    with engine.begin() as connection:
        connection.execute(
            sa.insert(workflow_status).values(status="SUCCESS", name="f", updated_at=0),
            [{"workflow_uuid": each, "created_at": created[each]} for each in shuffled],
        )
    engine.dispose()


def test_numbers_are_told_by_their_value() -> None:
    ordered = ["alpha-2", "alpha-2-1", "alpha-2-9", "alpha-2-10", "alpha-10", "alpha-10-3"]
    shuffled = random.Random(1).sample(ordered, len(ordered))
    assert sorted(shuffled, key=natural_key) == ordered


def test_both_databases_order_as_python_does(workspace: Workspace) -> None:
    fill(workspace, dict.fromkeys(IDS, 1))
    engine = open_engine(workspace.settings)
    with engine.connect() as connection:
        column = workflow_status.c.workflow_uuid
        found = connection.scalars(
            sa.select(column).order_by(natural_order(connection, column), column.collate("C"))
            if connection.dialect.name == "postgresql"
            else sa.select(column).order_by(natural_order(connection, column), column)
        ).all()
    engine.dispose()
    assert list(found) == sorted(IDS, key=lambda each: (natural_key(each), each.encode()))


def test_workflows_of_one_second_are_listed_newest_first_page_by_page(workspace: Workspace) -> None:
    """As SQLite before 3.42 tells the time: twenty messages are created in one second."""
    created = {f"alpha-1-{n}": 1_000 for n in range(1, 21)} | {"alpha-1": 1_000}
    created |= {f"alpha-2-{n}": 2_000 for n in range(1, 13)} | {"zeta-1": 500}
    fill(workspace, created)
    expected = [
        *(f"alpha-2-{n}" for n in range(12, 0, -1)), *(f"alpha-1-{n}" for n in range(20, 0, -1)),
        "alpha-1", "zeta-1",
    ]  # fmt: skip
    assert listed(workspace) == expected
    # Each page is where the line says that the one before ends with.
    pages, line = [], "list-workflows --limit 5"
    while line:
        pages += listed(workspace, *line.split()[1:])
        said = look(workspace, *line.split()).err
        line = said.partition("next:  resumectl ")[2].strip()
    assert pages == expected


def test_a_page_sorts_only_the_workflows_of_its_own_times(
    sqlite_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a page of a million costs what a page of a hundred does."""
    fill(sqlite_workspace, {f"alpha-{n // 10}-{n % 10}": n // 10 for n in range(2_000)})
    keyed: list[str] = []

    def counted(text: str) -> str:
        keyed.append(text)
        return natural_key(text)

    monkeypatch.setattr(module, "natural_key", counted)
    engine = open_engine(sqlite_workspace.settings)
    with snapshot(engine) as connection:
        found = workflows.list_workflows(connection, limit=20)
    engine.dispose()
    assert [each.id for each in found][:3] == ["alpha-199-9", "alpha-199-8", "alpha-199-7"]
    assert len(keyed) < 100
