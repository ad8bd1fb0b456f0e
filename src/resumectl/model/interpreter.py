"""Define the Python interpreter that runs the target: where it was found, and what it has."""

from dataclasses import dataclass

TYPED = "--python"  # origin of a path that the user typed


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python interpreter, as it describes itself.

    Attributes:
        path: Its path, as the user or the machine names it; a symbolic link is kept.
        source: Where the path comes from, for people.
        is_own: Whether it is the interpreter of resumectl itself.
        python: Its version of Python, such as `3.11.7`.
        dbos: Its release of DBOS.
        sqlalchemy: Its release of SQLAlchemy.
    """

    path: str
    source: str
    is_own: bool
    python: str
    dbos: str
    sqlalchemy: str
