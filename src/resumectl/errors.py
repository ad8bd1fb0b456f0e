"""Define the errors that a user can correct, and the exit codes.

Every error that a user can cause or correct is a `Refusal`: it states the fact and the next step.
Any other exception that reaches the command line is a defect of resumectl.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any


class ExitCode(IntEnum):
    """The result of a command; the help text and the docs are generated from this table.

    One mistake has one code, wherever it is noticed. Code 2: this command line can never be
    carried out, even if only a run of the program shows it, as for a pattern that matches nothing.
    Code 3: a program or an experiment ran and says nothing about the promises. Code 4: the same
    command line may succeed once the database, the disk or the machine is in order, or with more
    time.
    """

    meaning: str

    def __new__(cls, value: int, meaning: str) -> "ExitCode":
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    DONE = 0, "done; what was checked was kept"
    PROMISE_BROKEN = 1, "a promise was broken"
    REFUSED = 2, "the command line cannot be carried out"
    NOTHING_PROVED = 3, "nothing was proved: it did not run, or was not killed"
    MACHINE_FAILED = 4, "the database or the machine failed, or time was up"
    UNSTABLE = 5, "a promise was broken in some runs, not in all"
    INTERRUPTED = 130, "interrupted by Ctrl-C or SIGTERM"


class Refusal(Exception):
    """The command line cannot be carried out as it stands.

    Args:
        what: The fact, on one line, without a final period. It never contains a password.
        next_step: The next action, usually a command line.
        document: Further keys of the JSON document that `--json` prints.
        paste: Lines to copy into a file, shown below the next step.

    Example:
        >>> from resumectl import Settings
        >>> from resumectl.errors import Refusal
        >>> try:
        ...     Settings.resolve(db_url="sqlite://")
        ... except Refusal as refusal:
        ...     print(refusal.what, refusal.next_step, sep=chr(10))
        the database URL from --db-url names no file: nothing would survive a crash
        use sqlite:///resumectl.sqlite
    """

    exit_code = ExitCode.REFUSED
    label = "error"

    def __init__(
        self,
        what: str,
        *,
        next_step: str,
        document: Mapping[str, Any] | None = None,
        paste: Sequence[str] = (),
    ) -> None:
        super().__init__(what)
        self.paste = paste
        self.what = what
        self.next_step = next_step
        self.document = document or {}


class Interrupted(Refusal):
    """The user asked for an end. Unfinished work can be resumed."""

    exit_code = ExitCode.INTERRUPTED
    label = "interrupted"


class NothingProved(Refusal):
    """A program or an experiment ran and says nothing about the promises."""

    exit_code = ExitCode.NOTHING_PROVED


class MachineFailure(Refusal):
    """The database, the disk or the machine failed, or the time was up.

    Example:
        >>> from resumectl import Runtime, Settings
        >>> from resumectl.errors import MachineFailure
        >>> settings = Settings.resolve(db_url="sqlite:////no/such/directory/example.sqlite")
        >>> try:
        ...     Runtime(settings, "example").__enter__()
        ... except MachineFailure as failure:
        ...     print(failure.next_step)
        the directory must exist and be writable
    """

    exit_code = ExitCode.MACHINE_FAILED
