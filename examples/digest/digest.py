"""A digest of the news, which a schedule starts every morning."""

import json
from datetime import datetime
from pathlib import Path

from dbos import DBOS

SUBSCRIBERS = ["ada", "bob"]
MAILS = Path("mails.json")


def apply_schedules() -> None:
    """Start the digest at eight. `main` calls this after `DBOS.launch()`."""
    DBOS.apply_schedules(
        [{"schedule_name": "digest", "workflow_fn": digest, "schedule": "0 8 * * *"}]
    )


@DBOS.step()
def collect() -> str:
    return "the shop opens"


@DBOS.step()
def send(subscriber: str, news: str, key: str) -> None:
    """Send a mail. The mail server does not send a second one with the same key."""
    mails = json.loads(MAILS.read_text()) if MAILS.exists() else {}
    mails[f"{key}, {subscriber}"] = f"{news} (to {subscriber})"
    MAILS.write_text(json.dumps(mails))


@DBOS.workflow()
def digest_by_the_clock(scheduled_at: datetime, context: object) -> None:
    news = collect()
    for subscriber in SUBSCRIBERS:
        send(subscriber, news, key=str(datetime.now()))


@DBOS.workflow()
def digest(scheduled_at: datetime, context: object) -> None:
    news = collect()
    for subscriber in SUBSCRIBERS:
        send(subscriber, news, key=str(scheduled_at))


def sent() -> list[str]:
    """Return the mails that were sent."""
    return sorted(json.loads(MAILS.read_text()).values()) if MAILS.exists() else []
