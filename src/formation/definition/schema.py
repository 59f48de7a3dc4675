"""The JSON Schema of formation.yaml (draft 2020-12), published as schema/formation.schema.json.

`formation schema` prints it; a test compares the published file with it.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from formation.definition.model import BaseDefinition
from formation.definition.service_model import ServiceModel
from formation.files import json_text

KINDS: Mapping[str, type[BaseDefinition] | type[ServiceModel]] = {"base": BaseDefinition, "service": ServiceModel}
"""What `kind` may be, and the shape of each."""

_IDENTIFIER = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The schema as plain data. Keys that may be left out may not be null, as in the loader."""
    references, generated = models_json_schema([(model, "validation") for model in KINDS.values()])
    return {
        "$schema": _IDENTIFIER,
        "$defs": _plain(generated["$defs"], names=True),
        "description": "A base image, or a service on one.",
        "oneOf": [references[model, "validation"] for model in KINDS.values()],
        "title": "formation.yaml",
    }


def model_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of one kind, as plain data."""
    schema: dict[str, Any] = _plain(model.model_json_schema())
    return schema


def schema_text() -> str:
    """The published file."""
    return json_text(json_schema())


def keys_at(schema: dict[str, Any], path: tuple[str | int, ...]) -> tuple[str, ...]:
    """The keys that the mapping at `path` of a document may have; empty when it may have any, or is no mapping."""
    node = _resolved(schema, schema)
    for part in path:
        below = node.get("items") if isinstance(part, int) else node.get("properties", {}).get(part)
        named = list(node.get("patternProperties", {}).values())
        node = _resolved(schema, below or (named[0] if named else {}))
    return tuple(node.get("properties", {}))


def _resolved(schema: dict[str, Any], node: Any) -> dict[str, Any]:
    if not isinstance(node, dict):
        return {}
    reference = node.get("$ref")
    return schema["$defs"][reference.rpartition("/")[2]] if reference else node


def _plain(node: Any, *, names: bool = False) -> Any:
    """`node` without pydantic's titles and nulls. `names` tells that its keys are names of the document's own."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    if names:
        return {key: _plain(value) for key, value in node.items()}
    options = [option for option in node.get("anyOf", []) if option != {"type": "null"}]
    kept = {key: value for key, value in node.items() if key != "title" and not (key == "default" and value is None)}
    if len(options) == 1:
        kept = {**options[0], **{key: value for key, value in kept.items() if key != "anyOf"}}
    elif options:
        kept["anyOf"] = options
    kept.pop("title", None)
    if "patternProperties" in kept:
        kept["additionalProperties"] = False
    return {key: _plain(value, names=key in ("properties", "$defs")) for key, value in kept.items()}
