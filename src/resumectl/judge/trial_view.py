"""What a run ended with, as what can be compared: fields with a value each, and counts. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from resumectl.judge.serialized_values import readable
from resumectl.model.observation import LifeSeen, Observation

# Steps of DBOS's own (3.4.0) whose records are never the same, or only by chance: the time of
# waking, which no body sees; which of several came first; and a child's result, which is recorded
# when it has come, and is no record to answer from: the child's own is compared.
FIRST_OF_SEVERAL = frozenset({"DBOS.waitFirst", "DBOS.asyncio_wait"})
# Messages come from several senders, in an order that is chance: all of them are compared.
RECEIVED = "DBOS.recv"
_NOT_COMPARED = frozenset({"DBOS.sleep", "DBOS.getResult", RECEIVED, *FIRST_OF_SEVERAL})
_NO_TOPIC = "__null__topic__"  # as it is stored
_SHOWN_MAX = 120  # characters of a value in evidence


class Field(NamedTuple):
    """One thing that a run ends with, and that is compared."""

    kind: str  # workflow, step, write, received, event, stream, inbox, observed, answer, …
    name: str  # as in checkout-1, or checkout-1/step-2
    what: str = ""  # as in status, output
    workflow: str = ""  # of a step, or a write: its workflow; of a step, its number there
    number: int = 0

    def __str__(self) -> str:
        names_itself = self.name and self.kind not in ("workflow", "observed", "received")
        words = self.name if names_itself else f"{self.kind} {self.name}".rstrip()
        return words + (f": {self.what}" if self.what else "")


class Count(NamedTuple):
    """Something that happens so or so often: an effect, a step's body, a write of a body."""

    kind: str  # effect, executions, write
    name: str
    about: str  # what tells one from another: arguments of an effect, or where

    def __str__(self) -> str:
        said = (
            f"{self.name}({self.about})" if self.kind == "effect" else f"{self.name} {self.about}"
        )
        return f"{self.kind} {'of ' if self.kind == 'executions' else ''}{said}"


def fields_of(run: Observation) -> dict[Field, Any]:
    """What a run ended with."""
    life = run.final
    found: dict[Field, Any] = {}
    for workflow in life.left["workflows"]:
        for what in (
            "name", "status", "output", "error", "parent", "input", "priority", "user", "roles",
            "timeout_ms", "partition",
        ):  # fmt: skip
            found[Field("workflow", workflow["id"], what)] = compared(workflow, what)
    for step in life.left["steps"]:
        is_compared = step["name"] not in _NOT_COMPARED
        for what in ("name", "output", "error", "child") if is_compared else ("name",):
            found[field_of_step(step, what)] = compared(step, what)
    for workflow_id, numbered in received(life).items():
        found[Field("received", workflow_id, "", workflow_id)] = sorted(numbered.values())
    given: defaultdict[Field, set[str]] = defaultdict(set)
    for each in run.lives:
        for call, event in calls_of(each):
            given[call].add(", ".join(event["payload"]))
    for commit in events_of(run, "commit"):
        for write, workflow, values in commit.get("set_by_bodies", ()):
            given[Field("write", f"{write} by {workflow}", "values", workflow)].add(values)
    found.update((key, tuple(sorted(texts))) for key, texts in given.items())
    for kind in ("event", "stream", "inbox"):
        texts: defaultdict[Field, list[str]] = defaultdict(list)
        for row in life.left[kind]:
            texts[field_said(kind, row["workflow"], row["key"])].append(readable(row["value"]))
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
        if step["name"] == RECEIVED:
            found[step["workflow"]][step["number"]] = compared(step, "output") or ""
    return found


def field_said(kind: str, workflow: str, key: str) -> Field:
    """Of what a workflow said under a key, or was told on a topic."""
    name = " ".join(filter(None, (kind, workflow, "" if key == _NO_TOPIC else key)))
    return Field(kind, name, "", workflow)


def field_of_step(row: Mapping[str, Any], what: str) -> Field:
    """Of a recorded step, or of a call of it."""
    workflow, number = row["workflow"], row["number"]
    return Field("step", f"{workflow}/step-{number}", what, workflow, number)


def calls_of(life: LifeSeen) -> Iterator[tuple[Field, Mapping[str, Any]]]:
    """The executions of steps that are a workflow's, each with the field of its arguments."""
    for event in life.events:
        if event["kind"] == "ran" and event["workflow"] is not None and event["number"] is not None:
            yield field_of_step(event, "arguments"), event


def messages_of(run: Observation) -> Iterator[tuple[Field, list[str]]]:
    """What workflows sent, in all lives, by the field of the step that it was."""
    for event in events_of(run, "sent"):
        yield field_of_step(event, "message"), [readable(each) for each in event["messages"]]


def values_given(call: Mapping[str, Any]) -> list[str]:
    """What a step's body was called with, where that is made of values alone."""
    return [text for _, text in _values(call)]


def are_alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two calls of a step's body were given the same values, apart from times."""
    mine, others = _ways_to_show(one), _ways_to_show(other)
    return len(mine) == len(others) and not any(map(frozenset.isdisjoint, mine, others))


def _ways_to_show(call: Mapping[str, Any]) -> list[frozenset[str]]:
    """Of each value its text, and the texts without what may be a time."""
    timeless = {index: texts for index, *texts in call.get("timeless", ())}
    return [frozenset((text, *timeless.get(index, ()))) for index, text in _values(call)]


def _values(call: Mapping[str, Any]) -> list[tuple[int, str]]:
    opaque = call.get("opaque", ())
    return [(i, text) for i, text in enumerate(call["payload"]) if i not in opaque]


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
    found += executions(run, "ran")
    for commit in events_of(run, "commit"):
        for table, workflow in commit.get("added_by_bodies", ()):
            found[Count("write", table, workflow)] += 1
    return dict(found)


def executions(run: Observation, kind: str) -> Counter[Count]:
    """How often each step's body was executed.

    Args:
        run: With all its lives.
        kind: `ran`, for how often it began, or `ended`, for how often it came to its end.
    """
    return Counter(
        Count("executions", each["step"], site(each))
        for each in events_of(run, kind)
        if not each["transaction"]  # which is undone with the process
    )


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


def committed(run: Observation) -> Iterator[str]:
    """The names of all facts, as often as they were committed."""
    yield from (name for e in events_of(run, "commit") for name, _ in e["facts"])


def in_short(value: Any) -> str:
    """A value as evidence shows it."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 1] + "…"
