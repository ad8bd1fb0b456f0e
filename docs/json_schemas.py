"""Build the JSON Schema files of docs/schemas, from typed values where there are any.

A document of typed values is described by walking its dataclasses. A document that `report` builds
by hand is described by a table below. `python docs/make_docs.py` writes the files, and a test
validates real output against them.
"""

import dataclasses
import inspect
import re
import types
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

from resumectl.judge.target_settings import TargetSettings
from resumectl.model.evidence import Evidence
from resumectl.model.interpreter import Interpreter
from resumectl.model.observation import Observation
from resumectl.model.target import Client
from resumectl.model.verdict import Judgement, Kind, Verdict
from resumectl.publishing.store.state import Counts

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SCALARS: Mapping[type, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}


class _Definitions:
    """Schemas of the dataclasses that a document refers to, by class name."""

    def __init__(self) -> None:
        self.schemas: dict[str, Schema] = {}

    def of(self, hint: Any) -> Schema:
        """Return the schema of a type hint.

        Args:
            hint: A type that a field of a dataclass may have, as `resumectl.model.codec` reads it.
        """
        origin, arguments = get_origin(hint), get_args(hint)
        if hint in (Any, object):
            return {}
        if hint is type(None):
            return {"type": "null"}
        if hint in _SCALARS:
            return {"type": _SCALARS[hint]}
        if origin in (Union, types.UnionType):
            return {"anyOf": [self.of(argument) for argument in arguments]}
        if origin is tuple and arguments[-1] is not Ellipsis:
            items = [self.of(argument) for argument in arguments]
            return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}
        if origin is not None and issubclass(origin, Mapping):
            return {"type": "object", "additionalProperties": self.of(arguments[1])}
        if origin is not None and issubclass(origin, Sequence):
            return {"type": "array", "items": self.of(arguments[0])}
        if isinstance(hint, type) and issubclass(hint, Enum):
            return {"enum": [member.value for member in hint]}
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            return self._reference(hint)
        raise TypeError(f"no schema for {hint!r}")

    def _reference(self, kind: type) -> Schema:
        if kind.__name__ not in self.schemas:
            self.schemas[kind.__name__] = {}  # a placeholder, for a class that refers to itself
            self.schemas[kind.__name__] = self.of_dataclass(kind)
        return {"$ref": f"#/$defs/{kind.__name__}"}

    def of_dataclass(self, kind: Any) -> Schema:
        """Return the schema of a dataclass: every field is required, and no other is allowed."""
        hints = get_type_hints(kind)
        doc = inspect.getdoc(kind) or ""
        described = _attribute_texts(doc)
        properties: dict[str, Schema] = {}
        if hasattr(kind, "KIND"):
            properties["kind"] = {"const": kind.KIND}
        for field in dataclasses.fields(kind):
            schema = self.of(hints[field.name])
            if field.name in described:
                schema = {**schema, "description": described[field.name]}
            properties[field.name] = schema
        summary = " ".join(doc.split("\n\n")[0].split())
        return {"description": summary, **_closed(properties)}


