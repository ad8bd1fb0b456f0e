"""What a refused option says to type next: the user's own words, put right."""

from collections.abc import Callable

import pytest

from resumectl.cli.spec_from_options import read_spec
from resumectl.cli.target_options import TargetOptions, TrialOptions
from resumectl.errors import Refusal
from resumectl.judge.crash_points import refuse_none
from resumectl.judge.transitions import Transition
from resumectl.model.crash_plan import CrashPlan


def refused(**options: object) -> Callable[[], object]:
    """Return what reads these options of a sweep."""
    names = TrialOptions.__dataclass_fields__
    of_trial = {name: options.pop(name) for name in list(options) if name in names}
    return lambda: read_spec(TargetOptions(**options), TrialOptions(**of_trial))  # type: ignore[arg-type]


def only(pattern: str) -> Callable[[], object]:
    step = Transition("checkout-1/step-1", "charge", [1], 1)
    return lambda: refuse_none([], [step], pattern, points_line="resumectl points")


@pytest.mark.parametrize(
    ("read", "next_step"),
    [
        (refused(env=["SHOP_DB"]), "--env SHOP_DB=VALUE"),
        (refused(promise=["charge"]), "--promise charge=exactly-once"),
        (refused(promise=["charge=twice"]), "--promise charge=exactly-once"),
        (refused(args="{}"), "--args '[\"order-1\"]'"),
        (refused(args="[NaN]"), "--args '[\"order-1\"]'"),
        (refused(target="checkout"), "shop.py:checkout"),
        (refused(target="pay.py"), "pay.py:checkout"),
        (refused(after_launch="setup"), "--after-launch shop.py:setup"),
        (refused(resume_with="new.py"), "--resume-with new.py:checkout"),
        (lambda: CrashPlan.parse("a-1/step-1"), "before:a-1/step-1  or  after:a-1/step-1"),
        (lambda: CrashPlan.parse("?"), "after:alpha-1-7/step-1  or  before:alpha-1-*/delivered#7"),
        (only("before:checkout-1/*"), "--only 'checkout-1/*' --edge before"),
        (only("order-1/*"), "resumectl points"),
    ],
)
def test_what_to_type_next_is_of_the_option_that_was_refused(
    read: Callable[[], object], next_step: str
) -> None:
    with pytest.raises(Refusal) as refusal:
        read()
    assert refusal.value.next_step.removeprefix("as in  ") == next_step
