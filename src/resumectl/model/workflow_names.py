"""Name the workflows that the client starts without an id: by function and turn, such as `checkout(1)`.

Starts of one function are numbered in the order in which the client makes them, or in the order of their
arguments if several threads make them. Later runs recognize a start by its arguments.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from resumectl.model.crash_plan import subject_of, transition_name
from resumectl.model.events import ClientStarted
from resumectl.model.serialized_values import readable
from resumectl.text import natural_key

# The ids that DBOS makes (2.13 to 3.4): version 4, and version 7 from Python 3.14 on.
_GENERATED = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[47][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_CHILD = re.compile(r"(?P<parent>.+)-\d+")  # DBOS derives the id of a child from that of its parent
_STEP_PREFIX = "<temp>."  # of the function of a step that is called as a workflow (DBOS 3.4.0)
_ARGUMENTS_MAX = 200  # characters; a digest stands for the rest of longer arguments


def is_generated(workflow_id: str) -> bool:
    """Return whether an id is a random UUID, as DBOS makes it for a workflow without an id."""
    return _GENERATED.fullmatch(workflow_id) is not None


def identify_arguments(stored: str | None) -> str:
    """Return the text by which later runs recognize the arguments of a workflow.

    Args:
        stored: The arguments, as DBOS stores them.
    """
    text = readable(stored)
    if len(text) <= _ARGUMENTS_MAX:
        return text
    return f"{text[:_ARGUMENTS_MAX]}… {hashlib.sha256(text.encode()).hexdigest()}"


def ancestors_of(workflow_id: str) -> Iterator[str]:
    """Yield the workflows from whose ids DBOS has derived this id, the nearest first."""
    child = _CHILD.fullmatch(workflow_id)
    if child is not None:
        yield child["parent"]
        yield from ancestors_of(child["parent"])


@dataclass(frozen=True, slots=True)
class WorkflowNames:
    """The starts of workflows without an id, as one run without a crash has made them.

    Attributes:
        starts: Function to the arguments of its starts, in the order of their numbers.
    """

    starts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Iterable[ClientStarted]) -> "WorkflowNames":
        """Return the numbers of the starts of a run.

        Args:
            events: Starts of the run, in the order of their commits.
        """
        by_function: defaultdict[str, list[ClientStarted]] = defaultdict(list)
        for event in events:
            if event.is_id_generated:
                by_function[event.function].append(event)
        return cls({name: _in_order(starts) for name, starts in by_function.items()})


def _in_order(starts: list[ClientStarted]) -> tuple[str, ...]:
    turns = [start.turn for start in starts]
    if None in turns:
        return tuple(sorted((start.arguments for start in starts), key=natural_key))
    return tuple(start.arguments for start in sorted(starts, key=lambda start: start.turn or 0))


class WorkflowNamer:
    """Names the workflows of one trial, in all of its processes.

    Args:
        names: Starts of the first run without a crash.
        starts: Starts that earlier processes of the trial have made, in their order.
    """

    def __init__(self, names: WorkflowNames, starts: Iterable[ClientStarted] = ()) -> None:
        self._starts = names.starts
        self._taken: defaultdict[str, set[int]] = defaultdict(set)
        self._names: dict[str, str] = {}
        for start in starts:
            self.see(start)

    @property
    def names(self) -> Mapping[str, str]:
        """Name of each workflow that has one, by its id."""
        return self._names

    def see(self, start: ClientStarted) -> None:
        """Name the workflow of a start, if it has no id of its own and no name yet.

        Args:
            start: The start.
        """
        if not start.is_id_generated or start.workflow in self._names:
            return
        taken = self._taken[start.function]
        known = self._starts.get(start.function, ())
        same = [n for n, each in enumerate(known, start=1) if each == start.arguments]
        number = next((n for n in same if n not in taken), None) or self._unused(start, taken)
        taken.add(number)
        name = start.function.removeprefix(_STEP_PREFIX)
        self._names[start.workflow] = f"{name}({number})"

    def _unused(self, start: ClientStarted, taken: set[int]) -> int:
        """Return the number of a start whose arguments are unknown, or are those of one start too many."""
        known = self._starts.get(start.function, ())
        first = len(known) + 1 if start.arguments in known else 1
        return next(n for n in range(first, len(taken) + first + 1) if n not in taken)

    def transition(self, name: str) -> str:
        """Return the name of a transition, with the name of its workflow in place of the id.

        Args:
            name: Name of the transition, with the id.
        """
        if not self._names:
            return name
        workflow = subject_of(name)
        named = self.workflow(workflow)
        return name if named == workflow else transition_name(named, name.rpartition("/")[2])

    def workflow(self, workflow_id: str) -> str:
        """Return the name of a workflow, or of a descendant: `checkout(1)-2` for its second step's child.

        Args:
            workflow_id: Id of the workflow.
        """
        for known in (workflow_id, *ancestors_of(workflow_id)):
            if known in self._names:
                return f"{self._names[known]}{workflow_id.removeprefix(known)}"
        return workflow_id
