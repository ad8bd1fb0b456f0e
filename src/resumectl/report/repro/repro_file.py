"""Make a file that runs a broken trial again, and judges it, with dbos alone."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from resumectl.judge.workflow_aliases import is_alias
from resumectl.model import evidence as e
from resumectl.model.crash_plan import CrashPlan, subject_of
from resumectl.model.orders import HASH_SEEDS
from resumectl.model.target import Client, Target
from resumectl.model.verdict import Finding
from resumectl.report.repro.publishable import is_template

_COUNTED = (
    e.TooMany, e.TooFew, e.TooManyInProcess, e.TooManyInWorkflow, e.TooFewInWorkflow,
    e.TooManyRecords, e.RanAgain, e.NeverRecorded,
)  # fmt: skip
_STUCK_AFTER_S, _TIMEOUT_S = 20, 120
_UNNAMED, _TURN = re.compile(r"^[^/]+\(\d+\)"), re.compile(r"\(\d+\)")


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A broken trial to show again.

    Attributes:
        target: The program.
        client: What the client does after a crash.
        plan: Crash plan with one crash.
        finding: The finding to show.
        title: The finding in one line, without paths and values of this machine.
        sources: Name of each file of the program, relative to its directory, to its text.
        starts: Ids of the workflows that the client starts.
        dbos: Release of DBOS.
        python: Release of Python.
        interpreter: Path of the interpreter of the program.
        libraries: Modules that the program imports, besides dbos.
    """

    target: Target
    client: Client
    plan: CrashPlan
    finding: Finding
    title: str
    sources: Mapping[str, str]
    starts: frozenset[str]
    dbos: str
    python: str
    interpreter: str
    libraries: Sequence[str]

    @property
    def needs(self) -> list[str]:
        """Variables that were set when the finding was found; their values were given with `--env`."""
        given = self.target.environ
        return [name for name, value in given.items() if not is_template(value)]


def repro_text(found: Reproduction, directory: str) -> str:
    """Return the text of the file.

    Args:
        found: The broken trial.
        directory: Directory of the program; paths of its files are relative to it.
    """
    target = found.target
    assert target.entry is not None
    name = target.entry[1].rpartition(".")[2]
    workflow_id = f"{name}-1" if f"{name}-1" in found.starts else None
    sources = dict(found.sources)
    if any("resumectl" in text for text in sources.values()):
        sources["resumectl.py"] = _resource("resumectl_stub.txt")
    values = {
        "TITLE": _in_docstring(found.title.rstrip(".")),
        "STORY": _in_docstring(_story(found)),
        "LIBRARIES": " and ".join(["dbos", *found.libraries]),
        "ENVIRON": repr({k: v for k, v in target.environ.items() if is_template(v)}),
        "NEEDS": repr(found.needs),
        "DBOS": found.dbos,
        "PYTHON": found.python,
        "PROGRAM": "\n".join(f"    {each!r}: {_quoted(text)}," for each, text in sources.items()),
        "CRASH": repr(_crash(found.plan)),
        "LOOK_AT": repr(look_at(found.finding)),
        "TIMEOUT": str(_TIMEOUT_S),
        "STUCK_AFTER": str(_STUCK_AFTER_S),
        "HASH_SEEDS": repr(HASH_SEEDS),
        "CLIENT": repr(str(found.client)),
        "TARGET": repr(_named(target.entry, directory)),
        "AFTER_LAUNCH": repr(_named(target.after_launch, directory)),
        "OBSERVE": repr(_named(target.observe, directory)),
        "ARGS": repr(list(target.args)),
        "KWARGS": repr(dict(target.kwargs)),
        "WORKFLOW_ID": repr(workflow_id),
    }
    text = _resource("harness.txt")
    return re.sub(r"@@(\w+)@@", lambda match: values[match[1]], text)


def look_at(finding: Finding) -> list[str]:
    """Return the part of the outcome that shows a finding, as the file names it."""
    evidence, subject = finding.evidence, finding.subject
    if (
        isinstance(evidence, e.TooMany | e.TooFew | e.NeverInBaseline)
        and "(" in subject.split(",")[0]
    ):
        return ["effects", subject]
    if isinstance(evidence, _COUNTED):
        return ["runs", subject.partition(",")[0]]
    if isinstance(evidence, e.OtherArguments | e.OtherArgumentsAfterCrash):
        is_after_crash = isinstance(evidence, e.OtherArgumentsAfterCrash)
        step = _UNNAMED.sub("*", subject.rpartition(", ")[2])
        return ["arguments in all" if is_after_crash else "arguments", step]
    if isinstance(evidence, e.OtherPath | e.NeverCalled):
        return ["steps", _TURN.sub("", subject.rpartition(", ")[2].rpartition("/")[0])]
    if subject == "answer":
        return ["answer"]
    return ["observed"] if subject.startswith("observed") else ["workflows"]


def _crash(plan: CrashPlan) -> tuple[str, str, str, int]:
    crash = plan.crashes[0]
    subject, fact = subject_of(crash.at.pattern), crash.at.pattern.rpartition("/")[2]
    workflow = "*" if is_alias(subject) else subject.replace("[", "[[]")
    return str(crash.edge), workflow, fact, crash.at.n


def _story(found: Reproduction) -> str:
    crash = found.plan.crashes[0]
    asks = "asks again" if found.client is Client.RETRIES else "does not ask again"
    return (
        f"A process is killed by SIGKILL {crash.edge} the commit of {crash.at}. The next process recovers.\n"
        f"The client {asks}. Then: {found.title}."
    )


def _named(entry: tuple[str, str] | None, directory: str) -> str | None:
    """Return `module:name` as the file imports it."""
    if entry is None:
        return None
    module, name = entry
    if module.endswith(".py"):
        relative = (
            module.removeprefix(f"{directory}/").removesuffix(".py").removesuffix("/__init__")
        )
        module = relative.replace("/", ".")
    return f"{module}:{name}"


def _in_docstring(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"""', r"\"\"\"")


def _quoted(text: str) -> str:
    """Return a text as a Python literal over several lines, as it is read best."""
    if "'''" in text or "\\" in text or text.endswith("'"):
        return repr(text)
    return f"'''\\\n{text}'''"


def _resource(name: str) -> str:
    return (files("resumectl.report.repro") / name).read_text(encoding="utf-8")
