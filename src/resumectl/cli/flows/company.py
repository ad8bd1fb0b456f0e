"""Refuse what is to be done alone while another process is at work on the database."""

from resumectl.errors import Refusal
from resumectl.publishing.store import records
from resumectl.publishing.store.view import View


def refuse_company(view: View, *, next_step: str) -> None:
    """Raise a refusal that names the other process, if there is one.

    Args:
        view: Of the database.
        next_step: What to type next.
    """
    if not view.is_anyone_alive:
        return
    running = [each for each in records.read_lives(view) if each.ended == "running"]
    who = "it has just begun, or takes over a dead one's work"
    if running:
        who = f"{running[0].command}, pid {running[0].pid} on {running[0].host}"
    raise Refusal(f"a living process uses the database: {who}", next_step=next_step)
