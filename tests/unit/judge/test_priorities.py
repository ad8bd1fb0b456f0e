"""Under a budget, the most informative crash points come first."""

from resumectl.judge.priorities import changed_steps, kept_plans, most_informative_first, step_of
from resumectl.judge.transitions import Transition
from resumectl.model.crash_plan import CrashPlan
from resumectl.model.events import StepDefinition
from resumectl.model.verdict import Judgement, Verdict

TRANSITIONS = [
    Transition("w-1/enqueued", "work on queue q", (1,), 1),
    Transition("w-1/claimed", "", (2,), 1),
    Transition("w-1/step-1", "charge", (3,), 1),
    Transition("w-1/step-2", "charge", (4,), 1),
    Transition("w-1/step-3", "ship", (5,), 1),
    Transition("orders/inserted", "", (6,), 1),
    Transition("w-1/succeeded", "", (7,), 1),
]
PLANS = [CrashPlan.parse(f"before:{each.name}") for each in TRANSITIONS]


def order(known: set[str]) -> list[str]:
    return [str(plan)[7:] for plan in most_informative_first(PLANS, TRANSITIONS, known)]


def test_one_of_each_kind_comes_first_and_steps_before_claims() -> None:
    assert order(set()) == [
        "w-1/step-1", "w-1/step-3", "orders/inserted", "w-1/succeeded", "w-1/enqueued",
        "w-1/claimed", "w-1/step-2",
    ]  # fmt: skip


def test_new_and_changed_ones_come_before_known_ones() -> None:
    known = {str(plan) for plan in PLANS} - {"before:w-1/step-2", "before:w-1/claimed"}
    assert order(known)[:2] == ["w-1/claimed", "w-1/step-2"]


def test_step_of_a_plan_is_named() -> None:
    assert step_of(PLANS[2], TRANSITIONS) == "charge"
    assert step_of(CrashPlan.parse("before:x/step-1"), TRANSITIONS) == ""


def test_step_is_changed_if_its_text_is_new() -> None:
    before = {name: StepDefinition(name, "a.py", 1, name) for name in ("charge", "ship")}
    now = {**before, "ship": StepDefinition("ship", "a.py", 9, "edited")}
    now["charge"] = StepDefinition("charge", "a.py", 7, "charge")  # moved, and the same
    now["mail"] = StepDefinition("mail", "a.py", 3, "")
    assert changed_steps(before, now) == {"ship", "mail"}


def test_plan_is_kept_if_every_trial_was() -> None:
    verdicts = [("a/x", Verdict.KEPT), ("b/x", Verdict.KEPT), ("b/x", Verdict.VOID)]
    judged = [Judgement(f"before:{plan}", verdict) for plan, verdict in verdicts]
    assert kept_plans(judged) == {"before:a/x"}
