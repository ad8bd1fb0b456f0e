"""Hold the facts about a program that fails without a crash, for advice."""

from collections.abc import Callable
from dataclasses import dataclass

from resumectl.judge.baseline_health import unfinished
from resumectl.model.events import Phase, PhaseStarted, RequestEnded, TargetFailed, WorkflowRaised
from resumectl.model.observation import Observation, ProcessRecord
from resumectl.model.target_error import Cause, CodeLine, PythonError, SetupCode, TargetError

DECORATOR = "@DBOS.workflow()"
MAIN = 'if __name__ == "__main__":'
BEFORE_REQUEST = {
    Phase.IMPORT: "importing {0}",
    Phase.PREPARE: "the prepare of {0}:{1}",
    Phase.LAUNCH: "the launch of DBOS",
    Phase.AFTER_LAUNCH: "what runs after launch",
}


@dataclass(frozen=True, slots=True)
class Advice:
    """The two parts of an error.

    Args:
        what: The fact, on one line.
        next_step: The next step; further lines are to be copied into a file.
        is_mistyped: Whether the command line is wrong, and not the program.
    """

    what: str
    next_step: str
    is_mistyped: bool = False


@dataclass(frozen=True, slots=True)
class Situation:
    """The records of a baseline run with a problem.

    Args:
        run: Observation of the run.
        entry: Module, or path of the file, and the name of the target in it.
        directory: Directory in which the command was typed; paths below it are shown relative.
    """

    run: Observation
    entry: tuple[str, str]
    directory: str

    @property
    def process(self) -> ProcessRecord:
        """The process that ran."""
        return self.run.final

    @property
    def error(self) -> TargetError | None:
        """The error that ended it; None if none did."""
        failed, ended = self.process.last(TargetFailed), self.process.last(RequestEnded)
        if failed is not None:
            return failed.error
        if ended is not None and ended.error is not None:
            return ended.error
        raised = self.failed_workflow
        return raised.error if raised is not None else None

    @property
    def failed_workflow(self) -> WorkflowRaised | None:
        """The first failed workflow, if all have ended and the request still waits."""
        process = self.process
        if process.has_settled or self.has_answer or unfinished(process):
            return None
        failed = {row.id for row in process.snapshot.workflows if row.status == "ERROR"}
        raised = process.all(WorkflowRaised)
        return next((each for each in raised if each.workflow in failed), None)

    @property
    def has_answer(self) -> bool:
        """Whether the client's request has returned, or failed."""
        return self.process.last(RequestEnded) is not None

    @property
    def cause(self) -> Cause | None:
        """The cause of the error; None if there is no error."""
        return self.error.cause if self.error is not None else None

    @property
    def python_error(self) -> PythonError | None:
        """The exception; None if the error is none."""
        cause = self.cause
        return cause if isinstance(cause, PythonError) else None

    @property
    def summary(self) -> str:
        """The summary of the error, one line; empty if there is no error."""
        return self.error.summary if self.error is not None else ""

    @property
    def message(self) -> str:
        """The message of the exception; empty if there is none."""
        return self.python_error.message if self.python_error is not None else ""

    @property
    def type(self) -> str:
        """The full name of the exception's class; empty if there is none."""
        return self.python_error.type if self.python_error is not None else ""

    @property
    def where(self) -> CodeLine | None:
        """The line of the user's code nearest to the exception; None if unknown."""
        return self.python_error.where if self.python_error is not None else None

    @property
    def phase(self) -> Phase | None:
        """The phase that the process started last; None before the first, and after the request."""
        last = self.process.last(PhaseStarted)
        return None if last is None or self.has_answer else last.phase

    @property
    def target(self) -> tuple[str, str]:
        """The file or module under test, and the name in it."""
        return self.short(self.entry[0]), self.entry[1]

    def short(self, path: str) -> str:
        """Return a path as it is typed in the command's directory."""
        return "." if path == self.directory else path.removeprefix(f"{self.directory}/")

    def location(self, where: CodeLine | None = None) -> str:
        """Return `FILE:LINE` of the user's code; empty if unknown."""
        found = where or self.where
        return f"{self.short(found.file)}:{found.line}" if found else ""

    def line(self, where: CodeLine) -> str:
        """Return `FILE:LINE` with the text of the line."""
        return f"{self.location(where)}" + (f": {where.text}" if where.text else "")


Case = Callable[[Situation], Advice | None]


def fails(at: Situation) -> str:
    """Return the sentence that tells what failed, where and how."""
    usual = "the program fails without a crash"
    doing = f"{BEFORE_REQUEST[at.phase]} fails" if at.phase in BEFORE_REQUEST else usual
    doing = doing.format(*at.target)
    raised = at.failed_workflow
    if raised is not None:
        doing = f"{doing}, and its request waits for ever: {raised.workflow}"
    where = at.where
    function = where.function if where else ""
    inside = f", in {function}" if function and function != "<module>" else ""
    return f"{doing}: {at.summary}" + (f" ({at.location()}{inside})" if where else "")


def not_run(at: Situation, setup: SetupCode, does: str) -> str:
    """Return the sentence about the setup code of the program that did not run."""
    within = setup.function or "the main program"
    return f"{at.short(setup.file)}:{setup.line} {does}, in {within}, which is not run here"


def paste(first: str, *lines: str) -> str:
    """Return a next step with lines to copy below it."""
    return "\n".join([first, "", *(f"    {line}" if line else "" for line in lines)])


def base(file: str) -> str:
    """Return the name of a file, without its directory."""
    return file.rpartition("/")[2]
