"""Refuse a command that needs the database for itself while another process uses it."""

from resumectl.errors import Refusal
from resumectl.publishing.store import records
from resumectl.publishing.store.view import View


def refuse_other_processes(view: View, *, next_step: str) -> None:
    """Raise a refusal that names the other process, if there is one.

    Args:
        view: View of the database.
        next_step: Next step of the refusal.
    """
    if not view.is_in_use:
        return
    running = [each for each in records.read_processes(view) if each.ended == "running"]
    who = "it has just begun, or takes over the work of another"
    if running:
        who = f"{running[0].command}, pid {running[0].pid} on {running[0].host}"
    raise Refusal(f"another process uses the database: {who}", next_step=next_step)
