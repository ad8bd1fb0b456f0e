"""Note or shorten the pauses of a program in DBOS: sleeps, and waits for messages and events.

To be called in the target process, before the program is imported.
"""

import functools
import inspect
import threading
import time
import types
from collections.abc import Callable
from contextlib import AbstractContextManager

import dbos._sys_db
import dbos._utils
from dbos import DBOS

from resumectl.probe.dbos_features import Feature, has
from resumectl.probe.user_objects import Function

_LOOK_EVERY_S = 0.02  # interval of looks at the clock, which may be set ahead


def limit_sleeps(max_s: float) -> None:
    """Shorten each `DBOS.sleep` that exceeds a limit.

    Args:
        max_s: Maximum duration of a sleep, in seconds.
    """
    for name in ("sleep", "sleep_async"):
        original = getattr(DBOS, name)

        def sleep(seconds: float, original: Callable[[float], object] = original) -> object:
            return original(min(seconds, max_s))

        setattr(DBOS, name, staticmethod(functools.wraps(original)(sleep)))


# Functions that pause a thread, and the parameter with the maximum duration in seconds.
_PAUSES = (("sleep", "seconds"), ("recv", "timeout_seconds"), ("get_event", "timeout_seconds"))


def note_pauses(pause: Callable[[float], AbstractContextManager[None]]) -> None:
    """Note each pause of a thread in DBOS; pauses of coroutines are not noted.

    Args:
        pause: Returns a context to enter during the pause, from its maximum duration in seconds.
    """
    for name, parameter in _PAUSES:
        setattr(DBOS, name, staticmethod(_noted_pause(getattr(DBOS, name), parameter, pause)))


def _noted_pause(
    original: Function,
    parameter: str,
    pause: Callable[[float], AbstractContextManager[None]],
) -> Function:
    signature = inspect.signature(original)

    @functools.wraps(original)
    def paused(*args: object, **kwargs: object) -> object:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        with pause(bound.arguments[parameter]):
            return original(*args, **kwargs)

    return paused


def let_waits_follow_the_clock() -> None:
    """Make the waits of `recv` and `get_event` end by the wall clock, as after a restart."""
    if has(Feature.LOOP_AWARE_EVENTS):
        _follow_in_loop_aware_events()
    else:
        _follow_in_database_module()


def _follow_in_loop_aware_events() -> None:
    event = dbos._utils.LoopAwareEvent
    wait, wait_async = event.wait, event.wait_async

    def waited(self: dbos._utils.LoopAwareEvent, timeout: float | None = None) -> bool:
        return _follow(lambda seconds: wait(self, seconds), timeout)

    async def waited_async(self: dbos._utils.LoopAwareEvent, timeout: float) -> bool:
        until = time.time() + timeout
        while not await wait_async(self, min(max(0.0, until - time.time()), _LOOK_EVERY_S)):
            if time.time() >= until:
                return False
        return True

    setattr(event, "wait", waited)  # noqa: B010
    setattr(event, "wait_async", waited_async)  # noqa: B010


class _FollowingEvent(threading.Event):
    """Event whose wait ends by the wall clock."""

    def wait(self, timeout: float | None = None) -> bool:
        return _follow(super().wait, timeout)


class _FollowingCondition(threading.Condition):
    """Condition whose wait ends by the wall clock."""

    def wait(self, timeout: float | None = None) -> bool:
        return _follow(super().wait, timeout)


def _follow_in_database_module() -> None:
    """Replace the events and conditions that DBOS's database module makes, for such waits only.

    Before 2.14 it makes conditions, then events.
    """
    followed = types.ModuleType(threading.__name__)
    followed.__dict__.update(vars(threading), Event=_FollowingEvent, Condition=_FollowingCondition)
    setattr(dbos._sys_db, "threading", followed)  # noqa: B010


def _follow(wait: Callable[[float | None], bool], timeout: float | None) -> bool:
    """Wait in short parts until the wall clock has passed the timeout."""
    if timeout is None:
        return wait(None)
    until = time.time() + timeout
    while not wait(min(max(0.0, until - time.time()), _LOOK_EVERY_S)):
        if time.time() >= until:
            return False
    return True
