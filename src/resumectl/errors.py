"""Refusals with a next step, and the exit codes, written once.

Every error that a user can cause or mend is a `Refusal`: what is wrong, and what to
type next. Anything else that reaches the command line is a defect of resumectl.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any


class ExitCode(IntEnum):
    """How a command ended; the help text and the README are made from this table.

    One mistake has one code, wherever it is noticed. What was typed can never be carried out: 2,
    also where only a run of the program shows it, as with a pattern that covers nothing. A program
    or an experiment ran, and says nothing about the promises: 3. The same command line may succeed
    once the database, the disk or the machine is in order, or with more time: 4.
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
    UNSTABLE = 5, "a promise was broken in some repetitions, not in all"
    INTERRUPTED = 130, "interrupted by Ctrl-C or SIGTERM"


class Refusal(Exception):
    """The command line cannot be carried out as it stands.

    Args:
        what: What is wrong, one line, no trailing period; never holds a password.
        next_step: What to type next.
        document: What `--json` prints beside the two.
        paste: Lines to be pasted, shown below the next step.
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
    """The user has asked for an end; what was unfinished can be taken up again."""

    exit_code = ExitCode.INTERRUPTED
    label = "interrupted"


class NothingProved(Refusal):
    """A program or an experiment ran, and says nothing about the promises."""

    exit_code = ExitCode.NOTHING_PROVED


class MachineFailure(Refusal):
    """The database, the disk or the machine failed, or the time was up; the command line is fine."""

    exit_code = ExitCode.MACHINE_FAILED
