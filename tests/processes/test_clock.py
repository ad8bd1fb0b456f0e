"""The wall clock of a process set ahead: each function of Python's that tells the time."""

import json
import subprocess
import sys
from typing import Any

import pytest

# A process of its own: the clock is changed for good.
_HEAD = """
import json, time
from datetime import date, datetime, timedelta, timezone
from time import time as by_name, time_ns as ns_by_name

class Own(datetime):
    pass

from resumectl.probe import clock
real, monotonic = time.time(), time.monotonic()
clock.set_ahead({ahead})
"""


def told(code: str, ahead: float = 3600.0) -> Any:
    script = _HEAD.replace("{ahead}", str(ahead)) + f"\nprint(json.dumps({code}))"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stderr == ""
    return json.loads(ran.stdout)


@pytest.mark.parametrize(
    "code",
    [
        "time.time() - real",
        "by_name() - real",
        "time.time_ns() / 1e9 - real",
        "ns_by_name() / 1e9 - real",
        "datetime.now().timestamp() - real",
        "datetime.now(timezone.utc).timestamp() - real",
        "datetime.now(tz=timezone(timedelta(hours=5))).timestamp() - real",
        "datetime.utcnow().replace(tzinfo=timezone.utc).timestamp() - real",
        "datetime.today().timestamp() - real",
        "Own.now().timestamp() - real",
        "time.mktime(time.localtime()) - real",
        "__import__('calendar').timegm(time.gmtime()) - real",
        "time.mktime(time.strptime(time.strftime('%c'), '%c')) - real",
        "time.mktime(time.strptime(time.ctime())) - real",
        "time.mktime(time.strptime(time.asctime())) - real",
        "time.clock_gettime(time.CLOCK_REALTIME) - real",
        "time.clock_gettime_ns(time.CLOCK_REALTIME) / 1e9 - real",
    ],
)
def test_the_time_is_ahead_however_it_is_asked_for(code: str) -> None:
    """To the second that `localtime` cuts off; how long it takes to ask does not matter."""
    assert 3599 < told(code) < 2 * 3600


def test_a_date_is_ahead_by_a_day_or_two() -> None:
    assert told("(date.today() - date.fromtimestamp(real)).days", ahead=86_400) in (1, 2)


def test_a_monotonic_clock_and_a_time_that_is_given_stay() -> None:
    assert 0 <= told("time.monotonic() - monotonic") < 3600
    assert 0 <= told("time.clock_gettime(time.CLOCK_MONOTONIC) - monotonic") < 60
    assert told("[*time.gmtime(0)][:6]") == [1970, 1, 1, 0, 0, 0]
    assert told("time.strftime('%Y', time.gmtime(0))") == "1970"
    assert told("time.asctime(time.gmtime(0))[-4:]") == "1970"
    assert told("datetime.fromtimestamp(0, timezone.utc).isoformat()") == (
        "1970-01-01T00:00:00+00:00"
    )


def test_the_classes_stay_those_that_libraries_compare_with() -> None:
    found = told(
        "[type(datetime.now()) is datetime, type(Own.now()) is Own, datetime.now.__name__]"
    )
    assert found == [True, True, "now"]


def test_a_mistake_of_the_program_is_raised_as_ever() -> None:
    code = "[type(e).__name__ for e in [__import__('__main__').failing()]]"
    script = _HEAD.replace("{ahead}", "1") + (
        "\ndef failing():\n    try:\n        datetime.now('x')\n"
        "    except TypeError as error:\n        return error\n"
        f"print(json.dumps({code}))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout) == ["TypeError"]


def test_the_clock_can_be_set_again() -> None:
    assert 59 < told("[clock.set_ahead(60), time.time() - real][1]") < 3600
