"""Define the Python interpreters that run the target: where they were found, and what they have."""

from dataclasses import dataclass

from resumectl.model.text_enum import TextEnum


class Source(TextEnum):
    """Where the path of an interpreter comes from, for people."""

    OPTION = "--python"
    LATER_OPTION = "--resume-python"
    VARIABLE = "RESUMECTL_PYTHON"
    ACTIVE = "the active virtual environment"
    PROJECT = "the program's .venv"
    OWN = "resumectl's own"


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python interpreter, as it describes itself.

    Attributes:
        path: Its path, as the user or the machine names it; a symbolic link is kept.
        source: Where the path comes from.
        is_own: Whether it is the interpreter of resumectl itself.
        python: Its version of Python, such as `3.11.7`.
        dbos: Its release of DBOS.
        sqlalchemy: Its release of SQLAlchemy.
    """

    path: str
    source: Source
    is_own: bool
    python: str
    dbos: str
    sqlalchemy: str


@dataclass(frozen=True, slots=True)
class Interpreters:
    """The interpreters of a trial, usually one.

    Attributes:
        first: Interpreter of the first process.
        later: Interpreter of the processes after it.
    """

    first: Interpreter
    later: Interpreter

    @classmethod
    def alike(cls, interpreter: Interpreter) -> "Interpreters":
        """Return the same interpreter for all processes."""
        return cls(interpreter, interpreter)

    @property
    def are_two(self) -> bool:
        """Whether the processes after the first one have another interpreter."""
        return self.later.path != self.first.path

    @property
    def migrates(self) -> bool:
        """Whether the processes after the first one find a database of another release of DBOS."""
        return self.later.dbos != self.first.dbos
