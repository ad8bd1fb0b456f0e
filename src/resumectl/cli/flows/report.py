"""`report`: write a sweep, or one of its trials, as a page of HTML."""

import webbrowser
from pathlib import Path

from resumectl.cli.common import Common
from resumectl.cli.flows.stored_sweeps import opened_to_read, page_of
from resumectl.errors import ExitCode, MachineFailure
from resumectl.report import json_documents
from resumectl.report.page.html import page_html
from resumectl.runner.sweep_store import no_sweep


def report(
    common: Common,
    sweep_id: int,
    plan: str | None,
    file: Path,
    *,
    against: int | None,
    is_opened: bool,
) -> ExitCode:
    """Write the page.

    Args:
        common: Options of the command.
        sweep_id: Number of the sweep.
        plan: Crash plan of the trials to show; None for all.
        file: The file.
        against: Number of the sweep to compare with; None for none.
        is_opened: Whether to open the page in the browser of this machine.
    """
    common.start_logging()
    with opened_to_read(common) as store:
        if store is None:
            raise no_sweep(sweep_id)
        page = page_of(store, sweep_id, plan=plan, against=against)
    try:
        file.write_bytes(page_html([page]).encode())
    except OSError as error:
        raise MachineFailure(
            f"{file} cannot be written: {error.strerror}", next_step="free some space; then again"
        ) from None
    if common.as_json:
        json_documents.show({"file": str(file), "sweep": sweep_id, "trials": len(page.trials)})
    else:
        common.say(f"{file} is written")
    if is_opened and not webbrowser.open(file.resolve().as_uri()):
        common.say("no browser was found on this machine: open the file by hand")
    return ExitCode.DONE
