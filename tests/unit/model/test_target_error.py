"""Why a target could not be run is facts of one kind, read back exactly."""

import json
from typing import get_args

import pytest

from resumectl.model.codec import SchemaError, from_json, from_plain, to_json, to_plain
from resumectl.model.target_error import (
    Cause,
    CodeLine,
    MissingTable,
    Mistyped,
    NotAFunction,
    PythonError,
    SetupCode,
    TargetError,
)

SETUP = SetupCode("/shop.py", 4, "main", is_callable=True, lines=("create_all(engine)",))
ERROR = TargetError(
    "OperationalError: no such table: stock",
    PythonError(
        type="sqlalchemy.exc.OperationalError", message="no such table: stock",
        where=CodeLine("/shop.py", 9, "sell", "execute(...)"), traceback="Traceback",
        dbos_version="3.4.0", missing_module=None, half_imported=None, relative_path=None,
        missing_table=MissingTable("stock", SETUP, ("alembic.ini",)), unset_global=None,
        unset_variables=("SHOP_DB",),
    ),
)  # fmt: skip


def test_error_of_the_program_is_read_back_exactly() -> None:
    assert from_json(TargetError, to_json(ERROR)) == ERROR


def test_cause_of_an_unknown_kind_is_refused() -> None:
    plain = json.loads(to_json(ERROR))
    plain["cause"]["kind"] = "weather"
    with pytest.raises(SchemaError, match="unknown kind 'weather'"):
        from_plain(TargetError, plain)


def test_what_was_mistyped_is_told_from_what_the_program_does() -> None:
    assert isinstance(NotAFunction(), Mistyped)
    assert not isinstance(ERROR.cause, Mistyped)
    assert set(get_args(Mistyped)) < set(get_args(Cause))
    assert to_plain(NotAFunction()) == {"kind": "not-a-function"}
