"""Describe the writes of a commit that workflow bodies make outside of any step."""

from collections.abc import Iterator, Sequence

from resumectl.model.events import BodyInsert, BodyUpdate
from resumectl.probe.call_arguments import named_values
from resumectl.probe.sql_facts import Fact


def body_inserts(facts: Sequence[Fact]) -> Iterator[BodyInsert]:
    """Yield the writes that add something each time.

    Args:
        facts: Facts of one commit.
    """
    for fact in facts:
        if fact.by_body is not None and _adds_each_time(fact, facts):
            yield BodyInsert(fact.name, fact.by_body)


def body_updates(facts: Sequence[Fact]) -> Iterator[BodyUpdate]:
    """Yield the writes that may be repeated, with their parameters.

    Args:
        facts: Facts of one commit.
    """
    for fact in facts:
        if fact.by_body is None or _adds_each_time(fact, facts):
            continue
        sql = " ".join(fact.sql.split())
        for parameters in fact.given or ({},):
            values = ", ".join(named_values(parameters))
            yield BodyUpdate(fact.name, fact.by_body, ": ".join(filter(None, (values, sql))))


def _adds_each_time(fact: Fact, facts: Sequence[Fact]) -> bool:
    # A transaction that deletes a row and inserts it again may be repeated.
    deleted = f"{fact.name.rpartition('/')[0]}/deleted"
    return fact.does_more_each_time and all(each.name != deleted for each in facts)
