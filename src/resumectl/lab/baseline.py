"""What an uninterrupted run does, from two or more of them; what varies by itself is masked.

Pure: works on recorded data alone.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from resumectl.lab.aliases import is_alias
from resumectl.lab.evidence_text import readable
from resumectl.lab.paths import Path, distinct, paths_of
from resumectl.lab.plan import subject_of
from resumectl.lab.trial import LifeSeen, Observation

MISSING = object()  # stands for a value that is not there
# Steps of DBOS's own (3.4.0) whose records are never the same, or only by chance: the time of
# waking, which no body sees, and which of several came first.
_FIRST = frozenset({"DBOS.waitFirst", "DBOS.asyncio_wait"})
# Messages come from several senders, in an order that is chance: all of them are compared.
_RECEIVED = "DBOS.recv"
_NOT_COMPARED = frozenset({"DBOS.sleep", _RECEIVED, *_FIRST})
_NO_TOPIC = "__null__topic__"  # as it is stored


# Facts of which there is one for ever: another one is a checkpoint that did not hold.
ONCE = ("step-", "transaction-", "succeeded", "failed")


class Field(NamedTuple):
    """One thing that a run ends with, and that is compared."""

    kind: str  # workflow, step, event, stream, inbox, observed, answer
    name: str  # as in checkout-1, or checkout-1/step-2
    what: str = ""  # as in status, output
    workflow: str = ""  # of a step: its workflow, and its number there
    number: int = 0

    def __str__(self) -> str:
        names_itself = self.name and self.kind not in ("workflow", "observed", "received")
        words = self.name if names_itself else f"{self.kind} {self.name}".rstrip()
        return words + (f": {self.what}" if self.what else "")


class Count(NamedTuple):
    """Something that happens so or so often: an effect, a step's body, a row from a body."""

    kind: str  # effect, executions, insert
    name: str
    about: str  # what tells one from another: arguments of an effect, or where

    def __str__(self) -> str:
        said = (
            f"{self.name}({self.about})" if self.kind == "effect" else f"{self.name} {self.about}"
        )
        return f"{self.kind} {'of ' if self.kind == 'executions' else ''}{said}"


@dataclass(frozen=True, slots=True)
class Transition:
    """One durable fact of the baseline."""

    name: str
    what: str
    commits: Sequence[int]  # the numbers of its commits in the first run, from 1
    times: int  # in each run

    @property
    def commit(self) -> int:
        """The number of its first commit."""
        return self.commits[0]

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
    """What every uninterrupted run had in common.

    Attributes:
        transitions: Its durable facts, in their order.
        fields: What it ends with, to the values that are as they should be.
        counts: How often something happens, at least and at most.
        paths: By workflow, the different ones that it took.
        received: By workflow, what each of its steps received, in the first run.
        begun_anew: Workflows that the program deletes, or takes back and runs once more.
        open_from: Workflow to the number of a step whose result varies by itself, as that of a
            look whether something is ready: which steps follow depends on it.
        masked: What varies by itself, and is not compared.
        left_running: How many threads or tasks were still at work in the end.
        seconds: The longest run.
        away_s: How long a process takes until it is at work.
        digests: Of the scenario's file, in the first life and in later ones.
        ill: What is wrong without any crash.
    """

    transitions: Sequence[Transition]
    fields: Mapping[Field, Sequence[Any]]
    counts: Mapping[Count, tuple[int, int]]
    paths: Mapping[str, Sequence[Path]]
    received: Mapping[str, Mapping[int, str]]
    begun_anew: frozenset[str]
    open_from: Mapping[str, int]
    masked: frozenset[Field | Count]
    left_running: int
    seconds: float
    away_s: float
    digests: tuple[str | None, str | None]
    ill: str = ""

    @classmethod
    def of(cls, runs: Sequence[Observation], by_site: set[str]) -> "Baseline":
        """Compare runs with each other.

        Args:
            runs: Two at least.
            by_site: Effects that are told apart by where they happen; see `sites_of_effects`.
        """
        ill = next((reason for run in runs if (reason := illness(run))), "")
        digests = {run.digest for run in runs}
        if not ill and len(digests) > 1:
            ill = "its file was changed between two uninterrupted runs"
        found = [fields_of(run) for run in runs]
        fields, masked_fields = _common(found)
        counts, masked_counts = _common([counts_of(run, by_site) for run in runs])
        open_from = _open_from(found, masked_fields)
        transitions = transitions_of([list(events_of(run, "commit")) for run in runs])
        return cls(
            transitions=transitions,
            fields={key: (value,) for key, value in fields.items()},
            counts={key: (n, n) for key, n in counts.items()},
            paths=distinct([paths_of(run.final) for run in runs]),
            received=received(runs[0].final),
            begun_anew=_begun_anew(transitions),
            open_from=open_from,
            masked=frozenset(masked_fields | masked_counts),
            left_running=max(
                (run.final.last("quiet") or {}).get("still_running", 0) for run in runs
            ),
            seconds=max(run.seconds for run in runs),
            away_s=max(map(_away_s, runs)),
            digests=(runs[0].digest, runs[0].digest),
            ill=ill,
        )

    def or_as(self, other: "Baseline") -> "Baseline":
        """Satisfied with what either does: the program before an edit, and the one after it."""
        fields = {
            key: (*self.fields.get(key, (MISSING,)), *other.fields.get(key, (MISSING,)))
            for key in {*self.fields, *other.fields}
        }
        never = (0, 0)
        counts = {
            key: (
                min(self.counts.get(key, never)[0], other.counts.get(key, never)[0]),
                max(self.counts.get(key, never)[1], other.counts.get(key, never)[1]),
            )
            for key in {*self.counts, *other.counts}
        }
        masked = self.masked | other.masked
        open_from = {**self.open_from}
        for workflow, number in other.open_from.items():
            open_from[workflow] = min(number, open_from.get(workflow, number))
        return replace(
            self,
            fields={key: values for key, values in fields.items() if key not in masked},
            counts={key: times for key, times in counts.items() if key not in masked},
            paths={},  # they may part where the program was edited
            open_from=open_from,
            masked=masked,
            digests=(self.digests[0], other.digests[0]),
            ill=self.ill or other.ill,
        )

    def opened_by(self, trial: Observation) -> "Baseline":
        """As it is for one trial: where messages came in another order, other steps follow."""
        open_from = {**self.open_from}
        for workflow, numbered in received(trial.final).items():
            usual = self.received.get(workflow, {})
            others = [n for n, message in numbered.items() if usual.get(n) != message]
            if others:
                open_from[workflow] = min(min(others), open_from.get(workflow, min(others)))
        return replace(self, open_from=open_from)

    def is_open(self, key: Field) -> bool:
        """Whether it is a step that follows upon a result which varies by itself."""
        return key.number > self.open_from.get(key.workflow, key.number)

    @property
    def not_compared(self) -> list[str]:
        """What is not compared, for people."""
        said = sorted(
            str(each)
            for each in self.masked
            if not (isinstance(each, Field) and self.is_open(each))
        )
        for workflow, number in sorted(self.open_from.items()):
            said.append(
                f"the steps of {workflow} after step {number}" if number else
                f"the steps of {workflow}, which is cancelled"
            )  # fmt: skip
        if self.left_running:
            said.append(f"what {self.left_running} threads or tasks do that never end")
        return said


