"""Find the transitions of uninterrupted runs, with their commits and how often each happens."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from resumectl.judge.workflow_aliases import is_alias
from resumectl.model.crash_plan import subject_of
from resumectl.model.events import Committed


@dataclass(frozen=True, slots=True)
class Transition:
    """One transition of the baseline.

    Attributes:
        name: Name, such as `checkout-1/step-1`.
        detail: Name of the step or queue, or topic of the message, for people; may be empty.
        commits: Numbers of its commits in the first run, from 1.
        times: Number of times that it happens in each run.
        is_of_import: Whether the import of the program starts its workflow.
    """

    name: str
    detail: str
    commits: Sequence[int]
    times: int
    is_of_import: bool = False

    @property
    def commit(self) -> int:
        """Number of its first commit."""
        return self.commits[0]

    @property
    def is_of_varying_id(self) -> bool:
        """Whether its workflow has another id in each run, so that no plan can name it."""
        return is_alias(self.name)

    @property
    def fact(self) -> str:
        """Last part of its name, such as `step-1`."""
        return self.name.rpartition("/")[2]


def transitions_of(
    runs: Sequence[Sequence[Committed]], imported: Collection[str] = ()
) -> list[Transition]:
    """Return the transitions that every run has, in the order of the first run.

    Args:
        runs: Commits of each run.
        imported: Ids of the workflows that the import of the program starts.
    """
    times = [Counter(fact.name for commit in run for fact in commit.facts) for run in runs]
    commits: defaultdict[str, list[int]] = defaultdict(list)
    details: dict[str, str] = {}
    for number, commit in enumerate(runs[0], start=1):
        for fact in commit.facts:
            commits[fact.name].append(number)
            details.setdefault(fact.name, fact.detail)
    common = {name: min(each[name] for each in times) for name in commits}
    return [
        Transition(name, details[name], numbers, common[name], subject_of(name) in imported)
        for name, numbers in commits.items()
        if common[name]
    ]
