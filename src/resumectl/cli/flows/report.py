"""`report`: write a sweep, one of its trials, or a batch as a page of HTML."""

import webbrowser
from pathlib import Path
from typing import Any

from resumectl.cli.common import Common
from resumectl.cli.flows.stored_sweeps import opened_to_read, page_of
from resumectl.cli.reading import reading
from resumectl.cli.report_files import write_file
from resumectl.errors import ExitCode, Refusal
from resumectl.publishing.store.batch_history import read_history
from resumectl.report import json_documents
from resumectl.report.page.batch_page import BatchPage, batch_page
from resumectl.report.page.html import page_html
from resumectl.report.page.sweep_page import SweepPage
from resumectl.runner.stored_sweep import no_sweep


def report_sweep(
    common: Common,
    sweep_id: int,
    plan: str | None,
    file: Path,
    *,
    against: int | None,
    is_opened: bool,
) -> ExitCode:
    """Write the page of a sweep.

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
    document = {"file": str(file), "sweep": sweep_id, "batch": None}
    return _write(common, page, file, document, is_opened=is_opened)


def report_batch(common: Common, batch_id: str, file: Path, *, is_opened: bool) -> ExitCode:
    """Write the page of a batch.

    Args:
        common: Options of the command.
        batch_id: Id of the batch.
        file: The file.
        is_opened: Whether to open the page in the browser of this machine.
    """
    with reading(common) as view:
        history = read_history(view, common.settings(), batch_id) if view is not None else None
    if history is None:
        raise Refusal(
            f"there is no sweep and no batch {batch_id!r}",
            next_step="resumectl sweeps  and  resumectl state  list them",
        )
    document = {"file": str(file), "sweep": None, "batch": batch_id}
    return _write(common, batch_page(history), file, document, is_opened=is_opened)


def _write(
    common: Common,
    page: SweepPage | BatchPage,
    file: Path,
    document: dict[str, Any],
    *,
    is_opened: bool,
) -> ExitCode:
    write_file(file, page_html([page]).encode())
    if common.as_json:
        json_documents.show(document)
    else:
        common.say(f"{file} is written")
    if is_opened and not webbrowser.open(file.resolve().as_uri()):
        common.say("no browser was found on this machine: open the file by hand")
    return ExitCode.DONE
