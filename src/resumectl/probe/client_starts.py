"""Name and record the workflows that the client's request starts.

A workflow without an id has another id in each run, and crash plans call it by its name.
"""

from collections.abc import Callable, Iterable, Sequence

from resumectl.model.crash_plan import SCHEDULED_PREFIX, STARTED
from resumectl.model.events import ClientStarted, now_us
from resumectl.model.workflow_names import (
    WorkflowNamer,
    WorkflowNames,
    identify_arguments,
    is_generated,
)
from resumectl.probe.execution_context import here, turn_here
from resumectl.probe.sql_facts import Fact


class ClientStarts:
    """The workflows that the client starts in this process.

    Args:
        names: Starts of workflows without an id in the first run without a crash.
        earlier: Starts of the earlier processes of this trial.
        record: Function that records a start when it is durable.
    """

    def __init__(
        self,
        names: WorkflowNames,
        earlier: Iterable[ClientStarted],
        record: Callable[[ClientStarted], None],
    ) -> None:
        self._namer = WorkflowNamer(names, earlier)
        self._record = record
        self._has_begun = False
        self._not_durable: dict[str, ClientStarted] = {}  # by the id of the workflow

    def begin(self) -> None:
        """Note that the request begins: workflows that were started before are not the client's."""
        self._has_begun = True

    def before_commit(self, facts: Sequence[Fact]) -> None:
        """Name the workflows that a commit of this thread is about to make durable."""
        if not self._has_begun:
            return
        for fact in facts:
            if fact.kind in STARTED and fact.workflow_id is not None and _is_of_client(fact):
                start = ClientStarted(
                    now_us(),
                    fact.workflow_id,
                    fact.function,
                    is_generated(fact.workflow_id),
                    identify_arguments(fact.arguments),
                    turn_here(),
                )
                self._namer.see(start)
                self._not_durable[fact.workflow_id] = start

    def on_commit(self, facts: Sequence[Fact]) -> None:
        """Record the workflows that this commit has made durable."""
        for fact in facts:
            start = self._not_durable.pop(fact.workflow_id or "", None)
            if start is not None:
                self._record(start)

    def named(self, transition: str) -> str:
        """Return the name that crash plans have for a transition."""
        return self._namer.transition(transition)


def _is_of_client(fact: Fact) -> bool:
    """Return whether this thread is no workflow's, and no schedule starts the workflow."""
    # A workflow that is called, and not started, is recorded inside its own context (DBOS 3.4.0).
    is_outside = fact.parent is None and here()[0] in (None, fact.workflow_id)
    return is_outside and not str(fact.workflow_id).startswith(SCHEDULED_PREFIX)
