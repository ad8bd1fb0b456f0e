"""Declare crash tests: the decorator, the function, and their options. Loads pytest alone."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import pytest

from resumectl.testing.current import current_session

if TYPE_CHECKING:
    from resumectl.model.promise import Promise
    from resumectl.testing.results import CrashSweep

MARK = "crash_points"
# A target is named as on the command line, or is a workflow, a function or a `Scenario` of a module.
AnyTarget = Any


class CrashOptions(TypedDict, total=False):
    """Options of a crash test. They are those of `resumectl sweep`, and mean the same.

    Attributes:
        args: Positional arguments of the target, as JSON has them.
        kwargs: Keyword arguments of the target, as JSON has them.
        promises: Effect, step or table to its promise, such as `exactly_once`.
        client: What the client does after a crash: `retries` or `gives-up`.
        env: Environment variables of the target process.
        after_launch: Function to call in each process after DBOS is launched; `FILE.py:NAME`, or the
            function itself.
        observe: Function that returns what the outside world looks like; `FILE.py:NAME`, or the function
            itself.
        prepare: Command that creates the tables, run once.
        redirect: URLs of databases that each sandbox replaces by an empty one.
        allow_database: URLs of databases that every trial may write to.
        allow_host: Hosts that every trial may connect to.
        on: Database of each trial: `sqlite` or `postgres`.
        only: Pattern of the transitions at which to kill, such as `*/step-1`.
        edge: Side of each commit at which to kill: `before` or `after`; both if left out.
        max: Maximum number of crash points, a random sample; `--crash-max` may lower it.
        seed: Random seed of that sample.
        timeout: Maximum duration of one process, in seconds.
        max_sleep: Maximum duration of a `DBOS.sleep`, in seconds.
        downtime: Advance of the clock after the kill, in seconds.
        resume_with: Target of the processes after the kill, as in a deploy.
        app_version: Application version of the processes.
        resume_version: Application version of the processes after the kill.
    """

    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    promises: "Mapping[str, Promise | str]"
    client: str
    env: Mapping[str, str]
    after_launch: str | Callable[[], Any]
    observe: str | Callable[[], Any]
    prepare: str
    redirect: Sequence[str]
    allow_database: Sequence[str]
    allow_host: Sequence[str]
    on: str
    only: str
    edge: str
    max: int
    seed: int
    timeout: float
    max_sleep: float
    downtime: float
    resume_with: AnyTarget
    app_version: str
    resume_version: str


@dataclass(frozen=True)
class Declared:
    """A target and its options, as a test declares them."""

    target: AnyTarget
    options: CrashOptions


def crash_points(target: AnyTarget, **options: Unpack[CrashOptions]) -> pytest.MarkDecorator:
    """Run a test once for each crash point of a target; the test takes the argument `trial`.

    Args:
        target: `FILE.py:NAME`, relative to pytest's root directory, or `package.module:NAME`; or a
            workflow, a function or a `Scenario` that has a name in its module.
        options: See `CrashOptions`.

    Example:
        >>> @crash_points("shop.py:checkout", args=["order-1"])
        ... def test_checkout_survives_any_crash(trial):
        ...     trial.assert_kept()
    """
    mark: pytest.MarkDecorator = getattr(pytest.mark, MARK)
    return mark(Declared(target, options))


def crash_sweep(target: AnyTarget, **options: Unpack[CrashOptions]) -> "CrashSweep":
    """Run a trial for each crash point of a target, inside one test.

    Args:
        target: As `crash_points` takes it.
        options: See `CrashOptions`.

    Raises:
        Refusal: The target cannot be run, or has no crash point.

    Example:
        >>> def test_checkout_survives_any_crash():
        ...     crash_sweep("shop.py:checkout", args=["order-1"]).assert_kept()
    """
    module = sys.modules.get(sys._getframe(1).f_globals["__name__"])
    return current_session().sweep(Declared(target, options), module)
