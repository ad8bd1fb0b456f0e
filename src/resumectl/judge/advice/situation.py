"""The facts of a program that fails without a crash, and the advice that is made from them. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from resumectl.judge.baseline_health import unfinished
from resumectl.model.observation import LifeSeen, Observation

DECORATOR = "@DBOS.workflow()"


MAIN = 'if __name__ == "__main__":'


@dataclass(frozen=True, slots=True)
class Advice:
    """The two parts of an error.

    Args:
        what: What is wrong, one line.
        next_step: What to type next; further lines are to be pasted.
        is_mistyped: Whether the command line is wrong, rather than the program.
    """

    what: str
    next_step: str
    is_mistyped: bool = False


@dataclass(frozen=True, slots=True)
class Situation:
    """What was recorded of an uninterrupted run that went wrong.

    Args:
        run: All of it.
        directory: Where the command was typed; files below it are named without it.
    """

    run: Observation
    directory: str

    @property
    def life(self) -> LifeSeen:
        """Return the process that ran."""
        return self.run.final

    @property
    def error(self) -> Mapping[str, Any]:
        """Return the facts of the error that ended it; empty if none did."""
        for kind in ("failed", "answered"):
            event = self.life.last(kind)
            if event is not None and "error" in event:
                return event
        return self.failed_workflow or {}

    @property
    def failed_workflow(self) -> Mapping[str, Any] | None:
        """Return the facts of the first workflow that failed, where that is why nothing goes on.

        So it is where all have ended, and the request still waits.
        """
        if self.life.has_settled or self.life.last("answered") or unfinished(self.life):
            return None
        failed = [each["id"] for each in self.life.left["workflows"] if each["status"] == "ERROR"]
        raised = (each for each in self.life.events if each["kind"] == "raised")
        return next((each for each in raised if each["workflow"] in failed), None)

    @property
    def about(self) -> Mapping[str, Any]:
        """Return what is known of the error beyond its message."""
        found: Mapping[str, Any] = self.error.get("about", {})
        return found

    @property
    def message(self) -> str:
        """Return what the error says; empty where it is none of Python's."""
        return str(self.error.get("message", ""))

    @property
    def phase(self) -> str:
        """Return what the process had begun last."""
        found = ""
        for event in self.life.events:
            if event["kind"] == "began":
                found = event["what"]
            elif event["kind"] == "answered":
                found = "answered"
        return found

    @property
    def target(self) -> tuple[str, str]:
        """Return the file or module under test, and the name in it."""
        began = next((e for e in self.life.events if e["kind"] == "began"), {})
        module, name = began.get("target") or ("", "")
        return self.short(module), name

    def short(self, path: str) -> str:
        """Return a path as it is typed in the command's directory."""
        return "." if path == self.directory else path.removeprefix(f"{self.directory}/")

    def place(self, where: Mapping[str, Any] | None = None) -> str:
        """Return `FILE:LINE` of the user's code; empty where none is known."""
        found = where or self.error.get("where")
        return f"{self.short(found['file'])}:{found['line']}" if found else ""

    def line(self, where: Mapping[str, Any]) -> str:
        """Return `FILE:LINE` with the text of the line."""
        return f"{self.place(where)}" + (f": {where['text']}" if where["text"] else "")


Case = Callable[[Situation], Advice | None]


BEFORE_LAUNCH = {
    "import": "importing {0}",
    "prepare": "the prepare of {0}:{1}",
    "launch": "the launch of DBOS",
    "after-launch": "what runs after launch",
}


def fails(at: Situation) -> str:
    """Return what failed where, and how."""
    doing = {
        "import": "importing {0} fails",
        "prepare": "the prepare of {0}:{1} fails",
        "launch": "the launch of DBOS fails",
        "after-launch": "what runs after launch fails",
    }.get(at.phase, "the scenario fails without any crash").format(*at.target)
    where = at.error.get("where")
    if at.error.get("kind") == "raised":
        doing = f"{doing}, and its request waits for ever: {at.error['workflow']}"
    function = where["function"] if where else ""
    inside = f", in {function}" if function and function != "<module>" else ""
    return f"{doing}: {at.error['error']}" + (f" ({at.place()}{inside})" if where else "")


def not_run(at: Situation, setup: Mapping[str, Any], does: str) -> str:
    """Return which part of the program is not run, though it does what is missing."""
    within = setup["function"] or "the main program"
    return f"{at.short(setup['file'])}:{setup['line']} {does}, in {within}, which is not run here"


def paste(first: str, *lines: str) -> str:
    return "\n".join([first, "", *(f"    {line}" if line else "" for line in lines)])


def base(file: str) -> str:
    return file.rpartition("/")[2]
