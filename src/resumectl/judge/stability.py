"""Distinguish findings that every repetition of a trial shows from those that only some show.

A finding is stable if some crash plan shows it each time that its trial is run, and unstable if every
repeated plan shows it only sometimes. A trial with only unstable findings is UNSTABLE: neither BROKEN
nor KEPT.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from resumectl.model.verdict import Finding, Judgement, Kind, Verdict

# Repetitions of one trial, and maximum number of repeated plans for one finding and in all. If a
# finding occurs in two of three trials, five trials of two plans show it each time in one of four
# sweeps; if it occurs in one of two trials, in one of sixteen sweeps.
REPETITIONS = 4
_PLANS_EACH_MAX = 3
_PLANS_MAX = 12

# Topic of a finding, without its evidence, which may contain values that vary, such as a pid.
Topic = tuple[Kind, str]


def topic_of(finding: Finding) -> Topic:
    """Return the topic of a finding: its kind and subject."""
    return finding.kind, finding.subject


@dataclass(frozen=True, slots=True)
class Shown:
    """Number of runs of the same crash plans, the first one included, and how many showed a finding."""

    times: int
    of: int


class Stability:
    """Stability of each finding in the trials of a sweep.

    Args:
        judged: Judgements of the trials, one or more for each crash plan.
        repeated: Judgements of the repetitions.
    """

    def __init__(self, judged: Sequence[Judgement], repeated: Sequence[Judgement]) -> None:
        self._trials: defaultdict[str, list[frozenset[Topic]]] = defaultdict(list)
        for judgement in (*judged, *repeated):
            if judgement.verdict is not Verdict.VOID:
                topics = frozenset(map(topic_of, judgement.findings))
                self._trials[judgement.plan].append(topics)
        self._again = {judgement.plan for judgement in repeated}
        # Finding to the plans that show it, in the order of the trials.
        self._plans: defaultdict[Topic, list[str]] = defaultdict(list)
        for judgement in judged:
            for topic in map(topic_of, judgement.findings):
                if judgement.plan not in self._plans[topic]:
                    self._plans[topic].append(judgement.plan)

    def _shown(self, topic: Topic, plan: str) -> Shown:
        trials = self._trials[plan]
        return Shown(sum(topic in each for each in trials), len(trials))

    def _repeated(self, topic: Topic) -> dict[str, Shown]:
        """Return how often each repeated plan shows a finding."""
        shown = {plan: self._shown(topic, plan) for plan in self._plans[topic]}
        return {plan: each for plan, each in shown.items() if each.of > 1}

    def is_stable(self, topic: Topic) -> bool:
        """Return whether a plan shows a finding each time, or no plan was repeated."""
        repeated = self._repeated(topic).values()
        return not repeated or any(each.times == each.of for each in repeated)

    @property
    def unstable(self) -> frozenset[Topic]:
        """Findings that no plan shows each time."""
        return frozenset(topic for topic in self._plans if not self.is_stable(topic))

    def shown(self, topic: Topic) -> Shown | None:
        """Return how often the repeated plans show a finding; None if no plan was repeated.

        For a stable finding, only the first plan that shows it each time is counted.
        """
        repeated = list(self._repeated(topic).values())
        if not repeated:
            return None
        always = next((each for each in repeated if each.times == each.of), None)
        return always or Shown(sum(e.times for e in repeated), sum(e.of for e in repeated))

    def to_repeat(self) -> list[str]:
        """Return the next plans to repeat: one for each finding whose stability is not yet known."""
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
    """Judgements of trials and of their repetitions."""

    trials: Sequence[Judgement]
    repeated: Sequence[Judgement]

    @property
    def shown(self) -> Mapping[Topic, Shown]:
        """How often the runs of its crash plans showed each finding; only of findings that were repeated."""
        stability = Stability(self.trials, self.repeated)
        topics = {topic_of(finding) for each in self.trials for finding in each.findings}
        found = {topic: stability.shown(topic) for topic in topics}
        return {topic: shown for topic, shown in found.items() if shown is not None}


def settled(judged: Sequence[Judgement], repeated: Sequence[Judgement]) -> Judged:
    """Return the judgements, UNSTABLE in place of BROKEN where no finding is stable.

    Args:
        judged: Judgements of the trials, one or more for each crash plan.
        repeated: Judgements of the repetitions.
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
