"""Refusals with a next step, and the exit codes, written once.

Every error that a user can cause or mend is a `Refusal`: what is wrong, and what to
type next. Anything else that reaches the command line is a defect of resumectl.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any


class ExitCode(IntEnum):
    """How a command ended; the help text and the README are made from this table."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> "ExitCode":
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    DONE = 0, "done"
    PROMISE_BROKEN = 1, "a promise was broken"
    REFUSED = 2, "the command line cannot be carried out"
    NOTHING_PROVED = 3, "nothing was proved"
    MACHINE_FAILED = 4, "the database or the machine failed"
    INTERRUPTED = 130, "interrupted"


class Refusal(Exception):
    """The command line cannot be carried out as it stands.

    Args:
        what: What is wrong, one line, no trailing period; never holds a password.
        next_step: What to type next.
        document: What `--json` prints beside the two.
    """

    exit_code = ExitCode.REFUSED
    label = "error"

    def __init__(
        self, what: str, *, next_step: str, document: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.next_step = next_step
        self.document = document or {}


class Interrupted(Refusal):
    """The user has asked for an end; what was unfinished can be taken up again."""

    exit_code = ExitCode.INTERRUPTED
    label = "interrupted"


class NothingProved(Refusal):
    """The crash never landed, or the process died otherwise than planned."""

    exit_code = ExitCode.NOTHING_PROVED


class MachineFailure(Refusal):
    """The database, the disk or the machine failed; the command line was fine."""

    exit_code = ExitCode.MACHINE_FAILED
