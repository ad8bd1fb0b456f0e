"""Make crash plans for every point where a program can be killed: the transitions of the baseline."""

import random
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from resumectl.errors import NothingProved, Refusal
from resumectl.judge.transitions import Transition, transitions_of
from resumectl.judge.workflow_aliases import has_parent
from resumectl.model.crash_plan import Crash, CrashPlan, Edge, Matches, subject_of
from resumectl.model.events import Committed
from resumectl.model.observation import Observation
from resumectl.text import counted, shell_word


def crash_points(
    transitions: Iterable[Transition], *, edge: Edge | None = None, only: str | None = None
) -> list[CrashPlan]:
    """Return a plan for each edge of each transition, in the order of the baseline.

    Transitions that always share a commit, such as a child's acceptance and its parent's step, are one
    crash point, under the name of the first. Claims are not merged: they share commits at random.
    Transitions of children whose ids differ between runs come last. They are numbered among all similar
    transitions, such as `*/step-1#2`.

    Args:
        transitions: Transitions of the baseline.
        edge: Edge of the crash points; None for both.
        only: Pattern of the transitions; None for all.
    """
    every = list(transitions)
    points: list[Matches] = []
    unnamed: dict[str, int] = {}  # fact to the number of workflows that have it
    commits: set[int] = set()
    # Prefer a name that occurs once to the n-th of many.
    for each in sorted(every, key=lambda t: (t.is_of_varying_id, t.times > 1)):
        # A client that used a random id starts another workflow when it retries.
        # A restart imports the program again: the import is its client.
        if each.is_of_varying_id and not (has_parent(each.name) or each.is_of_import):
            continue
        if only is not None and not Matches(only).covers(each.name):
            continue
        if each.is_of_varying_id:
            if each.fact == "claimed" or not commits.intersection(each.commits):
                unnamed[each.fact] = sum(t.times for t in every if t.fact == each.fact)
            commits.update(each.commits)
            continue
        for n, commit in enumerate(each.commits[: each.times], start=1):
            if each.fact == "claimed" or commit not in commits:
                points.append(Matches(each.name, n))
                commits.add(commit)
    for fact, times in unnamed.items():
        points.extend(Matches(f"*/{fact}", n) for n in range(1, times + 1))
    sides = list(Edge) if edge is None else [edge]
    return [CrashPlan((Crash(side, at),)) for at in points for side in sides]


def refuse_none(
    plans: Sequence[CrashPlan],
    transitions: Sequence[Transition],
    only: str | None,
    *,
    points_line: str,
) -> None:
    """Refuse to sweep a program without a crash point, which would prove nothing.

    Args:
        plans: Crash plans, one for each crash point.
        transitions: Transitions of the baseline.
        only: Pattern that selected transitions; None for all.
        points_line: Command line that shows the crash points.

    Raises:
        Refusal: The pattern covers nothing; the error lists the nearest names.
        NothingProved: The program has no crash point.
    """
    if plans:
        return
    if transitions and all(each.is_of_varying_id for each in transitions):
        raise NothingProved(
            "every workflow has a different id in each run, so no crash point has a stable name",
            next_step="start them with ids that are made from the request: SetWorkflowID",
        )
    if only is None or not transitions:
        raise NothingProved(
            "a run without a crash makes nothing durable, so there is no crash point",
            next_step="let the program start a workflow, or name another one",
        )
    edge, colon, name = only.partition(":")
    if colon and edge in set(Edge):
        raise Refusal(
            f"--only takes the name of a transition, and {only!r} begins with an edge",
            next_step=f"--only {shell_word(name)} --edge {edge}",
        )
    raise Refusal(
        f"no transition of the baseline matches --only {only!r}; {_nearest(only, transitions)}",
        next_step=points_line,
    )


def _nearest(pattern: str, transitions: Sequence[Transition]) -> str:
    names = [each.name for each in transitions]
    near = get_close_matches(pattern, names, n=3) or names[:3]
    return f"the nearest are {', '.join(near)}"


def second_crashes(
    trials: Iterable[Observation], *, edge: Edge | None = None, only: str | None = None
) -> list[CrashPlan]:
    """Return plans with a second crash, at each transition of each observed recovery.

    Args:
        trials: Trials with one crash, with aliases for the workflows whose ids vary.
        edge: Edge of the crash points; None for both.
        only: Pattern of the transitions; None for all.
    """
    plans = []
    for trial in trials:
        if len(trial.processes) > 1:
            commits = list(trial.final.all(Committed))
            first = CrashPlan.parse(trial.plan).crashes
            for plan in crash_points(transitions_of([commits]), edge=edge, only=only):
                plans.append(CrashPlan((*first, *plan.crashes)))
    return plans


def refuse_unknown(plan: CrashPlan, transitions: Sequence[Transition], *, points_line: str) -> None:
    """Refuse a plan whose first crash matches nothing in the baseline, which would prove nothing.

    Args:
        plan: Crash plan.
        transitions: Transitions of the baseline.
        points_line: Command line that shows the crash points.

    Raises:
        Refusal: The first crash matches nothing; the error lists the nearest names.
    """
    at = plan.crashes[0].at
    if sum(t.times for t in transitions if at.covers(t.name)) >= at.n:
        return
    what = f"no transition of the baseline matches {str(at)!r}"
    if subject_of(at.pattern) and any(at.covers(t.name) for t in transitions):
        what = f"{at.pattern} does not happen {counted(at.n, 'time')} in the baseline"
    raise Refusal(f"{what}; {_nearest(at.pattern, transitions)}", next_step=points_line)


def sample(plans: Sequence[CrashPlan], size: int | None, seed: int) -> list[CrashPlan]:
    """Return a random sample of the plans, in their order.

    Args:
        plans: Crash plans.
        size: Number of plans; None for all.
        seed: Random seed; it selects the same plans from the same set.
    """
    if size is None or size >= len(plans):
        return list(plans)
    # Sort first: the order of the plans differs between runs.
    chosen = set(random.Random(seed).sample(sorted(map(str, plans)), size))
    return [plan for plan in plans if str(plan) in chosen]
