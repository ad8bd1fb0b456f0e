"""`effect` and `Scenario`: the two names that a program under test may import from resumectl.

Imports nothing but the standard library, so that they cost nothing outside a trial.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Sink = Callable[[str, tuple[object, ...]], None]
_sink: Sink | None = None


def effect(name: str, *about: object) -> None:
    """Record that something happened outside: a charge, an e-mail, a shipment.

    Costs nothing outside a trial. In one it is durable at once: it counts although the
    process dies at the next instant, as the charge itself would.

    Args:
        name: What happened, as in `charge`; promises are made of it.
        about: What tells one from another, as an order's id: two with the same are a repetition.
    """
    if _sink is not None:
        _sink(name, about)


def send_effects_to(sink: Sink | None) -> None:
    """Say where effects are recorded; None for nowhere."""
    global _sink
    _sink = sink


def _nothing() -> None:
    return None


def _no_effects() -> Mapping[str, Mapping[str, int]]:
    return {}


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is put to the test, and what it promises.

    Args:
        request: Does what a client does: starts, enqueues, sends, waits; returns plain data.
            Called in every life, as a client tries again, so under the same workflow ids.
        prepare: Called once a trial, before the first life launches DBOS.
        observe: Called in the last life when all is quiet; returns plain data about the
            outside world, which is compared with an uninterrupted run.
        effects: Called as observe is; returns effect to what tells one from another to how
            often it happened, as the outside world counts them: `{"charge": {"order-1": 1}}`.
        promises: Effect or step name to `exactly-once`, `at-least-once` or `at-most-once`.
    """

    request: Callable[[], object]
    prepare: Callable[[], object] = _nothing
    observe: Callable[[], object] = _nothing
    effects: Callable[[], Mapping[str, Mapping[str, int]]] = _no_effects
    promises: Mapping[str, str] = field(default_factory=dict)
