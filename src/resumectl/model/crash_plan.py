"""Crash points and crash plans as values: parse, print, match.

    plan    = crash { "," crash }            the k-th crash is for the k-th process
    crash   = edge ":" pattern [ "#" n ] [ "=" method ] [ "+hold:" pattern "#" n ]
    edge    = "before" | "after"
    pattern = WORKFLOW "/" TRANSITION        with shell-style * and ?
    n       = the n-th match in that process, 1 if left out
    method  = "kill" | "term" | "exit"       "kill" if left out

A hold lets n transitions that match it begin, and no more. Where several threads are at work, it
stops the others while the n-th one is on its way to the crash point.
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
    """How a process is ended at a crash point."""

    KILL = "kill"  # SIGKILL: nothing runs any more
    TERM = "term"  # SIGTERM, at its default disposition
    EXIT = "exit"  # os._exit: no handlers, no buffers, as hand-written crash scripts do


# The exit status of the method "exit"; neither Python nor a shell nor resumectl itself uses it.
EXIT_STATUS = 86


@dataclass(frozen=True, slots=True)
class Matches:
    """The n-th transition that a pattern covers."""

    pattern: str
    n: int = 1

    def covers(self, transition: str) -> bool:
        """Return whether the pattern covers a transition, as in `alpha-1-7/step-1`."""
        return _matcher(self.pattern)(transition) is not None

    def __str__(self) -> str:
        return self.pattern if self.n == 1 else f"{self.pattern}#{self.n}"


@dataclass(frozen=True, slots=True)
class Crash:
    """Where and how one process is ended."""

    edge: Edge
    at: Matches
    method: KillMethod = KillMethod.KILL
    hold: Matches | None = None

    def __str__(self) -> str:
        method = "" if self.method is KillMethod.KILL else f"={self.method}"
        # The hold always shows its n: without one it would read as the point itself.
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
    """The crashes of one trial, process by process; prints as the text that it parses from."""

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
        repetition: How many trials of the same plan precede it: each has a schedule of its own.
        is_check: Whether it repeats another trial as it was, to see a finding again.
    """

    number: int
    plan: CrashPlan
    repetition: int = 0
    is_check: bool = False


# Characters with a meaning in a plan that a workflow id may hold: they are percent-encoded.
_SPECIAL = re.compile(r"[,#=+*?%\s]")


@functools.lru_cache(maxsize=4096)  # called for each transition of a workflow
def encoded(subject: str) -> str:
    """Return a workflow id, or the name of a table, as a plan contains it."""
    return _SPECIAL.sub(_percent_encoded, subject)


def transition_name(subject: str, fact: str) -> str:
    """Return the name of a transition, as in `alpha-1-7/step-1`.

    Args:
        subject: Workflow id, or name of a table.
        fact: What became true of it.
    """
    return f"{encoded(subject)}/{fact}"


def _percent_encoded(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode())


def subject_of(transition: str) -> str:
    """Return the workflow id, or the name of the table, of a transition."""
    return unquote(transition.rpartition("/")[0])


@functools.lru_cache(maxsize=4096)  # called with the same pattern for each commit
def _matcher(pattern: str) -> Callable[[str], re.Match[str] | None]:
    # Only * and ? are wild; fnmatch would take a bracket for a set of characters. A space may be
    # typed as it stands in the id.
    glob = re.sub(r"\s", _percent_encoded, pattern).replace("[", "[[]")
    return re.compile(fnmatch.translate(glob)).match


def delivery_plan(
    batch_id: str, n: int, *, edge: Edge, method: KillMethod, checkpoint: str | None = None
) -> CrashPlan:
    """Return the plan of `crash-after N`: end the process at the n-th delivery of a batch.

    Args:
        batch_id: Id of the batch; the workflows of its messages are BATCH-1, BATCH-2, ….
        n: Number of the delivery, in the order in which deliveries become durable.
        edge: Before or after the commit of the delivery; ignored with a checkpoint.
        method: How to end the process.
        checkpoint: End it after the n-th transition of this name instead, with exactly n
            deliveries begun; None for the delivery.
    """
    delivered = Matches(f"{batch_id}-*/delivered", n)
    if checkpoint is None:
        return CrashPlan((Crash(edge, delivered, method),))
    at = Matches(f"{batch_id}-*/{checkpoint}", n)
    return CrashPlan((Crash(Edge.AFTER, at, method, hold=delivered),))
