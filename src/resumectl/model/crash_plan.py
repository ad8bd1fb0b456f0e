"""Crash points and crash plans as values: parse, print, match. Pure.

    plan    = death { "," death }            the k-th death strikes the k-th life
    death   = edge ":" pattern [ "#" n ] [ "=" blow ] [ "+hold:" pattern "#" n ]
    edge    = "before" | "after"
    pattern = WORKFLOW "/" TRANSITION        with shell-style * and ?
    n       = the n-th match in that life, 1 if left out
    blow    = "kill" | "term" | "exit"       "kill" if left out

A hold lets n transitions that match it begin, and no more: where several threads are at
work, it keeps the others from going on while the n-th is on its way to the crash point.
"""

import fnmatch
import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self
from urllib.parse import unquote

from resumectl.errors import Refusal


class Edge(StrEnum):
    """Which side of the commit that makes a transition durable."""

    BEFORE = "before"
    AFTER = "after"


class Blow(StrEnum):
    """How the process dies."""

    KILL = "kill"  # SIGKILL: nothing runs any more
    TERM = "term"  # SIGTERM, at its default disposition
    EXIT = "exit"  # os._exit: no handlers, no buffers, as hand-written crash scripts do


EXIT_STATUS = 86  # of the blow "exit"; none that Python, a shell or resumectl itself gives


@dataclass(frozen=True, slots=True)
class Matches:
    """The n-th transition of a pattern."""

    pattern: str
    n: int = 1

    def covers(self, transition: str) -> bool:
        """Whether the transition, as in `alpha-1-7/step-1`, is one of the pattern's."""
        return _matcher(self.pattern)(transition) is not None

    def __str__(self) -> str:
        return self.pattern if self.n == 1 else f"{self.pattern}#{self.n}"


@dataclass(frozen=True, slots=True)
class Death:
    """Where one life ends, and how."""

    edge: Edge
    at: Matches
    blow: Blow = Blow.KILL
    hold: Matches | None = None

    def __str__(self) -> str:
        blow = "" if self.blow is Blow.KILL else f"={self.blow}"
        # The hold always shows its n: without one it would read as the point itself.
        hold = "" if self.hold is None else f"+hold:{self.hold.pattern}#{self.hold.n}"
        return f"{self.edge}:{self.at}{blow}{hold}"


_DEATH = re.compile(
    r"(?P<edge>before|after):(?P<pattern>[^#=,]+?/[^#=,/+]+)(?:#(?P<n>[1-9][0-9]*))?"
    r"(?:=(?P<blow>kill|term|exit))?"
    r"(?:\+hold:(?P<hold>[^#=,]+/[^#=,/+]+)#(?P<hold_n>[1-9][0-9]*))?"
)


def _not_a_crash_point(text: str) -> Refusal:
    edges = [f"{edge}:{text}" for edge in Edge]
    examples = (
        edges
        if all(map(_DEATH.fullmatch, edges))
        else ["after:alpha-1-7/step-1", "before:alpha-1-*/delivered#7"]
    )
    return Refusal(f"{text!r} is not a crash point", next_step=f"as in  {'  or  '.join(examples)}")


@dataclass(frozen=True, slots=True)
class CrashPlan:
    """The deaths of one trial, life by life; prints as the text it parses from."""

    deaths: tuple[Death, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a plan.

        Raises:
            Refusal: It is not one.
        """
        deaths = []
        for part in text.split(","):
            match = _DEATH.fullmatch(part.strip())
            if match is None:
                raise _not_a_crash_point(part.strip())
            hold = Matches(match["hold"], int(match["hold_n"])) if match["hold"] else None
            deaths.append(
                Death(
                    Edge(match["edge"]),
                    Matches(match["pattern"], int(match["n"] or 1)),
                    Blow(match["blow"] or "kill"),
                    hold,
                )
            )
        return cls(tuple(deaths))

    def __str__(self) -> str:
        return ",".join(map(str, self.deaths))


@dataclass(frozen=True, slots=True)
class PlannedTrial:
    """A trial that is to be run.

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


# What a plan gives a meaning to, and a workflow id may hold: written as in URLs.
_SPECIAL = re.compile(r"[,#=+*?%\s]")


@functools.lru_cache(maxsize=4096)  # a workflow's is asked for at each of its transitions
def spelled(subject: str) -> str:
    """A workflow id, or a table, as plans write it: what they would take for their own escaped."""
    return _SPECIAL.sub(_escaped, subject)


def named(subject: str, fact: str) -> str:
    """A transition's name, as in `alpha-1-7/step-1`.

    Args:
        subject: A workflow id, or a table.
        fact: What became true of it.
    """
    return f"{spelled(subject)}/{fact}"


def _escaped(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode())


def subject_of(transition: str) -> str:
    """The workflow id, or the table, of a transition."""
    return unquote(transition.rpartition("/")[0])


@functools.lru_cache(maxsize=4096)  # asked of one pattern at each commit
def _matcher(pattern: str) -> Callable[[str], re.Match[str] | None]:
    # Only * and ? are wild; fnmatch would take a bracket for a set of characters. A space may be
    # typed as it stands in the id.
    glob = re.sub(r"\s", _escaped, pattern).replace("[", "[[]")
    return re.compile(fnmatch.translate(glob)).match


def delivery_plan(
    batch_id: str, n: int, *, edge: Edge, blow: Blow, checkpoint: str | None = None
) -> CrashPlan:
    """The plan of `crash-after N`: die about the N-th delivery of a batch.

    Args:
        batch_id: The batch; its messages' workflows are BATCH-1, BATCH-2, ….
        n: Which delivery, in the order in which they become durable.
        edge: Before or after the delivery's own commit; ignored with a checkpoint.
        blow: How to die.
        checkpoint: Die after the n-th transition of this name instead, with exactly n
            deliveries begun.
    """
    delivered = Matches(f"{batch_id}-*/delivered", n)
    if checkpoint is None:
        return CrashPlan((Death(edge, delivered, blow),))
    at = Matches(f"{batch_id}-*/{checkpoint}", n)
    return CrashPlan((Death(Edge.AFTER, at, blow, hold=delivered),))
