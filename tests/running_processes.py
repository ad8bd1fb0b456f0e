"""Look at the processes of this machine, as the kernel lists them."""

from pathlib import Path


def processes_below(pid: int) -> set[int]:
    found = set()
    for each in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = each.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            child = int(each.parent.name)
            found |= {child} | processes_below(child)
    return found


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
