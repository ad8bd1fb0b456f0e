"""How long this process has been running, as its user counts: since it was started."""

import os
import time
from pathlib import Path

# Fields of /proc/PID/stat behind the name of the program, which is in brackets; see proc(5).
_START_TIME = 19


def seconds_since_start() -> float:
    """Return the time since this process was started, in seconds, to some hundredths."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    started_s = int(fields[_START_TIME]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started_s
