"""Make a text for an issue: what was expected, what was seen, with which releases, and the trial as a story."""

from resumectl.report.repro.repro_file import Reproduction
from resumectl.text import counted


def issue_text(found: Reproduction, *, story: str, fails: int, runs: int) -> str:
    """Return the text in Markdown, without paths of this machine.

    Args:
        found: The broken trial.
        story: The trial, event by event.
        fails: Number of runs of the file that showed the finding.
        runs: Number of runs of the file.
    """
    crash = found.plan.crashes[0]
    finding, _, _ = found.title.partition(": ")  # its evidence may be long
    return f"""# {finding}

## Expected

After a process is killed {crash.edge} the commit of `{crash.at}` and the next process has recovered, the outcome is that of a
run without a crash.

## Observed

{found.title}.

`repro.py` kills its own process for real, and judges the outcome itself. It failed in {fails} of {counted(runs, "run")}:

```sh
pip install dbos=={found.dbos}
python repro.py
```
{_needs(found)}
## Versions

DBOS {found.dbos}, Python {found.python}, SQLite.

## The trial

```text
{story.rstrip()}
```
"""


def _needs(found: Reproduction) -> str:
    """Return what the program needs besides dbos; empty if nothing."""
    lines = []
    if found.libraries:
        lines.append(f"It also imports {', '.join(found.libraries)}.")
    if found.needs:
        lines.append(f"These variables were set: {', '.join(found.needs)}.")
    return "".join(f"\n{line}\n" for line in lines)
