"""A checked service as bytes and back, and when the store's copy is used."""

import json
from pathlib import Path

import pytest

from formation.build.remembered import is_new_with_packages, remembered_service
from formation.definition import load
from formation.definition.load import load_service
from formation.definition.record import decode, encode
from formation.errors import DefinitionError, UsageError
from formation.store.store import Store
from services import HEAD, service_in

SERVICES = Path(__file__).parents[3] / "services"
EVERYTHING = """\
description: "Grüße"
architectures: [amd64, arm64]
recommends: true
packages: [jq, curl=8.14.1-2, zstd:amd64, -nano]
build: {command: make, results: [target/]}
variables: {a: b}
groups: [{name: g, gid: 500}]
users: [{name: app, group: g, groups: [shadow], system: true}]
files:
  - {path: /a, content: "\\xff ${a}", variables: {c: d}}
  - {path: /b, source: share/, ignore: ["*.o"], mode: "0640", owner: app}
directories: [{path: /srv/x, mode: "0700"}]
volumes: [/srv/x]
environment: {A: b}
labels: {team: t}
ports: [53/udp, 80]
health_check: {command: [a], interval: 10s}
checks:
  files: [{path: /a, mode: "0644", contains: ["x"]}]
  commands: [{run: [a, b], user: app}]
entrypoint: [a]
command: []
stop_signal: SIGINT
user: app
"""


def test_a_service_comes_back_as_it_was(tmp_path: Path) -> None:
    for service in (service_in(tmp_path, EVERYTHING), *map(load_service, sorted(SERVICES.glob("form-*")))):
        found = decode(encode(service))
        assert found == service
        assert (found.lines, found.package_lines, found.shown_path) == (
            service.lines,
            service.package_lines,
            service.shown_path,
        )
        assert repr(found) == repr(service)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"nothing", b"[" * 100_000])
def test_other_bytes_are_no_service(data: bytes) -> None:
    with pytest.raises(ValueError):
        decode(data)


def test_the_record_of_a_version_with_other_fields_is_no_service(tmp_path: Path) -> None:
    value = json.loads(encode(service_in(tmp_path)))
    for changed in ({**value, "new": 1}, {k: v for k, v in value.items() if k != "ports"}, {**value, "ports": "80"}):
        with pytest.raises(ValueError):
            decode(json.dumps(changed).encode())


def test_a_definition_is_read_once_and_again_after_an_edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, directory = Store(tmp_path / "store"), tmp_path / "service"
    first = service_in(directory, "ports: [53]\n")
    assert remembered_service(directory, store) == first
    with monkeypatch.context() as patch:
        patch.setattr(load, "load_service", lambda path: pytest.fail("it was read again"))
        assert remembered_service(directory, store) == first
    second = service_in(directory, "ports: [54]\n")
    assert remembered_service(directory, store) == second != first


def test_a_definition_with_keys_beside_it_is_always_read(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    service_in(tmp_path / "service", "distribution: debian/trixie\n")
    remembered_service(tmp_path / "service", store)
    assert not store.builds.exists()


def test_what_is_wrong_is_told_each_time(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with pytest.raises(UsageError, match="there is no definition"):
        remembered_service(tmp_path, store)
    (tmp_path / "formation.yaml").write_text(HEAD + "portz: []\n")
    for _ in range(2):
        with pytest.raises(DefinitionError, match="portz"):
            remembered_service(tmp_path, store)


def test_a_damaged_record_is_made_again(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    service = service_in(tmp_path / "service")
    remembered_service(tmp_path / "service", store)
    (record,) = store.builds.iterdir()
    record.write_bytes(b"{")
    assert remembered_service(tmp_path / "service", store) == service
    assert decode(record.read_bytes()) == service


def test_a_definition_is_new_until_it_was_read_and_only_packages_make_it_worth_an_early_start(tmp_path: Path):
    store = Store(tmp_path / "store")
    plain, with_packages = tmp_path / "plain", tmp_path / "with-packages"
    service_in(plain)
    service_in(with_packages, "packages: [curl]\n")
    assert (is_new_with_packages(plain, store), is_new_with_packages(with_packages, store)) == (False, True)
    remembered_service(with_packages, store)
    assert not is_new_with_packages(with_packages, store)
    assert not is_new_with_packages(tmp_path / "none", store)
