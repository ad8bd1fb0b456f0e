"""Tell findings that a repeated trial shows again from those that depend on luck.

A finding is stable if some crash plan shows it each time that its trial is run, and unstable if
every plan that was repeated shows it only sometimes. A trial with unstable findings alone is
UNSTABLE: neither BROKEN nor KEPT.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from resumectl.model.verdict import Finding, Judgement, Kind, Verdict

# How often a trial is run again, and how many plans are repeated for one finding, and in all. Of a
# finding that shows in two of three trials, five trials of two plans show it each time in one of
# four sweeps; of one in two, in one of sixteen.
REPETITIONS = 4
_PLANS_EACH_MAX = 3
_PLANS_MAX = 12

# What a finding is of: its evidence may hold what is another in each trial, as a pid.
Topic = tuple[Kind, str]


def topic_of(finding: Finding) -> Topic:
    """Return what a finding is of."""
    return finding.kind, finding.subject


@dataclass(frozen=True, slots=True)
class Shown:
    """How often a finding was shown by the trials of plans that were repeated."""

    times: int
    of: int


class Stability:
    """What the trials of a sweep, and the repeated ones among them, say of each finding.

    Args:
        judged: What the trials proved, each crash plan once or more.
        repeated: What the trials proved that were run again.
    """

    def __init__(self, judged: Sequence[Judgement], repeated: Sequence[Judgement]) -> None:
        self._trials: defaultdict[str, list[frozenset[Topic]]] = defaultdict(list)
        for judgement in (*judged, *repeated):
            if judgement.verdict is not Verdict.VOID:
                topics = frozenset(map(topic_of, judgement.findings))
                self._trials[judgement.plan].append(topics)
        self._again = {judgement.plan for judgement in repeated}
        # In the order of the trials: which plans show a finding.
        self._plans: defaultdict[Topic, list[str]] = defaultdict(list)
        for judgement in judged:
            for topic in map(topic_of, judgement.findings):
                if judgement.plan not in self._plans[topic]:
                    self._plans[topic].append(judgement.plan)

    def _shown(self, topic: Topic, plan: str) -> Shown:
        trials = self._trials[plan]
        return Shown(sum(topic in each for each in trials), len(trials))

    def _repeated(self, topic: Topic) -> dict[str, Shown]:
        """Return how often each plan shows it that was run more than once."""
        shown = {plan: self._shown(topic, plan) for plan in self._plans[topic]}
        return {plan: each for plan, each in shown.items() if each.of > 1}

    def is_stable(self, topic: Topic) -> bool:
        """Return whether a plan shows it each time, or no plan was run more than once."""
        repeated = self._repeated(topic).values()
        return not repeated or any(each.times == each.of for each in repeated)

    @property
    def unstable(self) -> frozenset[Topic]:
        """The findings that no plan shows each time."""
        return frozenset(topic for topic in self._plans if not self.is_stable(topic))

    def shown(self, topic: Topic) -> Shown | None:
        """Return how often it was shown by the plans that were repeated; None if there is none.

        Of a stable one, by the first plan that shows it each time.
        """
        repeated = list(self._repeated(topic).values())
        if not repeated:
            return None
        always = next((each for each in repeated if each.times == each.of), None)
        return always or Shown(sum(e.times for e in repeated), sum(e.of for e in repeated))

    def to_repeat(self) -> list[str]:
        """Return the next plans to be run again: one for each finding that is in doubt."""
        chosen: list[str] = []
        for topic, plans in self._plans.items():
            repeated = self._repeated(topic)
            is_in_doubt = not repeated or not self.is_stable(topic)
            if not is_in_doubt or len(repeated) >= _PLANS_EACH_MAX or set(plans) & set(chosen):
                continue
            left = [plan for plan in plans if plan not in repeated]
            chosen.extend(left[:1])
        return chosen[: max(0, _PLANS_MAX - len(self._again))]


@dataclass(frozen=True, slots=True)
class Judged:
    """What trials proved, and what those of them proved that were run again."""

    trials: Sequence[Judgement]
    repeated: Sequence[Judgement]

    @property
    def shown(self) -> Mapping[Topic, Shown]:
        """How often each finding was shown by the plans that were run more than once."""
        stability = Stability(self.trials, self.repeated)
        topics = {topic_of(finding) for each in self.trials for finding in each.findings}
        found = {topic: stability.shown(topic) for topic in topics}
        return {topic: shown for topic, shown in found.items() if shown is not None}


def settled(judged: Sequence[Judgement], repeated: Sequence[Judgement]) -> Judged:
    """Return the judgements, UNSTABLE in place of BROKEN where no finding is stable.

    Args:
        judged: What the trials proved, each crash plan once or more.
        repeated: What the trials proved that were run again.
    """
    stability = Stability(judged, repeated)
    trials = [
        replace(each, verdict=Verdict.UNSTABLE)
        if each.verdict is Verdict.BROKEN
        and not any(stability.is_stable(topic_of(finding)) for finding in each.findings)
        else each
        for each in judged
    ]
    return Judged(trials, repeated)
