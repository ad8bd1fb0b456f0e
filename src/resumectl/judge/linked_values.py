"""What the body of a workflow makes by chance and gives to several: one value in all lives. Pure.

Such a value is another one in each run, so that no run tells what it ought to be. But two things
that carry the same one in every uninterrupted run carry the same one after a crash.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from resumectl.judge.trial_view import (
    RECEIVED,
    Field,
    calls_of,
    compared,
    fields_of,
    messages_of,
    received,
    values_given,
)
from resumectl.model.observation import Finding, Kind, Observation

Pair = tuple[Field, Field]

# So long are a UUID's last part, tokens and keys: two of them are never the same by chance. Digits
# alone may be a time to the second, which two looks at a clock share.
_MADE_BY_CHANCE = re.compile(r"(?![0-9TZ]{1,16}(?![0-9A-Za-z]))[0-9A-Za-z]{12,}")


def carried_together(runs: Sequence[Observation]) -> frozenset[Pair]:
    """Pairs of things into which a body puts the same value made by chance, in each of the runs.

    Args:
        runs: Uninterrupted ones; two at least, for what is the same in all is not made by chance.
    """
    carried = [_carried(run) for run in runs]
    constant = set.intersection(*(set().union(*each.values()) for each in carried))
    return frozenset(set.intersection(*(_pairs(each, constant) for each in carried)))


def torn_apart(trial: Observation, together: frozenset[Pair]) -> Iterator[Finding]:
    """What carries another value than its fellow, which it does in no uninterrupted run.

    Args:
        trial: Without the workflows that are begun anew by right.
        together: Of the uninterrupted runs.
    """
    carried = _carried(trial) if together else {}
    told: set[Field] = set()
    for one, other in sorted(together):
        if other in told or not carried.get(one) or not carried.get(other):
            continue
        if not carried[one] & carried[other]:
            told.add(other)
            yield Finding(
                Kind.DIVERGED,
                str(other),
                f"carries another value than {one}; uninterrupted, both carry one: the workflow's "
                "body made it afresh after the crash",
            )


def _carried(run: Observation) -> dict[Field, set[str]]:
    """By thing that a body says or gives, the values in it that the body itself made by chance."""
    sent = dict(messages_of(run))
    fields = fields_of(run) | _arguments(run) | sent
    recorded = _returned(run) | (_received(run) - _made_and_sent(run, sent))
    carried: dict[Field, set[str]] = {}
    for key, each in fields.items():
        if _is_of_a_body(key) and not _is_of_a_client(key, fields):
            # What a workflow was given is recorded, and the same in every life.
            given = fields.get(Field("workflow", key.workflow or key.name, "input"))
            own = set() if key.what == "input" else _values(given)
            carried[key] = _values(each) - recorded - own
    return {key: values for key, values in carried.items() if values}


def _arguments(run: Observation) -> dict[Field, list[str]]:
    """What steps were called with, without objects: each life has its own of these."""
    found: defaultdict[Field, list[str]] = defaultdict(list)
    for life in run.lives:
        for key, event in calls_of(life):
            found[key] += values_given(event)
    return found


def _returned(run: Observation) -> set[str]:
    """What steps returned: it was made there, or comes from outside."""
    return {
        value
        for step in run.final.left["steps"]
        for what in ("output", "error")
        for value in _values(compared(step, what))
        if step["name"] != RECEIVED
    }


def _received(run: Observation) -> set[str]:
    numbered = received(run.final).values()
    return _values([text for each in numbered for text in each.values()])


def _made_and_sent(run: Observation, sent: Mapping[Field, list[str]]) -> set[str]:
    """What bodies sent, but for what they only hand on: they had received it before."""
    got = received(run.final)
    made: set[str] = set()
    for key, texts in sent.items():
        earlier = (text for n, text in got.get(key.workflow, {}).items() if n < key.number)
        made |= _values(texts) - _values(list(earlier))
    return made


def _is_of_a_client(key: Field, fields: Mapping[Field, Any]) -> bool:
    """Whether it comes from outside: a client may ask with another value each time."""
    return key.what == "input" and fields[key._replace(what="parent")] is None


def _is_of_a_body(key: Field) -> bool:
    return key.kind in ("event", "stream", "write") or (key.kind, key.what) in (
        ("workflow", "input"), ("workflow", "output"), ("step", "arguments"), ("step", "message"),
    )  # fmt: skip


def _values(told: Any) -> set[str]:
    texts = [told] if isinstance(told, str) else told or ()
    return {value for text in texts for value in _MADE_BY_CHANCE.findall(str(text))}


def _pairs(carried: Mapping[Field, set[str]], constant: set[str]) -> set[Pair]:
    carriers: defaultdict[str, list[Field]] = defaultdict(list)
    for key, values in carried.items():
        for value in values - constant:
            carriers[value].append(key)
    return {pair for keys in carriers.values() for pair in combinations(sorted(keys), 2)}
