"""A contract and images: which promise is broken, and how that is said."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formation.contract.from_image import annotated_contract, contract_of
from formation.contract.kept_promises import broken_promises
from formation.contract.promise import (
    Contract,
    DirectoryPromise,
    FilePromise,
    GroupPromise,
    PackagePromise,
    SonamePromise,
    UserPromise,
)
from formation.oci.config import Execution
from layer_tars import directory, file
from sound_image import STATUS, facts

FORMATION = UserPromise("formation", 999, "formation", ("adm",), "/app", "/usr/sbin/nologin", place="f.yaml:9")
LOGS = DirectoryPromise("/var/log/formation", "formation", "formation", 0o750)
CONTRACT = Contract(
    source="f.yaml",
    packages=(PackagePromise("libc6", "2.41-12", "amd64"), PackagePromise("tool", None, None)),
    forbidden=("telnetd",),
    users=(FORMATION,),
    groups=(GroupPromise("adm", 4),),
    directories=(LOGS,),
    files=(FilePromise("/etc/tool.conf", "root", "root", 0o644, None),),
    environment=(("LANG", "C.UTF-8"),),
    volumes=("/var/log/formation",),
    ports=("8080/tcp",),
    labels=(("org.opencontainers.image.version", "1.0.0"),),
    user="formation",
    working_directory="/app",
    entrypoint=None,
    command=("tool",),
    stop_signal="SIGTERM",
    commands=("tool",),
    sonames=(SonamePromise("libc.so.6", ("GLIBC_2.34",)),),
)


def broken(contract: Contract, *upper, derived: bool = False, **options) -> dict[str, str]:
    """Id → severity of each finding."""
    found = broken_promises(contract, facts(*upper, **options), derived=derived)
    return {finding.id: finding.severity for finding in found}


def test_an_image_that_keeps_its_contract_has_no_findings():
    assert broken(CONTRACT) == {}


def test_what_an_image_has_it_promises_to_itself():
    image = facts()
    contract = contract_of(image, "it")
    assert contract.commands == ("tool",) and contract.sonames == (
        SonamePromise("libc.so.6", ("GLIBC_2.34", "GLIBC_2.38")),
    )
    assert LOGS in contract.directories
    assert list(broken_promises(contract, image)) == []


@pytest.mark.parametrize(
    ("change", "id_"),
    [
        ({"packages": (PackagePromise("curl", None, None),)}, "package-missing"),
        ({"packages": (PackagePromise("tool", None, "arm64"),)}, "package-missing"),
        ({"packages": (PackagePromise("tool", "1.0-2", None),)}, "package-older"),
        ({"packages": (PackagePromise("tool", "0.9-2", None),)}, "package-newer"),
        ({"forbidden": ("tool",)}, "package-unwanted"),
        ({"users": (replace(FORMATION, name="other"),)}, "user-missing"),
        ({"users": (replace(FORMATION, uid=998),)}, "user-id"),
        ({"users": (replace(FORMATION, group="adm"),)}, "user-group"),
        ({"users": (replace(FORMATION, groups=("root",)),)}, "user-not-in-group"),
        ({"users": (replace(FORMATION, home="/home"),)}, "user-home"),
        ({"users": (replace(FORMATION, shell="/bin/sh"),)}, "user-shell"),
        ({"groups": (GroupPromise("audio", None),)}, "group-missing"),
        ({"groups": (GroupPromise("adm", 5),)}, "group-id"),
        ({"directories": (replace(LOGS, path="/srv"),)}, "directory-missing"),
        ({"directories": (replace(LOGS, path="/etc/tool.conf"),)}, "directory-type"),
        ({"directories": (replace(LOGS, mode=0o755),)}, "directory-mode"),
        ({"directories": (replace(LOGS, owner="root"),)}, "directory-owner"),
        ({"directories": (replace(LOGS, group="4"),)}, "directory-group"),
        ({"directories": (replace(LOGS, owner="nobody-here"),)}, "directory-owner"),
        ({"files": (FilePromise("/etc/x", "root", "root", None, None),)}, "file-missing"),
        ({"files": (FilePromise("/etc/tool.conf", "root", "root", None, "0" * 64),)}, "file-content"),
        ({"environment": (("TZ", "UTC"),)}, "environment-missing"),
        ({"environment": (("LANG", "C"),)}, "environment-value"),
        ({"volumes": ("/data",)}, "volume-missing"),
        ({"ports": ("53/udp",)}, "port-missing"),
        ({"labels": (("a", "b"),)}, "label"),
        ({"user": "root"}, "user"),
        ({"working_directory": "/"}, "working-directory"),
        ({"entrypoint": ("init",)}, "entrypoint"),
        ({"command": ("other",)}, "command"),
        ({"stop_signal": "SIGINT"}, "stop-signal"),
        ({"commands": ("curl",)}, "command-missing"),
        ({"sonames": (SonamePromise("libssl.so.3", ()),)}, "soname-missing"),
        ({"sonames": (SonamePromise("libc.so.6", ("GLIBC_9",)),)}, "symbol-version-missing"),
    ],
)
def test_each_broken_promise_is_found(change, id_):
    assert broken(replace(CONTRACT, **change)) == {id_: "error"}


def test_a_home_that_is_a_file_is_found():
    passwd = file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nformation:x:999:999::/etc/group:/usr/sbin/nologin\n")
    contract = replace(CONTRACT, users=(replace(FORMATION, home="/etc/group"),))
    assert broken(contract, [passwd]) == {"user-home-type": "error"}


def test_a_derived_image_may_run_something_else_and_have_newer_packages():
    execution = Execution(
        environment=("PATH=/opt/bin:/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"),
        user="0",
        command=("service",),
        volumes=("/var/log/formation", "/data"),
        exposed_ports=("8080/tcp",),
    )
    newer = file("var/lib/dpkg/status", STATUS.replace("2.41-12", "2.41-13").encode())
    contract = replace(CONTRACT, environment=(("PATH", "/usr/local/bin:/usr/bin:/bin"),))
    assert broken(contract, [newer], execution=execution, derived=True) == {"package-newer": "warning"}
    assert broken(replace(CONTRACT, users=(replace(FORMATION, uid=1),)), derived=True) == {"user-id": "error"}
    assert "user" in broken(contract, execution=execution)


def test_all_findings_come_at_once_and_name_the_line_that_promises():
    contract = replace(CONTRACT, users=(replace(FORMATION, uid=1, home="/x", shell="/y"),))
    found = list(broken_promises(contract, facts()))
    assert [finding.id for finding in found] == ["user-id", "user-home", "user-shell"]
    assert {finding.place for finding in found} == {"f.yaml:9"}


def test_the_layer_that_spoiled_a_directory_is_named():
    (finding,) = broken_promises(CONTRACT, facts([file("new")], [directory("var/log/formation", 0o777, 999, 999)]))
    assert (finding.id, finding.layer, finding.path) == ("directory-mode", 2, "/var/log/formation")


def test_what_layers_are_annotated_with_is_a_promise():
    assert annotated_contract(facts(), "it").packages == ()


_promises = st.builds(
    DirectoryPromise,
    path=st.text("/aé\udcff.", max_size=8).map("/".__add__),
    owner=st.text("0189a", max_size=12),
    group=st.text("0189a", max_size=12),
    mode=st.integers(0, 0o7777),
)
IMAGE = facts()


@given(st.builds(replace, st.just(CONTRACT), directories=st.lists(_promises, max_size=3).map(tuple)))
def test_no_contract_makes_the_comparison_raise(contract):
    assert all(finding.message for finding in broken_promises(contract, IMAGE))
