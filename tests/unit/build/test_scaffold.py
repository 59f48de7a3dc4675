"""The first files of a new service."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from formation.build.render_service import render_service
from formation.build.scaffold import NewService, existing, scaffold
from formation.definition.load import load_service
from formation.definition.service_values import ServiceBuild
from formation.errors import UsageError


def written(directory: Path, asked: NewService) -> dict[str, str]:
    files = scaffold(asked, directory)
    for name, text in files.items():
        (directory / name).write_text(text)
    return files


@pytest.mark.parametrize(
    "asked",
    [
        NewService("a"),
        NewService("form-dns", ports=("53/udp", "53/tcp", "53"), packages=("bind9-utils", "jq=1.7-1", "-vim-tiny")),
        NewService("form-api", base="docker://registry.example.com:5000/team/base:2.0.0", ports=("8080",)),
        NewService("x" * 55, base="base:1.0.0"),
    ],
)
def test_what_is_written_loads_and_is_what_it_renders(tmp_path: Path, asked: NewService):
    files = written(tmp_path, asked)
    assert list(files) == ["formation.yaml", "Dockerfile", ".dockerignore", f"run-{asked.name}.sh", "README.md"]
    service = load_service(tmp_path)
    assert service.base == asked.base
    assert service.build == ServiceBuild("make", None, ("target/",))
    assert [file.source for file in service.files] == [f"target/release/{asked.name}", f"run-{asked.name}.sh"]
    for name, text in render_service(service).items():
        assert files[name] == text


def test_the_service_is_in_the_namespace_of_its_base(tmp_path: Path):
    names = {
        base: yaml.safe_load(scaffold(NewService("a", base=base), tmp_path)["formation.yaml"])["name"]
        for base in ("formation/base:1.0.0", "base:1", "docker://r.example.com/t/u/base:1", "localhost/base:1")
    }
    assert list(names.values()) == ["formation/a", "a", "t/u/a", "a"]


def test_the_first_tcp_port_is_what_is_checked_and_else_the_first_process(tmp_path: Path):
    def check(*ports: str) -> dict[str, list[str]]:
        return yaml.safe_load(scaffold(NewService("a", ports=ports), tmp_path)["formation.yaml"])["health_check"]

    assert check("53/udp")["command"] == ["grep", "-qa", "^/usr/local/bin/a", "/proc/1/cmdline"]
    assert check("53/udp", "853")["command"] == ["socat", "-u", "OPEN:/dev/null", "TCP:127.0.0.1:853"]


def test_the_start_script_gives_its_place_to_the_service(tmp_path: Path):
    script = scaffold(NewService("form-dns"), tmp_path)["run-form-dns.sh"]
    program = tmp_path / "form-dns"
    program.write_text('#!/bin/sh\necho "$$" "$@"\n')
    program.chmod(0o755)
    (tmp_path / "run").write_text(script.replace("/usr/local/bin", str(tmp_path)))
    started = subprocess.Popen(
        ["sh", str(tmp_path / "run"), "a b"], stdout=subprocess.PIPE, text=True, env={"PATH": os.environ["PATH"]}
    )
    out, _ = started.communicate()
    assert out == f"{started.pid} a b\n"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (NewService("Form_DNS"), "'Form_DNS' is not a service name"),
        (NewService("../x"), "'../x' is not a service name"),
        (NewService("x" * 56), "is not a service name"),
        (NewService(""), "is not a service name"),
        (NewService("a\n"), "is not a service name"),
        (NewService("a", ports=("70000",)), "the port 70000 is not from 1 to 65535"),
        (NewService("a", packages=("Wget",)), "'Wget' is not a package request"),
        (NewService("a", base="formation/base"), "the base 'formation/base' has no version"),
        (NewService("a", base="sha256:abc"), "'sha256:abc' is a digest, not an image"),
        (NewService("a", base="oci:dir"), "a new service starts from an image in the store or a registry"),
        (NewService("a", base="formation/base:1.0.0 # x"), "is not an image reference"),
        (NewService("a", packages=("curl", "-curl")), "'-curl' contradicts 'curl'"),
    ],
)
def test_what_no_definition_could_have_is_refused(tmp_path: Path, asked: NewService, message: str):
    with pytest.raises(UsageError) as caught:
        scaffold(asked, tmp_path)
    assert message in caught.value.message


def test_what_exists_is_told_dangling_links_as_well(tmp_path: Path):
    (tmp_path / "b").write_text("")
    (tmp_path / "c").symlink_to("nowhere")
    assert existing(["a", "b", "c"], tmp_path) == ("b", "c")
