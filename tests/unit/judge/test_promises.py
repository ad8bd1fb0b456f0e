"""Which promises are refused, since nothing could break them."""

import pytest
from builders import baseline_of, committed, run

from resumectl.errors import Refusal
from resumectl.judge.promises import refuse_unknown_promises
from resumectl.model.promise import Promise


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("orders", "observe"),
        ("order", "unknown promise target"),
        ("book", "'book' needs no promise: it is a transaction"),
        ("look", ""),
    ],
)
def test_promise_of_what_never_happens_is_refused(name: str, said: str) -> None:
    wrote = committed("orders/inserted")
    booked = committed(("w-1/step-2", "book"))
    baseline = baseline_of([run([("look", "usual")], events=[wrote, booked])] * 2)
    promises = {name: Promise.EXACTLY_ONCE}
    if not said:
        refuse_unknown_promises(promises, baseline)
        return
    with pytest.raises(Refusal, match=said):
        refuse_unknown_promises(promises, baseline)
