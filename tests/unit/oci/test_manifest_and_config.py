import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formation.digest import sha256
from formation.errors import MalformedError
from formation.oci.config import Config, Execution, HealthCheck, History, config_bytes, parse_config
from formation.oci.descriptor import Descriptor, Platform
from formation.oci.manifest import (
    Index,
    Manifest,
    index_bytes,
    manifest_bytes,
    media_type_of,
    parse_index,
    parse_manifest,
)
from formation.oci.media_types import DOCKER_INDEX, DOCKER_MANIFEST, OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
MAPS = st.dictionaries(TEXT, TEXT, max_size=3)
DIGESTS = st.binary(max_size=8).map(sha256)
PLATFORMS = st.builds(Platform, TEXT, TEXT, st.none() | TEXT.filter(bool))
DESCRIPTORS = st.builds(Descriptor, TEXT, DIGESTS, st.integers(0, 2**62), MAPS, st.none() | PLATFORMS, st.none() | TEXT)
WORDS = st.lists(TEXT, min_size=1, max_size=3).map(tuple)
NAMES = st.frozensets(TEXT, max_size=3).map(lambda names: tuple(sorted(names)))
COUNTS = st.integers(0, 2**62)
CHECKS = st.none() | st.builds(HealthCheck, WORDS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
EXECUTIONS = st.builds(
    Execution, WORDS, TEXT, TEXT, st.none() | WORDS, st.none() | WORDS, NAMES, NAMES, MAPS, TEXT, CHECKS, WORDS, WORDS
)
HISTORIES = st.builds(History, st.none() | TEXT, st.none() | TEXT, st.none() | TEXT, st.booleans())
D = Descriptor(OCI_CONFIG, sha256(b""), 0)


@given(DESCRIPTORS, st.lists(DESCRIPTORS, max_size=3).map(tuple), MAPS, st.none() | TEXT, st.none() | DESCRIPTORS)
def test_a_manifest_is_read_as_it_was_written(config, layers, annotations, artifact_type, subject):
    manifest = Manifest(config, layers, annotations, OCI_MANIFEST, artifact_type, subject)
    assert parse_manifest(manifest_bytes(manifest)) == manifest


@given(st.lists(DESCRIPTORS, max_size=3).map(tuple), MAPS)
def test_an_index_is_read_as_it_was_written(manifests, annotations):
    index = Index(manifests, annotations)
    assert parse_index(index_bytes(index)) == index


@given(PLATFORMS, st.lists(DIGESTS, max_size=3).map(tuple), EXECUTIONS, st.lists(HISTORIES, max_size=3).map(tuple))
def test_a_config_is_read_as_it_was_written(platform, diff_ids, execution, history):
    config = Config(platform, diff_ids, execution, history, "2026-01-01T00:00:00Z")
    assert parse_config(config_bytes(config)) == config


def test_the_same_manifest_always_has_the_same_bytes():
    one = Manifest(D, (Descriptor(OCI_LAYER_GZIP, sha256(b"x"), 1, {"b": "1", "a": "2"}),), {"y": "1", "x": "2"})
    other = Manifest(D, (Descriptor(OCI_LAYER_GZIP, sha256(b"x"), 1, {"a": "2", "b": "1"}),), {"x": "2", "y": "1"})
    assert manifest_bytes(one) == manifest_bytes(other)


def test_a_manifest_cannot_pass_for_an_index_nor_an_index_for_a_manifest():
    manifest, index = json.loads(manifest_bytes(Manifest(D, ()))), json.loads(index_bytes(Index(())))
    for both in (manifest | index, index | manifest, {**manifest, **index, "mediaType": None}):
        with pytest.raises(MalformedError):
            parse_manifest(json.dumps(both).encode())
        with pytest.raises(MalformedError):
            parse_index(json.dumps(both).encode())


def test_bytes_without_a_descriptor_are_taken_for_what_they_say_or_look_like():
    manifest, index = json.loads(manifest_bytes(Manifest(D, ()))), json.loads(index_bytes(Index(())))
    for value, expected in (
        (manifest, OCI_MANIFEST),
        (index, OCI_INDEX),
        ({**manifest, "mediaType": None}, OCI_MANIFEST),
        ({**index, "mediaType": None}, OCI_INDEX),
        ({**manifest, "mediaType": DOCKER_MANIFEST}, DOCKER_MANIFEST),
        ({**index, "mediaType": DOCKER_INDEX}, DOCKER_INDEX),
    ):
        assert media_type_of(json.dumps(value).encode()) == expected
    for wrong in (b"{", b"[]", b'{"mediaType": "text/html"}', b'{"mediaType": 1}'):
        with pytest.raises(MalformedError):
            media_type_of(wrong)


@pytest.mark.parametrize(
    "change",
    [
        {"schemaVersion": 1},
        {"mediaType": OCI_INDEX},
        {"config": None},
        {"layers": {}},
        {"layers": [{"mediaType": OCI_LAYER_GZIP, "digest": "sha256:../../etc/passwd", "size": 1}]},
        {"layers": [{"mediaType": OCI_LAYER_GZIP, "digest": sha256(b""), "size": -1}]},
        {"annotations": {"a": 1}},
    ],
    ids=[
        "schema-1",
        "index-media-type",
        "no-config",
        "layers-object",
        "digest-is-a-path",
        "negative-size",
        "annotation",
    ],
)
def test_a_wrong_manifest_is_refused(change):
    value = json.loads(manifest_bytes(Manifest(D, ()))) | change
    with pytest.raises(MalformedError):
        parse_manifest(json.dumps(value).encode())


def test_a_config_as_docker_writes_it_with_null_fields_is_read():
    data = {
        "architecture": "arm64",
        "variant": "",
        "os": "linux",
        "config": {
            **dict.fromkeys(("Env", "Entrypoint", "Volumes", "Labels", "OnBuild", "Shell")),
            "Cmd": ["sh"],
            "Healthcheck": {"StartInterval": None},
        },
        "rootfs": {"type": "layers", "diff_ids": [sha256(b"")]},
        "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "x", "empty_layer": True}],
    }
    config = parse_config(json.dumps(data).encode())
    assert config.platform == Platform("linux", "arm64")
    assert config.execution == Execution(command=("sh",))
    assert config.history[0].empty_layer


def test_a_health_check_is_written_as_docker_reads_it():
    check = HealthCheck(("CMD", "true"), interval=10_000_000_000, retries=3)
    value = json.loads(config_bytes(Config(Platform("linux", "amd64"), (), Execution(health_check=check))))
    assert value["config"]["Healthcheck"] == {"Test": ["CMD", "true"], "Interval": 10_000_000_000, "Retries": 3}


@pytest.mark.parametrize(
    "check",
    [
        {"Test": "a"},
        {"Test": ["a"], "Retries": -1},
        {"Test": ["a"], "Interval": "1s"},
        {"Test": ["a"], "StartInterval": 10**400},
    ],
)
def test_a_health_check_that_no_engine_could_run_is_refused(check):
    data = {"architecture": "a", "os": "b", "rootfs": {"type": "layers"}, "config": {"Healthcheck": check}}
    with pytest.raises(MalformedError, match="Healthcheck"):
        parse_config(json.dumps(data).encode())


@pytest.mark.parametrize("value", [5, True, "abc", {"a": 1}, ["sh", 5], 0, ""])
@pytest.mark.parametrize("key", ["OnBuild", "Shell"])
def test_what_children_of_an_image_run_is_words(key, value):
    data = {"architecture": "a", "os": "b", "rootfs": {"type": "layers"}, "config": {key: value}}
    with pytest.raises(MalformedError, match=f"{key} is no"):
        parse_config(json.dumps(data).encode())


def test_a_config_without_diff_ids_type_is_refused():
    with pytest.raises(MalformedError, match="rootfs type"):
        parse_config(b'{"architecture": "amd64", "os": "linux", "rootfs": {"type": "other"}}')
