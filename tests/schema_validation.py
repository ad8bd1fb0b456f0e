"""Validate real output against the JSON Schema files of docs/schemas."""

import json
from typing import Any

import make_docs
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

SCHEMAS: dict[str, Any] = {
    path.stem: json.loads(path.read_text()) for path in make_docs.SCHEMAS.glob("*.json")
}
_REGISTRY: Registry[Any] = Registry().with_resources(
    (schema["$id"], Resource.from_contents(schema)) for schema in SCHEMAS.values()
)


def validate(name: str, document: Any) -> None:
    """Raise ValidationError if a document is not what its schema says.

    Args:
        name: Name of the schema, which is that of its file without the suffix.
        document: Document that a command printed, as `json.loads` returns it.
    """
    Draft202012Validator(SCHEMAS[name], registry=_REGISTRY).validate(document)