def _attribute_texts(doc: str) -> dict[str, str]:
    """Return the text of each line of the section `Attributes` of a docstring."""
    _, _, section = doc.partition("Attributes:\n")
    entries = re.findall(r"^    (\w+): ((?:.+\n?)(?:^     +.+\n?)*)", section, flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


# --- helpers for documents that are built by hand

STRING: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
BOOLEAN: Schema = {"type": "boolean"}
MILLISECONDS: Schema = {"type": "integer", "description": "Unix time, in milliseconds."}
COUNT: Schema = {"type": "integer", "minimum": 0}


def nullable(schema: Schema) -> Schema:
    """Return the schema of a value that may be null."""
    return {"anyOf": [schema, {"type": "null"}]}


def array(items: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items}


def mapping(values: Schema) -> Schema:
    """Return the schema of an object with any keys."""
    return {"type": "object", "additionalProperties": values}


def one_of(kind: type[Enum]) -> Schema:
    """Return the schema of the values of an enumeration."""
    return {"enum": [member.value for member in kind]}


def _closed(properties: Mapping[str, Schema]) -> Schema:
    """Return the schema of an object with exactly these keys."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _derived(kind: type) -> Schema:
    """Return the schema of a dataclass that refers to no other one."""
    definitions = _Definitions()
    schema = definitions.of_dataclass(kind)
    assert not definitions.schemas, f"{kind.__name__} refers to other classes"
    return schema


_COUNTS: Mapping[str, Schema] = {field.name: COUNT for field in dataclasses.fields(Counts)}
_REASON: Schema = {
    "enum": [kind.KIND for kind in get_args(Evidence)],
    "description": "Which evidence the finding rests on.",
}
_REPEATED = nullable(_closed({"shown": COUNT, "of": COUNT}))
_VERDICTS = _closed({verdict.value: COUNT for verdict in Verdict})
_FAILURE = _closed({"message": INTEGER, "error": STRING})
_BATCH = _closed(
    {
        "id": STRING,
        "guarantee": STRING,
        "status": STRING,
        **_COUNTS,
        "failures": array(_FAILURE),
    }
)
_PROCESS = _closed(
    {
        "process": INTEGER,
        "pid": INTEGER,
        "host": STRING,
        "executor": STRING,
        "command": STRING,
        "ended": STRING,
        "local": COUNT,
        "global": COUNT,
    }
)
_PUBLISHER = _closed(
    {
        "name": STRING,
        "batches": array(_BATCH),
        "counters": _closed({"durable": COUNT, "processes": array(_PROCESS)}),
    }
)
_STATE: Mapping[str, Schema] = {
    "publishers": array(_PUBLISHER),
    "totals": _closed(_COUNTS),
    "verdict": STRING,
}
_WORKFLOW = _closed(
    {
        "id": STRING,
        "name": nullable(STRING),
        "publisher": nullable(STRING),
        "status": STRING,
        "queue": nullable(STRING),
        "attempts": nullable(INTEGER),
        "executor": nullable(STRING),
        "version": nullable(STRING),
        "created": MILLISECONDS,
        "completed": nullable(MILLISECONDS),
        "parent": nullable(STRING),
        "steps": COUNT,
        "unfinished_children": COUNT,
        "error": nullable(STRING),
    }
)
_STEP = _closed(
    {
        "step": INTEGER,
        "name": STRING,
        "child": nullable(STRING),
        "failed": BOOLEAN,
        "started": nullable(MILLISECONDS),
        "completed": nullable(MILLISECONDS),
        "processes": array(INTEGER),
    }
)
_RESUMED = _closed(
    {
        "id": STRING,
        "before": STRING,
        "after": STRING,
        "replayed": COUNT,
        "executed": COUNT,
        "repeated": COUNT,
    }
)
_PITFALL = _closed(
    {
        "name": STRING,
        "scenario": {"enum": ["mistake", "corrected"]},
        "expected": nullable(one_of(Kind)),
        "found": array(one_of(Kind)),
        "trials": COUNT,
        "as_expected": BOOLEAN,
        "plan": STRING,
    }
)
_OUTSIDE = _closed(
    {
        "redirected": array(STRING),
        "prepared_by": nullable(STRING),
        "allowed_databases": array(STRING),
        "allowed_hosts": array(STRING),
        "services": array(_closed({"service": STRING, "times": COUNT, "what": STRING})),
    }
)
_INTERPRETER = nullable(_derived(Interpreter))
_SETTINGS = nullable(_derived(TargetSettings))
_SWEEP_FINDING = _closed(
    {
        "kind": one_of(Kind),
        "plan": STRING,
        "subject": STRING,
        "evidence": STRING,
        "reason": _REASON,
        "trials": COUNT,
        "repeated": _REPEATED,
        "follows_from": nullable(COUNT),
        "file": nullable(STRING),
        "line": nullable(INTEGER),
    }
)
_SWEEP_EXPOSURE = _closed(
    {
        "subject": STRING,
        "worst": COUNT,
        "payload_differs": BOOLEAN,
        "note": STRING,
        "plan": STRING,
    }
)
_REPLAY_FINDING = _closed(
    {
        "kind": one_of(Kind),
        "subject": STRING,
        "evidence": STRING,
        "reason": _REASON,
        "repeated": _REPEATED,
    }
)
_REPLAY_EXPOSURE = _closed(
    {"subject": STRING, "times": COUNT, "payload_differs": BOOLEAN, "note": STRING}
)

_BY_HAND: Mapping[str, tuple[str, Mapping[str, Schema]]] = {
    "state": ("Output of `resumectl state --json`.", {**_STATE, "next_steps": array(STRING)}),
    "publish": ("Output of `resumectl publish --json`.", {**_STATE, "resumed": array(STRING)}),
    "crash-after": (
        "Output of `resumectl crash-after --json`.",
        {
            "batch": STRING,
            "plan": STRING,
            "pid": INTEGER,
            "signal": nullable(INTEGER),
            "exit_status": nullable(INTEGER),
            "reached": nullable(STRING),
            "delivered": COUNT,
            "workflows": mapping(COUNT),
            "proved": BOOLEAN,
        },
    ),
    "resume": (
        "Output of `resumectl resume --json`.",
        {
            **_STATE,
            "workflows": array(_RESUMED),
            "blocked": array(_closed({"id": STRING, "reason": STRING, "next": STRING})),
            "sweeps": array({"$ref": "sweep.json"}),
        },
    ),
    "list-workflows": (
        "Output of `list-workflows`, `cancel` and `fork` with `--json`.",
        {"workflows": array(_WORKFLOW)},
    ),
    "steps": (
        "Output of `resumectl steps --json`.",
        {"workflow": _WORKFLOW, "steps": array(_STEP)},
    ),
    "worker": (
        "Output of `resumectl worker --json`, at its end.",
        {"executor": STRING, "process": INTEGER},
    ),
    "doctor": (
        "Output of `resumectl doctor --json`.",
        {
            "checks": array(_closed({"what": STRING, "seen": STRING, "next": STRING})),
            "healthy": BOOLEAN,
        },
    ),
    "migrate": (
        "Output of `resumectl migrate --json`.",
        {"database": STRING, "migrated": BOOLEAN},
    ),
    "reset": (
        "Output of `resumectl reset --json`.",
        {"database": STRING, "deleted": BOOLEAN},
    ),
    "selftest": (
        "Output of `resumectl selftest --json`.",
        {
            "caught": COUNT,
            "mistakes": COUNT,
            "false_alarms": COUNT,
            "twins": COUNT,
            "pitfalls": array(_PITFALL),
        },
    ),
    "points": (
        "Output of `resumectl points --json`.",
        {
            "target": STRING,
            "interpreter": _INTERPRETER,
            "interpreter_after_crash": _INTERPRETER,
            "transitions": array(
                _closed({"name": STRING, "detail": STRING, "commit": INTEGER, "times": COUNT})
            ),
            "crash_points": array(STRING),
            "outside": _OUTSIDE,
        },
    ),
    "sweep": (
        "Output of `resumectl sweep --json` and `resumectl check --json`.",
        {
            "sweep": INTEGER,
            "target": STRING,
            "interpreter": _INTERPRETER,
            "interpreter_after_crash": _INTERPRETER,
            "client": one_of(Client),
            "settings": _closed({"before_crash": _SETTINGS, "after_crash": _SETTINGS}),
            "crash_points": COUNT,
            "reached": COUNT,
            "crashes": COUNT,
            "trials": COUNT,
            "verdicts": _VERDICTS,
            "left_out": array(STRING),
            "findings": array(_SWEEP_FINDING),
            "exposures": array(_SWEEP_EXPOSURE),
            "attempts": mapping(COUNT),
            "is_concurrent": BOOLEAN,
            "orders_tried": COUNT,
            "explained_by_time": array(STRING),
            "not_compared": array(STRING),
            "outside": _OUTSIDE,
            "void": array(_closed({"plan": STRING, "why": STRING})),
            "seconds": NUMBER,
            "wall_seconds": nullable(NUMBER),
            "trials_per_second": NUMBER,
        },
    ),
    "project-sweep": (
        "Output of `resumectl sweep --json` without a target, if pyproject.toml names several.",
        {"sweeps": array({"$ref": "sweep.json"})},
    ),
    "repro": (
        "Output of `resumectl repro --json`.",
        {"file": STRING, "plan": STRING, "title": STRING, "fails": COUNT, "runs": COUNT},
    ),
    "watch": (
        "Output of `resumectl watch --once --json`.",
        {
            "at": INTEGER,
            "deliveries": COUNT,
            "processes": array(
                _closed(
                    {
                        "process": COUNT,
                        "command": STRING,
                        "executor": STRING,
                        "pid": INTEGER,
                        "state": STRING,
                        "in_memory": COUNT,
                        "durable": COUNT,
                    }
                )
            ),
            "batches": array(
                _closed({"batch": STRING, "status": STRING, "messages": COUNT, "deliveries": COUNT})
            ),
            "queues": array(_closed({"queue": STRING, "waiting": COUNT, "running": COUNT})),
            "sweeps": array(
                _closed(
                    {
                        "sweep": COUNT,
                        "target": STRING,
                        "planned": COUNT,
                        "verdicts": _VERDICTS,
                        "state": STRING,
                    }
                )
            ),
            "newest_deliveries": array(
                _closed({"at": INTEGER, "workflow": STRING, "process": COUNT})
            ),
        },
    ),
    "report": (
        "Output of `resumectl report --json`.",
        {"file": STRING, "sweep": nullable(COUNT), "batch": nullable(STRING)},
    ),
    "init": (
        "Output of `resumectl init --json`.",
        {
            "file": STRING,
            "targets": array(
                _closed({"name": STRING, "target": STRING, "line": INTEGER, "is_handler": BOOLEAN})
            ),
        },
    ),
    "replay": (
        "Output of `resumectl replay --json`.",
        {
            "plan": STRING,
            "verdict": one_of(Verdict),
            "why_void": STRING,
            "findings": array(_REPLAY_FINDING),
            "exposures": array(_REPLAY_EXPOSURE),
            "diverged_before_crash": array(STRING),
            "attempts": COUNT,
            "explained_by_time": array(STRING),
            "outcomes": _VERDICTS,
            "interpreter": _INTERPRETER,
            "interpreter_after_crash": _INTERPRETER,
            "observation": {"$ref": "observation.json"},
        },
    ),
    "sweeps": (
        "Output of `resumectl sweeps --json`.",
        {
            "sweeps": array(
                _closed(
                    {
                        "sweep": INTEGER,
                        "target": STRING,
                        "promises": nullable(mapping(STRING)),
                        "started": MILLISECONDS,
                        "crash_points": COUNT,
                        "planned": COUNT,
                        "trials": COUNT,
                        "seconds": nullable(NUMBER),
                        "verdicts": nullable(mapping(COUNT)),
                    }
                )
            )
        },
    ),
}


def all_schemas() -> dict[str, Schema]:
    """Return the schema of each document, by the name of its file without the suffix."""
    schemas = {
        name: {"description": text, **_closed(properties)}
        for name, (text, properties) in _BY_HAND.items()
    }
    schemas["refusal"] = {
        "description": "Output of any command that is refused, or that fails. It may hold more "
        "keys: what the command had found before.",
        **_closed({"error": STRING, "next": STRING}),
        "additionalProperties": True,
    }
    definitions = _Definitions()
    observation = definitions.of_dataclass(Observation)
    observation["properties"] = {"schema": INTEGER, **observation["properties"]}
    observation["required"] = ["schema", *observation["required"]]
    schemas["observation"] = {**observation, "$defs": definitions.schemas}
    definitions = _Definitions()
    judgement = definitions.of_dataclass(Judgement)
    schemas["judgement"] = {**judgement, "$defs": definitions.schemas}
    return {
        name: {"$schema": _DIALECT, "$id": f"{name}.json", "title": name, **schema}
        for name, schema in schemas.items()
    }
