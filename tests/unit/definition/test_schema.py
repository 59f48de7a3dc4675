"""The published JSON Schema."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from formation.definition.model import BaseDefinition
from formation.definition.schema import json_schema, keys_at, model_schema, schema_text
from formation.errors import DefinitionError

ROOT = Path(__file__).parents[3]
PUBLISHED = ROOT / "schema/formation.schema.json"
DEFINITIONS = [
    "docker/base/formation.yaml",
    "images/debian-slim/formation.yaml",
    "services/form-api/formation.yaml",
    "services/form-dns/formation.yaml",
]


def test_the_published_schema_is_the_models():
    assert PUBLISHED.read_text() == schema_text(), "run: formation schema > schema/formation.schema.json"


def test_it_is_a_valid_schema_of_2020_12():
    jsonschema.Draft202012Validator.check_schema(json_schema())


def test_every_key_has_a_description():
    schema = json_schema()
    objects = list(schema["$defs"].values())
    assert [key for each in objects for key, value in each["properties"].items() if not value.get("description")] == []


@pytest.mark.parametrize("path", DEFINITIONS)
def test_the_definitions_of_this_repository_follow_it_and_name_it(path: str):
    text = (ROOT / path).read_text()
    jsonschema.Draft202012Validator(json_schema()).validate(yaml.safe_load(text))
    assert text.startswith("# yaml-language-server: $schema=../../schema/formation.schema.json\n")


@pytest.mark.parametrize(
    "change",
    [
        {"pakages": []},
        {"version": "1.0"},
        {"users": [{"name": "Upper"}]},
        {"directories": [{"path": "relative"}]},
        {"packages": ["curl wget"]},
        {"packages": None},
        {"variants": {"dev": {"extend": "runtime"}}},
        {"variants": {"Not A Name": {}}},
        {"layers": {"compression": "lzma"}},
    ],
)
def test_an_editor_sees_what_the_loader_refuses(change: dict[str, object], tmp_path: Path):
    from formation.definition.load import load_definition

    data = {"kind": "base", "name": "formation/test", "version": "1.0.0", "distribution": "debian/trixie"}
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.validate(data)
    assert not validator.is_valid({**data, **change})
    (tmp_path / "formation.yaml").write_text(json.dumps({**data, **change}))
    with pytest.raises(DefinitionError):
        load_definition(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"base": 1},
        {"ports": [0]},
        {"ports": ["53/UDP"]},
        {"health_check": {"interval": "30s"}},
        {"health_check": {"command": "x", "interval": 30}},
        {"files": [{"path": "/a", "source": "/etc/passwd"}]},
        {"variables": {"a-b": "x"}},
        {"leave_out": {}},
        {"kind": "base"},
    ],
)
def test_an_editor_sees_what_the_loader_refuses_of_a_service(change: dict[str, object], tmp_path: Path):
    from formation.definition.load import load_service

    data = {"kind": "service", "name": "formation/test", "version": "1.0.0", "base": "formation/base:1.0.0"}
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.validate(data)
    assert not validator.is_valid({**data, **change})
    (tmp_path / "formation.yaml").write_text(json.dumps({**data, **change}))
    with pytest.raises(DefinitionError):
        load_service(tmp_path)


def test_the_keys_of_a_place_are_found_through_lists_and_names():
    schema = model_schema(BaseDefinition)
    assert "uid" in keys_at(schema, ("variants", "dev", "users", 3))
    assert keys_at(schema, ("environment",)) == ()
