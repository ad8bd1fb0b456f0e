"""Write the results of sweeps to files, and to GitHub Actions where it runs the command."""

import errno
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from resumectl.cli.target_options import ReportOptions
from resumectl.errors import MachineFailure, Refusal
from resumectl.text import literal

if TYPE_CHECKING:
    from resumectl.report.page.sweep_page import SweepPage
    from resumectl.report.sweep_result import SweepResult

_PAGE = "html"
# Ending of the file that a refusal names, by option.
_ENDINGS = {
    "junit": "xml",
    "summary": "md",
    "sarif": "sarif",
    _PAGE: "html",
    "output": "html",
    "crash-html": "html",
}
# How each of these files begins.
_BEGINS = {
    "junit": b"<?xml",
    "summary": b"## ",
    "sarif": b"{",
    _PAGE: b"<!DOCTYPE html>",
    "output": b"<!DOCTYPE html>",
    "crash-html": b"<!DOCTYPE html>",
}
_BEGIN_SIZE = 32
# Set by the runner of GitHub Actions.
_ON_GITHUB, _SUMMARY = "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"


def check_files(reports: ReportOptions) -> None:
    """Check before a long run that each file can be written.

    Args:
        reports: The files.

    Raises:
        Refusal: A file cannot be written, holds a program, or is named twice.
    """
    taken: dict[Path, str] = {}
    for option, path in _files(reports).items():
        other = taken.setdefault(path.resolve(), option)
        if other != option:
            raise Refusal(
                f"--{other} and --{option} name the same file: {path}",
                next_step=f"name another file, as in  --{option} {_example(option)}",
            )
        check_file(option, path)


def check_file(option: str, path: Path) -> None:
    """Check that a file can be written.

    Args:
        option: Name of the option that names it, without the dashes.
        path: The file.

    Raises:
        Refusal: It cannot be written, or holds a program.
    """
    if path.suffix == ".py":
        raise Refusal(
            f"--{option} {path} would replace a Python file",
            next_step=f"name another file, as in  --{option} {_example(option)}",
        )
    if path.is_dir():
        raise Refusal(
            f"--{option} {path} is a directory",
            next_step=f"name a file in it, as in  --{option} {path / _example(option)}",
        )
    is_new = not path.exists()
    try:
        if path.is_file() and not _is_replaceable(option, path):
            raise Refusal(
                f"--{option} {path} would replace a file that is no such report",
                next_step=f"name another file, as in  --{option} {_example(option)}",
            )
        with path.open("a"):
            pass
        if is_new:
            path.unlink()
    except OSError as error:
        raise Refusal(
            f"--{option} {path} cannot be written: {error.strerror}",
            next_step=f"name a file in a directory that exists, as in  --{option} {path.name}",
        ) from None


def _is_replaceable(option: str, path: Path) -> bool:
    """Return whether a file is empty, or a report of the same kind."""
    with path.open("rb") as file:
        begin = file.read(_BEGIN_SIZE)
    return not begin or begin.startswith(_BEGINS[option])


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Args:
        path: The file.
        content: What it will hold.

    Raises:
        MachineFailure: It can no longer be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        if path.exists() and not path.is_file():  # a pipe or a device
            path.write_bytes(content)
            return
        try:
            part.write_bytes(content)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        step = "free some space, then again" if error.errno == errno.ENOSPC else "name another file"
        raise MachineFailure(
            f"{path} cannot be written: {error.strerror}", next_step=step
        ) from None


def _example(option: str) -> str:
    return f"{option}.{_ENDINGS[option]}"


def write_reports(
    reports: ReportOptions,
    results: Sequence["SweepResult"],
    pages: Callable[[], Sequence["SweepPage"]],
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Write the results to each file, and to the summary and the annotations of GitHub Actions.

    Args:
        reports: The files.
        results: Results of the sweeps.
        pages: Function that returns what a page of HTML shows of each sweep.
        environ: The environment, which says whether GitHub Actions runs the command.

    Raises:
        MachineFailure: A file can no longer be written.
    """
    here = str(Path.cwd())
    is_on_github = environ.get(_ON_GITHUB) == "true"
    for option, path in _files(reports).items():
        if option == _PAGE:
            from resumectl.report.page.html import page_html

            write_file(path, page_html(pages()).encode())
        else:
            write_file(path, _content(option, results, here))
        print(f"{literal(str(path))} is written", file=sys.stderr)
    if is_on_github and environ.get(_SUMMARY):
        try:
            with Path(environ[_SUMMARY]).open("ab") as file:
                file.write(_content("summary", results, here))
        except OSError as error:
            raise MachineFailure(
                f"{environ[_SUMMARY]} cannot be written: {error.strerror}",
                next_step=f"correct {_SUMMARY}",
            ) from None
    if is_on_github:
        from resumectl.report.ci.github import annotations

        for line in annotations(results, environ.get("GITHUB_WORKSPACE", here)):
            print(line, file=sys.stderr)


def _files(reports: ReportOptions) -> dict[str, Path]:
    named = {
        "junit": reports.junit,
        "summary": reports.summary,
        "sarif": reports.sarif,
        _PAGE: reports.html,
    }
    return {option: path for option, path in named.items() if path is not None}


def _content(option: str, results: Sequence["SweepResult"], directory: str) -> bytes:
    from resumectl.report.ci.junit import junit_xml
    from resumectl.report.ci.sarif import sarif_json
    from resumectl.report.ci.summary import summary_markdown

    if option == "junit":
        return junit_xml(results, directory)
    if option == "sarif":
        return sarif_json(results, directory).encode()
    return summary_markdown(results, directory).encode()
