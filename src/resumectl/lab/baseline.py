"""What an uninterrupted run does, from two or more of them; what varies by itself is masked.

Pure: works on recorded data alone.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resumectl.lab.aliases import is_alias
from resumectl.lab.evidence_text import readable
from resumectl.lab.paths import Path, distinct, paths_of
from resumectl.lab.trial import LifeSeen, Observation

_MISSING = object()


@dataclass(frozen=True, slots=True)
class Transition:
    """One durable fact of the baseline."""

    name: str
    what: str
    commit: int  # the number of its commit in the first run, from 1
    times: int  # in each run

    @property
    def is_of_varying_id(self) -> bool:
        """Whether its workflow has another id in each run, so that no plan can name it."""
        return is_alias(self.name)

    @property
    def fact(self) -> str:
        """What becomes true of its workflow, or table, as in `step-1`."""
        return self.name.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Baseline:
    """What every uninterrupted run had in common."""

    transitions: Sequence[Transition]
    fields: Mapping[str, Any]
    effects: Mapping[tuple[str, str], int]  # name and what about, to how often
    steps: Mapping[str, int]  # a step's site, to how often its body ran
    paths: Mapping[str, Sequence[Path]]  # by workflow, the different ones
    not_compared: Sequence[str]
    seconds: float  # the longest run
    digest: str | None  # of the scenario's file
    ill: str = ""  # what is wrong without any crash

    @classmethod
    def of(cls, runs: Sequence[Observation]) -> "Baseline":
        """Compare the runs with each other; two at least."""
        ill = next((reason for run in runs if (reason := _illness(run))), "")
        digests = {run.digest for run in runs}
        if not ill and len(digests) > 1:
            ill = "its file was changed between two uninterrupted runs"
        fields = [fields_of(run.final) for run in runs]
        effects = [effects_of(run, sites_of_effects(runs)) for run in runs]
        steps = [steps_of(run) for run in runs]
        kept_fields, masked = _common(fields)
        kept_effects, masked_effects = _common(effects)
        kept_steps, masked_steps = _common(steps)
        return cls(
            transitions=transitions_of([list(events_of(run, "commit")) for run in runs]),
            fields=kept_fields,
            effects=kept_effects,
            steps=kept_steps,
            paths=distinct([paths_of(run.final) for run in runs]),
            not_compared=[
                *sorted(masked),
                *(f"effect {name}({about})" for name, about in sorted(masked_effects)),
                *(f"executions of {site}" for site in sorted(masked_steps)),
            ],
            seconds=max(run.seconds for run in runs),
            digest=runs[0].digest,
            ill=ill,
        )


def _common(runs: Sequence[Mapping[Any, Any]]) -> tuple[dict[Any, Any], set[Any]]:
    """What all runs agree upon, and the keys of what they do not."""
    keys = {key for run in runs for key in run}
    values = {key: [run.get(key, _MISSING) for run in runs] for key in keys}
    kept = {k: v[0] for k, v in values.items() if all(each == v[0] for each in v)}
    return kept, keys - set(kept)


def _illness(run: Observation) -> str:
    life = run.final
    if life.failure:
        return life.failure
    if not life.in_time:
        stuck = [w for w in life.left["workflows"] if w["status"] in ("PENDING", "ENQUEUED")]
        return "it does not end" + "".join(
            f"; {w['id']} stays {w['status']}" + (f" on queue {w['queue']}" if w["queue"] else "")
            for w in stuck[:3]
        )
    answer = life.last("answered")
    if answer is None:
        return f"its process ended by itself: {life.ending}"
    return str(answer["error"]) if "error" in answer else ""


def fields_of(life: LifeSeen) -> dict[str, Any]:
    """What a run ended with, as name to value; names are for people."""
    found: dict[str, Any] = {}
    for workflow in life.left["workflows"]:
        for key in ("name", "status", "output", "error", "parent"):
            found[f"workflow {workflow['id']}: {key}"] = compared(workflow, key)
    for step in life.left["steps"]:
        for key in ("name", "output", "error", "child"):
            found[f"step {step['workflow']}/{step['number']}: {key}"] = compared(step, key)
    answer = life.last("answered") or {}
    found["answer"] = answer.get("value", answer.get("error"))
    observed = life.last("observed")
    found.update(_flat("observed", observed["value"] if observed else None))
    return found


def compared(row: Mapping[str, Any], key: str) -> Any:
    """A column of a workflow or step, as it is held against another's."""
    is_value = key in ("output", "error") and row[key] is not None
    return readable(row[key]) if is_value else row[key]


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}", inner)
    else:
        yield name, value


def sites_of_effects(runs: Sequence[Observation]) -> set[str]:
    """Effects that are not the same in every run: told apart by where, not by what about."""
    seen = []
    for run in runs:
        seen.append(Counter((e["name"], tuple(e["about"])) for e in events_of(run, "effect")))
    everything = {key for each in seen for key in each}
    return {name for name, about in everything if any((name, about) not in each for each in seen)}


def effects_of(run: Observation, by_site: set[str]) -> dict[tuple[str, str], int]:
    """How often each effect happened, in all lives together, and as the scenario counts them."""
    found: Counter[tuple[str, str]] = Counter()
    for each in events_of(run, "effect"):
        about = site(each) if each["name"] in by_site else ", ".join(each["about"])
        found[each["name"], about] += 1
    counted = run.final.last("counted")
    for name, times in (counted["value"] if counted else {}).items():
        for about, number in times.items():
            found[name, about] += number
    return dict(found)


def steps_of(run: Observation) -> dict[str, int]:
    """How often each step's body ran, a datasource's transactions apart: they are undone."""
    return dict(
        Counter(f"{e['step']} {site(e)}" for e in events_of(run, "ran") if not e["transaction"])
    )


def site(event: Mapping[str, Any]) -> str:
    """Where something happened, as in `checkout-1/step-2`."""
    if event["workflow"] is None:
        return "outside of any workflow"
    if event["number"] is None:
        return f"{event['workflow']}, outside of any step"
    return f"{event['workflow']}/step-{event['number']}"


def events_of(run: Observation, kind: str) -> Iterator[Mapping[str, Any]]:
    """The events of a kind, of all lives in their order."""
    for life in run.lives:
        yield from (event for event in life.events if event["kind"] == kind)


def transitions_of(runs: Sequence[Sequence[Mapping[str, Any]]]) -> list[Transition]:
    """In the order of the first run; each as often as it happens in every run.

    Args:
        runs: The commits of each.
    """
    times = [Counter(name for commit in run for name, _ in commit["facts"]) for run in runs]
    found: dict[str, Transition] = {}
    for number, commit in enumerate(runs[0], start=1):
        for name, what in commit["facts"]:
            common = min(each[name] for each in times)
            if name not in found and common:
                found[name] = Transition(name, what, number, common)
    return list(found.values())
