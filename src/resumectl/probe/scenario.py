"""Define `effect` and `Scenario`, the two names that a program under test may import from resumectl.

Imports nothing but the standard library, so that they cost nothing outside a trial.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Sink = Callable[[str, tuple[object, ...]], None]
_sink: Sink | None = None


def effect(name: str, *about: object) -> None:
    """Record that something happened outside: a charge, an e-mail, a shipment.

    Costs nothing outside a trial. In a trial the record is durable at once: it counts even if the
    process is killed at the next instant, as the charge itself would.

    Args:
        name: Name of the effect, such as `charge`; promises use this name.
        about: Values that identify one effect, such as an order id. The same values again are a
            repetition.

    Example:
        >>> from resumectl import effect
        >>> def charge(order: str) -> None:
        ...     effect("charge", order)
        >>> charge("order-1")
    """
    if _sink is not None:
        _sink(name, about)


def send_effects_to(sink: Sink | None) -> None:
    """Set the function that records effects; None to record none."""
    global _sink
    _sink = sink


def _nothing() -> None:
    return None


def _no_effects() -> Mapping[str, Mapping[str, int]]:
    return {}


@dataclass(frozen=True, slots=True)
class Scenario:
    """A program under test, and what it promises.

    Args:
        request: Function that acts as the client: it starts, enqueues, sends or waits, and returns
            plain data. If it fixes the ids of the workflows, with `SetWorkflowID`, it is called in
            every process, as a client that retries. Otherwise it is called again only if no process
            has accepted a workflow of it: see `--client`.
        prepare: Function to call once in each trial, before the first process launches DBOS.
        observe: Function to call in the last process when all workflows have ended. It returns
            plain data about the outside world, which is compared with uninterrupted runs.
        effects: Function to call at the same time as `observe`. It returns how often each effect
            happened, as the outside world counts them: `{"charge": {"order-1": 1}}`.
        promises: Effect or step name to `exactly-once`, `at-least-once` or `at-most-once`.

    Example:
        >>> from dbos import DBOS, SetWorkflowID
        >>> from resumectl import Scenario
        >>> @DBOS.workflow()
        ... def checkout(order: str) -> str:
        ...     return f"{order} is paid"
        >>> def request() -> str:
        ...     with SetWorkflowID("order-1"):
        ...         return checkout("order-1")
        >>> scenario = Scenario(request, promises={"charge": "exactly-once"})
    """

    request: Callable[[], object]
    prepare: Callable[[], object] = _nothing
    observe: Callable[[], object] = _nothing
    effects: Callable[[], Mapping[str, Mapping[str, int]]] = _no_effects
    promises: Mapping[str, str] = field(default_factory=dict)