def _begun_anew(transitions: Sequence[Transition]) -> frozenset[str]:
    ends: Counter[str] = Counter()
    for each in transitions:
        if each.fact in ("succeeded", "failed", "deleted"):
            # A deletion counts as an end, and the end before it as another.
            ends[subject_of(each.name)] += each.times + (each.fact == "deleted")
    return frozenset(workflow for workflow, times in ends.items() if times > 1)


def _common(runs: Sequence[Mapping[Any, Any]]) -> tuple[dict[Any, Any], set[Any]]:
    """What all runs agree upon, and the keys of what they do not."""
    keys = {key for run in runs for key in run}
    values = {key: [run.get(key, MISSING) for run in runs] for key in keys}
    kept = {k: v[0] for k, v in values.items() if all(each == v[0] for each in v)}
    return kept, keys - set(kept)


def _open_from(runs: Sequence[Mapping[Field, Any]], masked: set[Field]) -> dict[str, int]:
    found: dict[str, int] = {}
    # The last number at which runs have different steps.
    parts: defaultdict[str, int] = defaultdict(int)
    for key in masked:
        if key.kind == "step" and key.what == "name":
            parts[key.workflow] = max(key.number, parts[key.workflow])
    for run in runs:
        for key, value in run.items():
            varies = key in masked and key.what in ("output", "error", "child")
            leads = varies and key.number < parts[key.workflow]
            if key.kind == "step" and (leads or (key.what == "name" and value in _FIRST)):
                found[key.workflow] = min(key.number, found.get(key.workflow, key.number))
            # DBOS does not record what a workflow was doing when it was cancelled.
            if key.kind == "workflow" and key.what == "status" and value == "CANCELLED":
                found[key.name] = 0
    return found


def _away_s(run: Observation) -> float:
    """The seconds of a run in which it was not yet at work, or no more."""
    asked, quiet = run.final.last("requested"), run.final.last("quiet")
    if asked is None or quiet is None:
        return run.seconds
    return run.seconds - float(quiet["at_us"] - asked["at_us"]) / 1e6


# How the illness of a program begins that takes too long.
NO_END = "it does not end"


def illness(run: Observation) -> str:
    """What is wrong with an uninterrupted run; empty if nothing is."""
    life = run.final
    if life.failure:
        return life.failure
    if not life.in_time:
        stuck = [w for w in life.left["workflows"] if w["status"] in ("PENDING", "ENQUEUED")]
        return f"{NO_END} within {run.seconds:.0f} s" + "".join(
            f"; {w['id']} stays {w['status']}"
            + (
                f" on queue {w['queue']}, which nothing registers or which is full"
                if w["queue"]
                else ""
            )
            for w in stuck[:3]
        )
    answer = life.last("answered")
    if answer is None:
        return f"its process ended by itself: {life.ending}"
    if "error" in answer:
        return str(answer["error"])
    for kind, what in (("observed", "observe"), ("counted", "effects")):
        look = life.last(kind)
        if look is not None and "error" in look:
            return f"its {what}: {look['error']}"
    return ""


