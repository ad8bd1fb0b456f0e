"""Note, shorten or end the pauses of a program in DBOS: sleeps, and waits for messages and events.

To be called in the target process, before the program is imported.
"""

import asyncio
import functools
import inspect
import threading
import time
import types
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager

import dbos._dbos
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


def let_waits_follow_the_clock(on_end: Callable[[], None]) -> None:
    """Make sleeps, and the waits of `recv` and `get_event`, end by the wall clock, as after a restart.

    Args:
        on_end: Function to call when a wait has ended, in its thread or task.
    """
    waits = _Waits(on_end)
    if has(Feature.LOOP_AWARE_EVENTS):
        waits.follow_in_loop_aware_events()
    else:
        waits.follow_in_database_module()
    waits.follow_in_sleeps()


class _Waits:
    """Waits that end by the wall clock.

    Args:
        on_end: Function to call when a wait has ended.
    """

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end = on_end

    def follow_in_loop_aware_events(self) -> None:
        """Replace the waits of the events that `recv` and `get_event` use."""
        event = dbos._utils.LoopAwareEvent
        wait, wait_async = event.wait, event.wait_async

        def waited(own: dbos._utils.LoopAwareEvent, timeout: float | None = None) -> bool:
            return self._follow(lambda seconds: wait(own, seconds), timeout)

        async def waited_async(own: dbos._utils.LoopAwareEvent, timeout: float) -> bool:
            return await self._follow_async(lambda seconds: wait_async(own, seconds), timeout)

        setattr(event, "wait", waited)  # noqa: B010
        setattr(event, "wait_async", waited_async)  # noqa: B010

    def follow_in_database_module(self) -> None:
        """Replace the events and conditions that DBOS's database module makes, for such waits only.

        Before 2.14 it makes conditions, then events.
        """
        follow = self._follow

        class Event(threading.Event):
            def wait(self, timeout: float | None = None) -> bool:
                return follow(super().wait, timeout)

        class Condition(threading.Condition):
            def wait(self, timeout: float | None = None) -> bool:
                return follow(super().wait, timeout)

        setattr(dbos._sys_db, "threading", _with(threading, Event=Event, Condition=Condition))  # noqa: B010

    def follow_in_sleeps(self) -> None:
        """Replace the sleeps of DBOS's own modules, in one of which `DBOS.sleep` sleeps."""
        sleep, sleep_async = time.sleep, asyncio.sleep

        def part(seconds: float | None) -> bool:
            sleep(seconds or 0.0)
            return False

        async def part_async(seconds: float) -> bool:
            await sleep_async(seconds)
            return False

        async def slept_async(seconds: float) -> None:
            await self._follow_async(part_async, seconds)

        def slept(seconds: float) -> None:
            self._follow(part, seconds)

        for module in (dbos._dbos, dbos._sys_db):
            setattr(module, "time", _with(time, sleep=slept))  # noqa: B010
            setattr(module, "asyncio", _with(asyncio, sleep=slept_async))  # noqa: B010

    def _follow(self, wait: Callable[[float | None], bool], timeout: float | None) -> bool:
        """Wait in short parts until the wall clock has passed the timeout."""
        try:
            if timeout is None:
                return wait(None)
            until = time.time() + timeout
            while not wait(min(max(0.0, until - time.time()), _LOOK_EVERY_S)):
                if time.time() >= until:
                    return False
            return True
        finally:
            self._on_end()

    async def _follow_async(self, wait: Callable[[float], Awaitable[bool]], timeout: float) -> bool:
        """Wait in a task as `_follow` does in a thread."""
        try:
            until = time.time() + timeout
            while not await wait(min(max(0.0, until - time.time()), _LOOK_EVERY_S)):
                if time.time() >= until:
                    return False
            return True
        finally:
            self._on_end()


def _with(module: types.ModuleType, **replaced: object) -> types.ModuleType:
    """Return a copy of a module in which some names are replaced."""
    copy = types.ModuleType(module.__name__)
    copy.__dict__.update(vars(module), **replaced)
    return copy
