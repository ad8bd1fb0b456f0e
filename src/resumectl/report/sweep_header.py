"""Show the settings under which the target of a sweep ran."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.text import Text

from resumectl.model.codec import to_plain
from resumectl.text import literal

if TYPE_CHECKING:
    from resumectl.judge.target_settings import TargetSettings
    from resumectl.model.interpreter import Interpreter, Interpreters
    from resumectl.model.sweep_spec import SweepSpec


def header(
    spec: "SweepSpec", first: "TargetSettings | None", later: "TargetSettings | None"
) -> Iterator[Text]:
    """Yield the lines of a sweep's header.

    Args:
        spec: The sweep spec.
        first: Settings of the process before the crash.
        later: Settings of the processes after the crash, if they run another program.
    """
    for name, text in header_lines(spec, first, later):
        yield Text(literal(f"{name}: {text}"), style="dim")


def settings_document(
    spec: "SweepSpec", first: "TargetSettings | None", later: "TargetSettings | None"
) -> dict[str, Any]:
    """Return the settings before and after the crash as a part of a JSON document."""
    after = _after_the_crash(spec, first, later)
    return {
        "before_crash": to_plain(first) if first else None,
        "after_crash": to_plain(after) if after else None,
    }


def interpreter_text(interpreter: "Interpreter") -> str:
    """Return which interpreter runs the target, with its versions."""
    where = f"{interpreter.path}, {interpreter.source}"
    where = "resumectl's own" if interpreter.is_own else where
    return f"{where}: Python {interpreter.python}, DBOS {interpreter.dbos}"


def interpreter_document(found: "Interpreters | None") -> dict[str, Any]:
    """Return the interpreters that run the target as a part of a JSON document."""
    if found is None:
        return {"interpreter": None, "interpreter_after_crash": None}
    return {"interpreter": to_plain(found.first), "interpreter_after_crash": to_plain(found.later)}


def program_after_crash(spec: "SweepSpec") -> str:
    """Return the target of the processes after the crash, as in a deploy; empty if it is the same."""
    first, later = spec.target, spec.later
    if later.entry is None or later.entry == first.entry:
        return ""
    return str(later) if str(later) != str(first) else ":".join(later.entry)


def header_lines(
    spec: "SweepSpec", first: "TargetSettings | None", later: "TargetSettings | None"
) -> Iterator[tuple[str, str]]:
    """Yield name and text of each setting; see `header` for the arguments."""
    after = _after_the_crash(spec, first, later)
    if first is None or after is None:
        return
    if next_program := program_after_crash(spec):
        yield "program after the crash", next_program
    if (found := spec.interpreters) is not None:
        then = f"; after the crash {interpreter_text(found.later)}" if found.are_two else ""
        yield "interpreter", interpreter_text(found.first) + then
    version = f"{first.app_version} ({_origin(first, spec.target.app_version)})"
    if after.app_version != first.app_version:
        origin = _origin(after, spec.later.app_version)
        version += f"; after the crash {after.app_version} ({origin})"
    yield "application version", version
    yield "executor id", first.executor_id
    if first.started_at_import:
        started = ", ".join(first.started_at_import)
        yield "client", f"the import of the program, which starts {started} in each process"
    replaced = sorted({*first.replaced, *after.replaced})
    if replaced:
        yield "replaced in trials", ", ".join(replaced)


def _origin(settings: "TargetSettings", given: str | None) -> str:
    if given is not None:
        return "given on the command line"
    if settings.is_version_computed:
        return "computed by DBOS from the sources of the workflows"
    return "set by the program"


def _after_the_crash(
    spec: "SweepSpec", first: "TargetSettings | None", later: "TargetSettings | None"
) -> "TargetSettings | None":
    """Return the settings after the crash; a new version alone needs no run of its own."""
    version = spec.later.app_version
    if later is not None or first is None or version is None:
        return later or first
    return replace(first, app_version=version, is_version_computed=False)
