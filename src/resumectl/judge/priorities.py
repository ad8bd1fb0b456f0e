"""Put the most informative crash points first, for a sweep that has no time for all of them."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from resumectl.judge.transitions import Transition
from resumectl.model.crash_plan import CrashPlan
from resumectl.model.events import StepDefinition
from resumectl.model.verdict import Judgement, Verdict

# Facts that the program's own code makes true. A crash there may repeat an effect; a crash at a claim
# repeats only what DBOS does.
_OWN = ("step-", "transaction-", "inserted", "updated", "deleted", "delivered")
_OF_QUEUES = ("claimed", "enqueued", "requeued")


def most_informative_first(
    plans: Sequence[CrashPlan], transitions: Sequence[Transition], known: Collection[str]
) -> list[CrashPlan]:
    """Return the plans in the order in which they are worth their time.

    What the last sweep did not have, or has changed since, comes first. Within that, one crash point of
    each kind comes before the second of any kind, and steps and tables before claims. A kind is the name
    of the step, or of the fact, at one edge.

    Args:
        plans: Crash plans, in the order of the baseline.
        transitions: Transitions of the baseline.
        known: Plans that were KEPT in the last sweep, at steps that have not changed since.
    """
    details = {each.name: each.detail for each in transitions}
    turns: defaultdict[tuple[str, str], int] = defaultdict(int)
    keyed = []
    for plan in plans:
        name = plan.crashes[0].at.pattern
        kind = (str(plan.crashes[0].edge), _kind(name, details))
        keyed.append(((str(plan) in known, turns[kind], _rank(name)), plan))
        turns[kind] += 1
    # Plans of one rank stay in the order of the baseline.
    return [plan for _, plan in sorted(keyed, key=lambda pair: pair[0])]


def kept_plans(judgements: Iterable[Judgement]) -> set[str]:
    """Return the crash plans of which every trial was KEPT.

    Args:
        judgements: Judgements of the trials of a sweep.
    """
    verdicts: defaultdict[str, set[Verdict]] = defaultdict(set)
    for each in judgements:
        verdicts[each.plan].add(each.verdict)
    return {plan for plan, found in verdicts.items() if found == {Verdict.KEPT}}


def changed_steps(
    before: Mapping[str, StepDefinition], now: Mapping[str, StepDefinition]
) -> set[str]:
    """Return the steps whose text is new or has changed.

    Args:
        before: Step to its definition, in the last sweep.
        now: Step to its definition, in the baseline.
    """
    return {
        name
        for name, step in now.items()
        if name not in before or before[name].digest != step.digest
    }


def step_of(plan: CrashPlan, transitions: Sequence[Transition]) -> str:
    """Return the name of the step at which a plan kills; empty if it kills at no step.

    Args:
        plan: Crash plan.
        transitions: Transitions of the baseline.
    """
    name = plan.crashes[0].at.pattern
    return next((each.detail for each in transitions if each.name == name), "")


def _kind(name: str, details: Mapping[str, str]) -> str:
    fact = name.rpartition("/")[2]
    return details.get(name) or fact if fact.startswith(_OWN) else fact


def _rank(name: str) -> int:
    fact = name.rpartition("/")[2]
    if fact.startswith(_OWN):
        return 0
    return 2 if fact in _OF_QUEUES else 1
