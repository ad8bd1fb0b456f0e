"""Promises have names, which a user types or Python spells."""

import pytest

from resumectl.errors import Refusal
from resumectl.model.promise import Promise


@pytest.mark.parametrize("text", ["exactly-once", "exactly_once"])
def test_promise_is_named_as_a_user_or_as_python_spells_it(text: str) -> None:
    assert Promise.named(text, of="charge") is Promise.EXACTLY_ONCE


@pytest.mark.parametrize("text", ["", "once", "Exactly-Once", None])
def test_unknown_promise_is_refused_with_all_names(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        Promise.named(text, of="charge")
    for name in ("charge", "exactly-once", "at-least-once", "at-most-once"):
        assert name in str(refused.value)
    assert refused.value.next_step == "as in  promises={'charge': 'exactly-once'}"


def test_promise_of_the_command_line_is_corrected_there() -> None:
    with pytest.raises(Refusal) as refused:
        Promise.named("once", of="a b", option="--promise")
    assert refused.value.next_step == "as in  --promise 'a b=exactly-once'"
