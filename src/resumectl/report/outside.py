"""Report what a target used outside its sandbox, and what was redirected into it."""

from collections.abc import Iterator, Mapping
from typing import Any

from resumectl.model.target import Access

_SHOWN_MAX = 12  # number of services shown; the JSON document has all


def outside_lines(access: Access, contacts: Mapping[str, int]) -> Iterator[str]:
    """Yield a sentence for each thing outside the sandbox.

    Args:
        access: What the target may use outside its sandbox.
        contacts: Number of contacts with each service on this machine, as observed.
    """
    made = f"as {access.prepare!r} makes it" if access.prepare else "with the same tables, no rows"
    for url in access.redirects:
        yield f"redirected: {url}, to a database in each trial's sandbox, {made}"
    for url in access.databases:
        yield f"allowed: {url}, which every trial may write to"
    for host in access.hosts:
        yield f"allowed: {host}, which every trial may connect to"
    for service, how, times in _services(contacts)[:_SHOWN_MAX]:
        yield f"talks to {service}: {times} {how if times > 1 else how.removesuffix('s')}"


def outside_document(access: Access, contacts: Mapping[str, int]) -> dict[str, Any]:
    """Return the same as a part of a JSON document.

    Args:
        access: What the target may use outside its sandbox.
        contacts: Number of contacts with each service on this machine, as observed.
    """
    return {
        "redirected": list(access.redirects),
        "prepared_by": access.prepare,
        "allowed_databases": list(access.databases),
        "allowed_hosts": list(access.hosts),
        "services": [
            {"service": service, "times": times, "what": how}
            for service, how, times in _services(contacts)
        ],
    }


def _services(contacts: Mapping[str, int]) -> list[tuple[str, str, int]]:
    """Return address, kind of contact and number of contacts of each service on this machine."""
    parts = ((*key.rpartition(" "), times) for key, times in sorted(contacts.items()))
    return [(service, how, times) for service, _, how, times in parts]
