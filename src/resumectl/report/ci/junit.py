"""Write sweeps as JUnit XML: one test case for each trial, byte by byte the same but for times."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence

from resumectl.model.verdict import Judgement, Verdict
from resumectl.report.finding_text import evidence_text
from resumectl.report.replay_command import Command, command_line
from resumectl.report.sweep_result import SweepResult
from resumectl.text import natural_key

# Characters that XML 1.0 cannot hold.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(results: Sequence[SweepResult], directory: str) -> bytes:
    """Return the document.

    Args:
        results: Results of the sweeps.
        directory: Directory in which the command lines will be typed.
    """
    root = ET.Element("testsuites")
    for result in results:
        _add_suite(root, result, directory)
    ET.indent(root)
    text: str = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'.encode()


def _add_suite(root: ET.Element, result: SweepResult, directory: str) -> None:
    verdicts = result.verdicts
    suite = ET.SubElement(
        root,
        "testsuite",
        name=_text(result.stored.target),
        tests=str(len(result.trials)),
        failures=str(verdicts[Verdict.BROKEN] + verdicts[Verdict.UNSTABLE]),
        errors=str(verdicts[Verdict.VOID]),
        skipped="0",
        time=f"{result.stored.seconds or 0.0:.3f}",
    )
    seconds = {plan: list(each) for plan, each in result.seconds.items()}
    for trial in sorted(result.trials, key=lambda each: natural_key(each.plan)):
        own = seconds.get(trial.plan)
        case = ET.SubElement(
            suite,
            "testcase",
            classname=_text(result.stored.target),
            name=_text(trial.plan),
            time=f"{own.pop(0) if own else 0.0:.3f}",
        )
        _add_outcome(case, trial, result, directory)


def _add_outcome(case: ET.Element, trial: Judgement, result: SweepResult, directory: str) -> None:
    if trial.verdict is Verdict.VOID:
        ET.SubElement(case, "error", message=_text(trial.why_void), type=Verdict.VOID)
    elif trial.verdict is not Verdict.KEPT:
        found = [
            f"{each.kind} {each.subject}: {evidence_text(each.evidence)}" for each in trial.findings
        ]
        again = command_line(Command.REPLAY, result.stored.spec, directory, plan=trial.plan)
        failure = ET.SubElement(
            case, "failure", message=_text("; ".join(found)), type=trial.verdict
        )
        failure.text = _text("\n".join([*found, f"see it again with  {again}"]))


def _text(text: str) -> str:
    return _FORBIDDEN.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
