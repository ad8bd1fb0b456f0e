"""Write sweeps as Markdown, for the summary of a build or a comment on a pull request."""

import re
from collections.abc import Iterator, Sequence

from resumectl.judge.stability import topic_of
from resumectl.model.verdict import Verdict
from resumectl.report.finding_text import evidence_text
from resumectl.report.replay_command import Command, command_line
from resumectl.report.source_lines import where_defined
from resumectl.report.sweep_result import SweepResult
from resumectl.report.sweep_tables import exposure_detail, verdict_sentence
from resumectl.text import counted, literal

_SIGNS = {"KEPT": "✅", "BROKEN": "❌", "UNSTABLE": "⚠️", "VOID": "⚠️"}
_LISTED_MAX = 30
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~$&])")


def summary_markdown(results: Sequence[SweepResult], directory: str) -> str:
    """Return the document.

    Args:
        results: Results of the sweeps.
        directory: Directory in which the command lines will be typed.
    """
    return "\n".join(line for result in results for line in _lines(result, directory)) + "\n"


def _lines(result: SweepResult, directory: str) -> Iterator[str]:
    sentence = verdict_sentence(result)
    sign = _SIGNS.get(sentence.partition(":")[0], "⚠️")
    yield f"## {sign} {_escaped(result.stored.target)}"
    yield ""
    yield f"{_escaped(sentence)}."
    yield ""
    yield from _findings(result, directory)
    yield from _void(result)
    yield from _exposures(result)
    if result.left_out:
        left = counted(len(result.left_out), "crash point")
        yield f"{left} left out: {', '.join(map(_code, result.left_out[:_LISTED_MAX]))}"
        yield ""


def _findings(result: SweepResult, directory: str) -> Iterator[str]:
    if not result.findings:
        return
    yield "| finding | of | evidence | where | first seen at |"
    yield "| --- | --- | --- | --- | --- |"
    for each in result.findings[:_LISTED_MAX]:
        where = where_defined(result.locations.get(topic_of(each.finding)), directory)
        cells = (each.finding.subject, evidence_text(each.finding.evidence), where)
        yield f"| {each.finding.kind} | {' | '.join(map(_escaped, cells))} | {_code(each.plan)} |"
    yield ""
    yield "See them again:"
    yield ""
    yield "```sh"
    for plan in dict.fromkeys(each.plan for each in result.findings[:_LISTED_MAX]):
        yield literal(command_line(Command.REPLAY, result.stored.spec, directory, plan=plan))
    yield "```"
    yield ""


def _void(result: SweepResult) -> Iterator[str]:
    void = [each for each in result.trials if each.verdict is Verdict.VOID]
    for each in void[:_LISTED_MAX]:
        yield f"- VOID at {_code(each.plan)}: {_escaped(each.why_void)}"
    if void:
        yield ""


def _exposures(result: SweepResult) -> Iterator[str]:
    if not result.exposures:
        return
    yield "<details><summary>Exposures: repetitions and omissions that the promises allow</summary>"
    yield ""
    yield "| of | worst | seen at | detail |"
    yield "| --- | --- | --- | --- |"
    for each in result.exposures[:_LISTED_MAX]:
        yield (
            f"| {_escaped(each.subject)} | {counted(each.times, 'time')} | {_code(each.plan)} | "
            f"{_escaped(exposure_detail(each))} |"
        )
    yield ""
    yield "</details>"
    yield ""


def _escaped(text: str) -> str:
    """Return a text that Markdown shows as it is."""
    return _MARKUP.sub(r"\\\1", literal(text)).replace("\n", " ")


def _code(text: str) -> str:
    return f"`{literal(text).replace('`', chr(39)).replace('|', '¦')}`"
