"""Define crash points and crash plans: parse, print and match their texts.

    plan    = crash { "," crash }            the k-th crash is for the k-th process
    crash   = edge ":" pattern [ "#" n ] [ "=" method ] [ "+hold:" pattern "#" n ]
    edge    = "before" | "after"
    pattern = WORKFLOW "/" TRANSITION        with shell-style * and ?
    n       = the n-th match in that process, 1 if left out
    method  = "kill" | "term" | "exit"       "kill" if left out

A hold lets at most n transitions that match it begin. If several threads are at work, it stops the
others while the n-th one proceeds to the crash point.
"""

import fnmatch
import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import unquote

from resumectl.errors import Refusal
from resumectl.model.text_enum import TextEnum


class Edge(TextEnum):
    """Side of the commit that makes a transition durable."""

    BEFORE = "before"
    AFTER = "after"


class KillMethod(TextEnum):
    """Method that ends a process at a crash point."""

    KILL = "kill"  # SIGKILL: no code runs any more
    TERM = "term"  # SIGTERM with its default disposition
    EXIT = "exit"  # os._exit: no handlers, no flushed buffers, as in hand-written crash scripts


# Last parts of the transitions that start a workflow.
STARTED = frozenset({"accepted", "enqueued"})
SCHEDULED_PREFIX = (
    "sched-"  # of the ids of workflows that a schedule starts (DBOS 3.4.0, _scheduler.py)
)
# The exit status of the method "exit"; neither Python nor a shell nor resumectl itself uses it.
EXIT_STATUS = 86


@dataclass(frozen=True, slots=True)
class Matches:
    """The n-th transition that a pattern covers."""

    pattern: str
    n: int = 1

    def covers(self, transition: str) -> bool:
        """Return whether the pattern covers a transition, such as `alpha-1-7/step-1`."""
        return _matcher(self.pattern)(transition) is not None

    def __str__(self) -> str:
        return self.pattern if self.n == 1 else f"{self.pattern}#{self.n}"


@dataclass(frozen=True, slots=True)
class Crash:
    """Crash of one process: its crash point and kill method."""

    edge: Edge
    at: Matches
    method: KillMethod = KillMethod.KILL
    hold: Matches | None = None

    def __str__(self) -> str:
        method = "" if self.method is KillMethod.KILL else f"={self.method}"
        # The hold always shows its n: without it, the text would read as a crash point.
        hold = "" if self.hold is None else f"+hold:{self.hold.pattern}#{self.hold.n}"
        return f"{self.edge}:{self.at}{method}{hold}"

    @property
    def without_hold(self) -> "Crash":
        """The same crash, without a hold."""
        return replace(self, hold=None)


_CRASH = re.compile(
    r"(?P<edge>before|after):(?P<pattern>[^#=,]+?/[^#=,/+]+)(?:#(?P<n>[1-9][0-9]*))?"
    r"(?:=(?P<method>kill|term|exit))?"
    r"(?:\+hold:(?P<hold>[^#=,]+/[^#=,/+]+)#(?P<hold_n>[1-9][0-9]*))?"
)


def _not_a_crash_point(text: str) -> Refusal:
    edges = [f"{edge}:{text}" for edge in Edge]
    examples = (
        edges
        if all(map(_CRASH.fullmatch, edges))
        else ["after:alpha-1-7/step-1", "before:alpha-1-*/delivered#7"]
    )
    return Refusal(f"{text!r} is not a crash point", next_step=f"as in  {'  or  '.join(examples)}")


@dataclass(frozen=True, slots=True)
class CrashPlan:
    """Crashes of one trial, one for each process; `str` returns the text that `parse` reads."""

    crashes: tuple[Crash, ...]

    @classmethod
    def parse(cls, text: str) -> "CrashPlan":
        """Read a crash plan.

        Raises:
            Refusal: The text is not a crash plan.
        """
        crashes = []
        for part in text.split(","):
            match = _CRASH.fullmatch(part.strip())
            if match is None:
                raise _not_a_crash_point(part.strip())
            hold = Matches(match["hold"], int(match["hold_n"])) if match["hold"] else None
            crashes.append(
                Crash(
                    Edge(match["edge"]),
                    Matches(match["pattern"], int(match["n"] or 1)),
                    KillMethod(match["method"] or "kill"),
                    hold,
                )
            )
        return cls(tuple(crashes))

    def __str__(self) -> str:
        return ",".join(map(str, self.crashes))


@dataclass(frozen=True, slots=True)
class PlannedTrial:
    """A trial that is still to be run.

    Attributes:
        number: Its number in the sweep.
        plan: Its crash plan.
        repetition: Number of trials of the same plan before it; each has its own schedule.
        is_check: Whether it repeats another trial with the same schedule, to see a finding again.
    """

    number: int
    plan: CrashPlan
    repetition: int = 0
    is_check: bool = False


# Characters that have a meaning in a plan; they are percent-encoded in workflow ids.
_SPECIAL = re.compile(r"[,#=+*?%\s]")


@functools.lru_cache(maxsize=4096)  # cached: called for each transition of a workflow
def encoded(subject: str) -> str:
    """Encode a workflow id or the name of a table for a plan."""
    return _SPECIAL.sub(_percent_encoded, subject)


def transition_name(subject: str, fact: str) -> str:
    """Return the name of a transition, such as `alpha-1-7/step-1`.

    Args:
        subject: Workflow id, or name of a table.
        fact: Last part of the name, such as `step-1` or `inserted`.
    """
    return f"{encoded(subject)}/{fact}"


def _percent_encoded(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode())


def subject_of(transition: str) -> str:
    """Return the workflow id, or the name of the table, of a transition."""
    return unquote(transition.rpartition("/")[0])


@functools.lru_cache(maxsize=4096)  # cached: called with the same pattern for each commit
def _matcher(pattern: str) -> Callable[[str], re.Match[str] | None]:
    # Only * and ? are wildcards; fnmatch would read a bracket as a set of characters. A space need not
    # be encoded.
    glob = re.sub(r"\s", _percent_encoded, pattern).replace("[", "[[]")
    return re.compile(fnmatch.translate(glob)).match


def delivery_plan(
    batch_id: str, n: int, *, edge: Edge, method: KillMethod, checkpoint: str | None = None
) -> CrashPlan:
    """Return the plan of `crash-after N`: end the process at the n-th delivery of a batch.

    Args:
        batch_id: Id of the batch; the workflows of its messages are BATCH-1, BATCH-2, ….
        n: Number of the delivery, in the order in which deliveries become durable.
        edge: Side of the commit of the delivery; ignored with a checkpoint.
        method: Method that ends the process.
        checkpoint: End it after the n-th transition of this name instead, with exactly n
            deliveries begun; None for the delivery.
    """
    delivered = Matches(f"{batch_id}-*/delivered", n)
    if checkpoint is None:
        return CrashPlan((Crash(edge, delivered, method),))
    at = Matches(f"{batch_id}-*/{checkpoint}", n)
    return CrashPlan((Crash(Edge.AFTER, at, method, hold=delivered),))