def fields_of(run: Observation) -> dict[Field, Any]:
    """What a run ended with."""
    life = run.final
    found: dict[Field, Any] = {}
    for workflow in life.left["workflows"]:
        for what in (
            "name", "status", "output", "error", "parent", "input", "priority", "user", "roles",
        ):  # fmt: skip
            found[Field("workflow", workflow["id"], what)] = compared(workflow, what)
    for step in life.left["steps"]:
        is_compared = step["name"] not in _NOT_COMPARED
        for what in ("name", "output", "error", "child") if is_compared else ("name",):
            found[field_of_step(step, what)] = compared(step, what)
    for workflow_id, numbered in received(life).items():
        found[Field("received", workflow_id, "", workflow_id)] = sorted(numbered.values())
    called: defaultdict[Field, set[str]] = defaultdict(set)
    for event in events_of(run, "ran"):
        if event["workflow"] is not None and event["number"] is not None:
            called[field_of_step(event, "arguments")].add(", ".join(event["payload"]))
    found.update((key, tuple(sorted(texts))) for key, texts in called.items())
    for kind in ("event", "stream", "inbox"):
        texts: defaultdict[Field, list[str]] = defaultdict(list)
        for row in life.left[kind]:
            key = "" if row["key"] == _NO_TOPIC else row["key"]
            name = " ".join(filter(None, (kind, row["workflow"], key)))
            texts[Field(kind, name, "", row["workflow"])].append(readable(row["value"]))
        # Messages come from several senders, in an order that is chance.
        found.update((k, sorted(v) if kind == "inbox" else v) for k, v in texts.items())
    answer = life.last("answered") or {}
    found[Field("answer", "")] = answer.get("value", answer.get("error"))
    for kind, what in (("observed", "observe"), ("counted", "effects")):
        look = life.last(kind) or {}
        if "error" in look:
            found[Field(what, "")] = look["error"]
        elif kind == "observed":
            found.update(_flat("", look.get("value")))
    return found


def received(life: LifeSeen) -> dict[str, dict[int, str]]:
    """What each workflow received, by the number of the step."""
    found: defaultdict[str, dict[int, str]] = defaultdict(dict)
    for step in life.left["steps"]:
        if step["name"] == _RECEIVED:
            found[step["workflow"]][step["number"]] = compared(step, "output") or ""
    return found


def field_of_step(row: Mapping[str, Any], what: str) -> Field:
    """Of a recorded step, or of a call of it."""
    workflow, number = row["workflow"], row["number"]
    return Field("step", f"{workflow}/step-{number}", what, workflow, number)


def compared(row: Mapping[str, Any], key: str) -> Any:
    """A column of a workflow or step, as it is held against another's."""
    is_value = key in ("output", "error", "input") and row[key] is not None
    return readable(row[key]) if is_value else row[key]


def _flat(name: str, value: Any) -> Iterator[tuple[Field, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}" if name else key, inner)
    else:
        yield Field("observed", name), value


def counts_of(run: Observation, by_site: set[str]) -> dict[Count, int]:
    """How often each thing happened, in all lives together, and as the scenario counts them."""
    found: Counter[Count] = Counter()
    for each in events_of(run, "effect"):
        about = site(each) if each["name"] in by_site else ", ".join(each["about"])
        found[Count("effect", each["name"], about)] += 1
    counted = run.final.last("counted")
    for name, times in ((counted["value"] if counted else None) or {}).items():
        for about, number in times.items():
            found[Count("effect", name, about)] += number
    for each in events_of(run, "ran"):
        if not each["transaction"]:  # which is undone with the process
            found[Count("executions", each["step"], site(each))] += 1
    for commit in events_of(run, "commit"):
        for table, workflow in commit.get("by_bodies", ()):
            found[Count("insert", table, workflow)] += 1
    return dict(found)


def sites_of_effects(runs: Sequence[Observation]) -> set[str]:
    """Effects that are not the same in every run: told apart by where, not by what about."""
    seen = []
    for run in runs:
        seen.append(Counter((e["name"], tuple(e["about"])) for e in events_of(run, "effect")))
    everything = {key for each in seen for key in each}
    return {name for name, about in everything if any((name, about) not in each for each in seen)}


def site(event: Mapping[str, Any]) -> str:
    """Where something happened, as in `checkout-1/step-2`."""
    if event["workflow"] is None:
        begun_in = event.get("begun_in")
        return f"a thread of {begun_in}" if begun_in else "outside of any workflow"
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
    commits: defaultdict[str, list[int]] = defaultdict(list)
    meanings: dict[str, str] = {}
    for number, commit in enumerate(runs[0], start=1):
        for name, what in commit["facts"]:
            commits[name].append(number)
            meanings.setdefault(name, what)
    common = {name: min(each[name] for each in times) for name in commits}
    return [
        Transition(name, meanings[name], numbers, common[name])
        for name, numbers in commits.items()
        if common[name]
    ]
