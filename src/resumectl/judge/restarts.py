"""Tell what a restart of the program starts once more, as its import starts workflows. Pure.

The import is then the client, and it asks again in each process. Where it fixes no workflow id, it
starts one more workflow each time: that is what it does, and no finding about the first one.
"""

from collections.abc import Collection

from resumectl.judge.workflow_aliases import is_alias
from resumectl.model.observation import Observation


def started_once_more(trial: Observation, known: Collection[str]) -> dict[str, int]:
    """Return the workflows that an import started beyond those of an uninterrupted run.

    Args:
        trial: With each workflow whose id varies under its alias.
        known: The workflows of an uninterrupted run.

    Returns:
        Id of each such workflow, and of those below it, to the number of the process.
    """
    found: dict[str, int] = {}
    for number, life in enumerate(trial.lives, start=1):
        event = life.last("imported")
        for workflow_id, _ in event["started"] if event and number > 1 else ():
            if is_alias(workflow_id) and workflow_id not in known:
                found[workflow_id] = number
    rows = [row for life in trial.lives for row in life.left["workflows"]]
    while below := {
        row["id"]: found[row["parent"]]
        for row in rows
        if row["parent"] in found and row["id"] not in found
    }:
        found |= below
    return found
