"""`init`: look at a project, and write a first table of targets to its pyproject.toml."""

import json
import os
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from resumectl.cli.common import Common
from resumectl.cli.project_file import FILE_NAME, PLACEHOLDER, TABLE, has_table
from resumectl.cli.project_scan import FoundLine, FoundTarget, Parameter, Scan, scan_project
from resumectl.errors import ExitCode, Refusal
from resumectl.report import json_documents
from resumectl.text import counted, literal

_TARGETS_MAX = 20
_EXAMPLES = {"str": PLACEHOLDER, "int": 1, "float": 1.0, "bool": True, "dict": {}, "list": []}


def init(common: Common) -> ExitCode:
    """Write a table of targets for the project in the working directory.

    Raises:
        Refusal: The project has a table already, or no workflow.
    """
    root = Path.cwd()
    file = root / FILE_NAME
    if os.path.lexists(file) and has_table(file):
        raise Refusal(f"{FILE_NAME} has a table [{TABLE}] already", next_step="edit it there")
    scan = scan_project(root)
    targets = list(_chosen(scan))
    if not targets:
        raise Refusal(
            f"no workflow was found in {counted(_files(root), 'Python file')} below {root}",
            next_step="run it in the directory of a program that has functions with the decorator  "
            "@DBOS.workflow()",
        )
    _append(file, list(_lines(scan, targets)))
    _say(common, scan, targets)
    return ExitCode.DONE


def _append(file: Path, lines: Sequence[str]) -> None:
    """Append lines to a file, below an empty line, with the line ends that it has.

    Raises:
        Refusal: The file is not TOML, or would not be with these lines.
    """
    before = file.read_bytes() if file.exists() else b""
    end = "\r\n" if b"\r\n" in before else "\n"
    gap = "" if not before else end if before.endswith(b"\n") else end * 2
    table = f"{gap}{end.join(lines)}{end}"
    try:
        tomllib.loads(before.decode() + table)
    except tomllib.TOMLDecodeError as error:
        raise Refusal(
            f"{FILE_NAME} with a table [{TABLE}] at its end is not TOML: {error}",
            next_step="correct it;  or write its inline table tool as tables  [tool.NAME]",
        ) from None
    with file.open("ab") as stream:
        stream.write(table.encode())


def _files(root: Path) -> int:
    return sum(1 for _ in root.rglob("*.py"))


def _chosen(scan: Scan) -> Iterator[tuple[str, FoundTarget]]:
    """Yield the targets with their names in the table, each name once."""
    taken: set[str] = set()
    for target in scan.targets[:_TARGETS_MAX]:
        plain = target.name.rpartition(".")[2].replace("_", "-")
        names = (plain, *(f"{plain}-{n}" for n in range(2, _TARGETS_MAX + 2)))
        name = next(each for each in names if each not in taken)
        taken.add(name)
        yield name, target


def _say(common: Common, scan: Scan, targets: list[tuple[str, FoundTarget]]) -> None:
    for text in scan.unreadable:
        common.say(f"not read: {text}")
    if common.as_json:
        found = [
            {
                "name": name,
                "target": f"{t.file}:{t.name}",
                "line": t.line,
                "is_handler": t.is_handler,
            }
            for name, t in targets
        ]
        json_documents.show({"file": str(Path.cwd() / FILE_NAME), "targets": found})
        return
    for name, target in targets:
        print(literal(f"{name}: {target.file}:{target.name} (line {target.line})"))
    print(
        f"{counted(len(targets), 'target')} in {FILE_NAME}; edit the lines that are marked with  # edit"
    )
    name, target = targets[0]
    edit = "edit its args, then  " if target.parameters else ""
    common.say_next(f"{edit}resumectl sweep {name}")


# --- the table


def _lines(scan: Scan, targets: list[tuple[str, FoundTarget]]) -> Iterator[str]:
    yield "# `resumectl sweep` kills each of these targets at every durable write."
    more = [*_set_up_lines(scan), *_engine_lines(scan)]
    if more:
        yield f"[{TABLE}]"
        yield from more
        yield ""
    for index, (name, target) in enumerate(targets):
        if index:
            yield ""
        yield f"[{TABLE}.targets.{name}]"
        yield from _target_lines(target, scan)


def _target_lines(target: FoundTarget, scan: Scan) -> Iterator[str]:
    what = "handler" if target.is_handler else "workflow"
    yield f"target = {json.dumps(f'{target.file}:{target.name}')}  # {what} in line {target.line}"
    if target.parameters:
        values = ", ".join(_example(each, scan) for each in target.parameters)
        names = ", ".join(map(_described, target.parameters))
        yield f"args = [{values}]  # edit: {names}"
    if target.steps:
        steps = ", ".join(target.steps)
        yield f'# promises = {{ {target.steps[0]} = "exactly-once" }}  # its steps: {steps}'


def _example(parameter: Parameter, scan: Scan) -> str:
    """Return an example of a value, as TOML has it; an object is an inline table of its fields."""
    name = parameter.annotation.partition("[")[0].rpartition(".")[2]
    fields = scan.classes.get(name)
    if fields:
        plain = (replace(each, annotation=_plain(each.annotation)) for each in fields)
        return "{ " + ", ".join(f"{each.name} = {_example(each, scan)}" for each in plain) + " }"
    # An empty table or array, a number, a text and a truth value are the same in JSON.
    return json.dumps(_EXAMPLES.get(name, PLACEHOLDER), ensure_ascii=False)


def _plain(annotation: str) -> str:
    """Return the annotation of a field, or none for a class of the program, which may hold itself."""
    return annotation if annotation.partition("[")[0] in _EXAMPLES else ""


def _described(parameter: Parameter) -> str:
    return f"{parameter.name}: {parameter.annotation}" if parameter.annotation else parameter.name


def _set_up_lines(scan: Scan) -> Iterator[str]:
    functions: dict[str, FoundLine] = {}
    for found in scan.set_ups:
        functions.setdefault(f"{found.file}:{found.function}", found)
    is_certain = len(functions) == 1 and all(each.only_sets_up for each in functions.values())
    for function, found in functions.items():
        before, why = ("", "for") if is_certain else ("# ", "if a target needs")
        yield f'{before}after-launch = "{function}"  # {why}  {_short(found)}'


def _engine_lines(scan: Scan) -> Iterator[str]:
    for found in scan.engines:
        yield f'# redirect = ["URL"]  # the database of  {_short(found)}'


def _short(found: FoundLine) -> str:
    return f"{' '.join(found.what.split())[:80]}  ({found.file}:{found.line})"
