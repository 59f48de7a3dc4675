"""A service as a Dockerfile and .dockerignore, and services as a compose file."""

import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from formation.build.compose import Composed, render_services
from formation.build.render_service import render_service
from formation.definition.load import load_service
from formation.definition.service_values import ServiceDefinition
from formation.errors import DefinitionError, UsageError
from services import service_in

ROOT = Path(__file__).parents[3]
HEAD = "kind: service\nname: formation/test\nversion: 1.2.3\nbase: formation/base:1.0.0\n"
SERVICES = ["form-api", "form-dns"]


def define(directory: Path, body: str, head: str = HEAD) -> ServiceDefinition:
    (directory / "formation.yaml").write_text(head + body)
    return load_service(directory)


def dockerfile(directory: Path, body: str, head: str = HEAD) -> str:
    return render_service(define(directory, body, head))["Dockerfile"]


def last_stage(text: str) -> str:
    return text.rpartition("\nFROM ")[2]


@pytest.mark.parametrize("name", SERVICES)
def test_the_committed_files_are_the_rendering(name: str):
    directory = ROOT / "services" / name
    for file, text in render_service(load_service(directory)).items():
        assert (directory / file).read_text() == text, f"run: formation render services/{name}"


def test_a_service_without_files_is_one_stage_on_its_base(tmp_path: Path):
    text = dockerfile(tmp_path, "")
    assert text.count("FROM ") == 1
    assert "ARG BASE_IMAGE=formation/base:1.0.0\n" in text
    assert "FROM ${BASE_IMAGE}\nUSER root\nARG BASE_IMAGE\nARG BASE_DIGEST=\nARG REVISION=\nARG SOURCE=\nLABEL" in text
    assert text.endswith("USER formation\n")


def test_packages_are_installed_without_an_upgrade_and_nothing_of_apt_stays(tmp_path: Path):
    text = last_stage(dockerfile(tmp_path, "packages: [bind9-utils, jq=1.7-1, -vim-tiny]\n"))
    assert "apt-get upgrade" not in text
    steps = [shlex.split(step) for step in text.split("RUN ")[1].split("\nLABEL")[0].replace("\\\n", "").split(";")]
    (install,) = [words for words in steps if words[:2] == ["apt-get", "install"]]
    # Nobody is there to be asked about a configuration file that is there already.
    kept = ["-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"]
    assert install[2:] == ["-y", "--no-install-recommends", *kept, "bind9-utils", "jq=1.7-1", "vim-tiny-"]
    assert [words[:2] for words in steps[-2:]] == [["apt-get", "clean"], ["rm", "-rf"]]


def test_archives_replace_the_bases_before_anything_is_installed(tmp_path: Path):
    (tmp_path / "own.asc").write_text("key")
    text = dockerfile(
        tmp_path,
        "packages: [tool]\narchives: [{name: own, uri: 'https://p.example.com', suites: [x], keys: [own.asc]}]\n",
    )
    places = [
        text.index(step)
        for step in (
            'COPY ["own.asc", "/etc/apt/keyrings/own.asc"]',
            "rm -f /etc/apt/sources.list",
            "> /etc/apt/sources.list.d/own.sources",
            "\n    apt-get update",
        )
    ]
    assert places == sorted(places)


def test_what_the_build_makes_comes_from_the_builder_on_the_bases_dev_image(tmp_path: Path):
    text = dockerfile(
        tmp_path,
        "build: {command: make all}\nfiles:\n  - {path: /usr/local/bin/x, source: target/x, mode: '0755'}\n"
        "  - {path: /usr/local/bin/y, source: y, owner: formation, group: adm}\n",
    )
    assert "ARG BUILDER_IMAGE=formation/base:1.0.0-dev\n" in text
    assert (
        "FROM ${BUILDER_IMAGE} AS builder\nUSER root\nWORKDIR /build\nCOPY . .\n"
        "RUN set -eux; \\\n    rm -rf target/x; \\\n    make all\n" in text
    )
    assert 'COPY --from=builder ["/build/target/x", "/files/usr/local/bin/x"]\n' in text
    assert 'COPY ["y", "/files/usr/local/bin/y"]\n' in text
    last = last_stage(text)
    assert 'COPY --from=files ["/files/usr/local/bin/x", "/usr/local/bin/x"]\n' in last
    assert 'COPY --from=files --chown=formation:adm ["/files/usr/local/bin/y", "/usr/local/bin/y"]\n' in last
    assert "chmod" not in last


def test_the_builder_can_be_another_image_and_must_be_when_the_base_has_no_tag(tmp_path: Path):
    assert "ARG BUILDER_IMAGE=rust:1.80\n" in dockerfile(tmp_path, "build: {image: 'rust:1.80'}\n")
    pinned = HEAD.replace(":1.0.0\n", f"@sha256:{'0' * 64}\n")
    with pytest.raises(UsageError, match=r"formation\.yaml:5: the dev variant of .* cannot be named"):
        dockerfile(tmp_path, "build: {}\n", pinned)


def test_modes_are_those_of_the_native_build(tmp_path: Path):
    """The commands of the stage `files`, run on real files, against what `collect` gives."""
    from formation.definition.service_files import collect

    for name, mode in {"d/a": 0o600, "d/b": 0o711, "d/s/c": 0o664, "f": 0o640, "g": 0o750, "e/x": 0o755}.items():
        file = tmp_path / "context" / name
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.write_text("x")
        file.chmod(mode)
    service = define(
        tmp_path / "context",
        "files:\n  - {path: /d, source: d/}\n  - {path: /f, source: f}\n  - {path: /g, source: g}\n"
        "  - {path: /e, source: e/, mode: '0640'}\n  - {path: /h, source: f, mode: '4711'}\n",
    )
    text = render_service(service)["Dockerfile"]
    staged = tmp_path / "staged"
    staged.mkdir()
    for source, target in {"d": "d", "f": "f", "g": "g", "e": "e", "f ": "h"}.items():
        subprocess.run(["cp", "-a", tmp_path / "context" / source.strip(), staged / target], check=True)
    script = text.split("AS files")[1].split("RUN ")[1].split("\nFROM")[0].replace("/files", str(staged))
    subprocess.run(["sh", "-c", script], check=True, capture_output=True)
    for entry in collect(service):
        assert ((staged / entry.path[1:]).stat().st_mode & 0o7777) == entry.mode, entry.path


def test_text_with_variables_is_written_into_the_dockerfile(tmp_path: Path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/dns.conf").write_text("origin ${zone}\n")
    (tmp_path / "conf/link").symlink_to("dns.conf")
    text = dockerfile(
        tmp_path,
        "files:\n  - {path: /etc/x, source: conf/, variables: {zone: example.com.}, group: formation, mode: '0640'}\n",
    )
    assert "printf '%s\\n' \\\n        'origin example.com.' > /etc/x/dns.conf" in text
    assert "install -d -o root -g formation -m 00750 /etc/x" in text
    assert "chmod 0640 /etc/x/dns.conf" in text
    assert "ln -sfn dns.conf /etc/x/link" in text
    assert "AS files" not in text


def test_only_text_that_stands_in_the_dockerfile_needs_to_be_there(tmp_path: Path):
    assert dockerfile(tmp_path, "files:\n  - {path: /x, source: target/x}\n  - {path: /y, source: y/}\n")
    with pytest.raises(DefinitionError, match="there is no 'conf'"):
        dockerfile(tmp_path, "files: [{path: /x, source: conf, variables: {}}]\n")


def test_what_stays_out_natively_stays_out_of_dockers_context(tmp_path: Path):
    service = define(
        tmp_path,
        "build: {results: [target/, 'a*b']}\nfiles:\n"
        "  - {path: /x, source: 'share[1]/', ignore: ['**/*.bak', /docs, '!docs/keep']}\n"
        "  - {path: /y, source: ./, ignore: ['*.o']}\n",
    )
    assert render_service(service)[".dockerignore"].splitlines()[1:] == [
        ".git",
        "target",
        r"a\*b",
        r"share\[1]/**/*.bak",
        r"share\[1]/docs",
        r"!share\[1]/docs/keep",
        "*.o",
    ]


def test_ports_health_and_commands_are_in_exec_form(tmp_path: Path):
    text = last_stage(
        dockerfile(
            tmp_path,
            "ports: [53/udp, 53]\nentrypoint: [/x, a b]\nstop_signal: SIGINT\nuser: app:adm\nusers: [{name: app}]\n"
            "health_check: {command: [dig, '@127.0.0.1'], interval: 90s, retries: 5}\n",
        )
    )
    assert "EXPOSE 53/udp 53/tcp\n" in text
    assert text.endswith(
        'USER app:adm\nSTOPSIGNAL SIGINT\nENTRYPOINT ["/x", "a b"]\nCMD []\n'
        "HEALTHCHECK --interval=1m30s --timeout=5s --start-period=10s --retries=5 \\\n"
        '    CMD ["dig", "@127.0.0.1"]\n'
    )
    assert text.index("useradd") < text.index("USER app")


def test_a_command_alone_keeps_the_bases_entrypoint(tmp_path: Path):
    text = last_stage(dockerfile(tmp_path, "command: [serve]\n"))
    assert 'CMD ["serve"]' in text
    assert "ENTRYPOINT" not in text
    assert "CMD" not in last_stage(dockerfile(tmp_path, ""))


@pytest.mark.parametrize(
    ("base", "image"),
    [
        ("docker://registry.example.com/formation/base:1.0.0", "registry.example.com/formation/base:1.0.0"),
        ("docker-daemon:formation/base:1.0.0", "formation/base:1.0.0"),
    ],
)
def test_docker_starts_from_what_it_can_pull(tmp_path: Path, base: str, image: str):
    text = dockerfile(tmp_path, "build: {}\n", HEAD.replace("formation/base:1.0.0", base))
    assert f"ARG BASE_IMAGE={image}\nARG BUILDER_IMAGE={image}-dev\n" in text


def test_docker_cannot_start_from_a_layout(tmp_path: Path):
    with pytest.raises(UsageError, match=r"formation\.yaml:4: docker build cannot start from oci:dir"):
        dockerfile(tmp_path, "", HEAD.replace("formation/base:1.0.0", "oci:dir"))


@pytest.mark.parametrize("name", SERVICES)
def test_no_instruction_needs_buildkit_and_every_run_is_shell(name: str):
    text = (ROOT / "services" / name / "Dockerfile").read_text()
    assert not any(word in text for word in ("--chmod", "--mount", "<<", "--link"))
    for part in text.split("\nRUN ")[1:]:
        script = part.replace("\\\n", "").splitlines()[0]
        subprocess.run(["sh", "-n", "-c", script], check=True)


def composed(directory: Path, bodies: dict[str, str]) -> list[Composed]:
    found = []
    for name, body in bodies.items():
        (directory / name).mkdir()
        service = define(directory / name, body, HEAD.replace("formation/test", f"formation/{name}"))
        found.append(Composed(service, f"./{name}"))
    return found


def test_every_service_runs_as_in_production(tmp_path: Path):
    text = render_services(
        composed(
            tmp_path,
            {
                "dns.one": "ports: [53/udp, 53/tcp, 8053]\nhealth_check: {command: [echo, $HOME]}\n",
                "api": "ports: [8080]\nvolumes: [/var/lib/formation/api, /var/log/formation]\n",
            },
        )
    )
    data = yaml.safe_load(text)
    for service in data["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["tmpfs"] == ["/tmp"]
        assert service["restart"] == "unless-stopped"
    dns, api = data["services"]["dns-one"], data["services"]["api"]
    assert dns["image"] == "formation/dns.one:1.2.3"
    assert dns["sysctls"] == {"net.ipv4.ip_unprivileged_port_start": "0"}
    assert dns["ports"] == [
        "${DNS_ONE_PORT_53:-53}:53/udp",
        "${DNS_ONE_PORT_53:-53}:53/tcp",
        "${DNS_ONE_PORT_8053:-8053}:8053/tcp",
    ]
    assert dns["healthcheck"]["test"] == ["CMD", "echo", "$$HOME"]
    assert "sysctls" not in api
    assert api["volumes"] == [
        "api-var-log-formation:/var/log/formation",
        "api-var-lib-formation-api:/var/lib/formation/api",
    ]
    assert list(data["volumes"]) == [
        "dns-one-var-log-formation",
        "api-var-log-formation",
        "api-var-lib-formation-api",
    ]


def test_a_service_that_can_have_no_dockerfile_is_not_built_by_compose(tmp_path: Path):
    native = service_in(tmp_path / "native", head=HEAD.replace("formation/base:1.0.0", "oci:../base"))
    docker = service_in(tmp_path / "docker", head=HEAD.replace("formation/test", "formation/api"))
    data = yaml.safe_load(render_services([Composed(native, "./native"), Composed(docker, "./docker")]))
    assert "build" not in data["services"]["test"]
    assert data["services"]["api"]["build"] == {"context": "./docker"}


def test_two_volumes_never_share_a_name(tmp_path: Path):
    text = render_services(composed(tmp_path, {"a": "volumes: [/b/c, /b-c]\n", "a-b": "volumes: [/c]\n"}))
    volumes = yaml.safe_load(text)["volumes"]
    mounts = [mount for each in yaml.safe_load(text)["services"].values() for mount in each["volumes"]]
    assert sorted(mount.partition(":")[0] for mount in mounts) == sorted(volumes)
    assert len(mounts) == 5


def test_a_port_that_is_taken_on_the_host_is_published_on_the_next_that_nobody_wants(tmp_path: Path):
    text = render_services(
        composed(
            tmp_path,
            {
                "a": "ports: [8080, 53/udp]\n",
                "b": "ports: [8080/tcp, 8080/udp, 53/tcp]\n",
                "c": "ports: [8081, 8080]\n",
                "d": "ports: [65535]\n",
                "e": "ports: [65535]\n",
            },
        )
    )
    ports = {name: each["ports"] for name, each in yaml.safe_load(text)["services"].items()}
    assert ports == {
        "a": ["${A_PORT_8080:-8080}:8080/tcp", "${A_PORT_53:-53}:53/udp"],
        "b": ["${B_PORT_8080:-8082}:8080/tcp", "${B_PORT_8080:-8082}:8080/udp", "${B_PORT_53:-53}:53/tcp"],
        "c": ["${C_PORT_8081:-8081}:8081/tcp", "${C_PORT_8080:-8083}:8080/tcp"],
        "d": ["${D_PORT_65535:-65535}:65535/tcp"],
        "e": ["${E_PORT_65535:-1024}:65535/tcp"],
    }
    assert '"${C_PORT_8080:-8083}:8080/tcp"  # 8080 of the host is a\'s\n' in text


def test_services_of_one_name_are_refused(tmp_path: Path):
    both = composed(tmp_path, {"a": "ports: [80]\n"})
    with pytest.raises(UsageError, match="are both the service 'a'"):
        render_services([*both, *both])


def test_the_committed_compose_file_is_the_rendering():
    services = ROOT / "services"
    text = render_services([Composed(load_service(services / name), f"./{name}") for name in ("form-dns", "form-api")])
    assert (services / "docker-compose.yml").read_text() == text, (
        "run: cd services && formation render compose form-dns form-api"
    )


def test_the_labels_that_tell_of_the_base_alone_are_replaced_or_emptied(tmp_path: Path):
    text = dockerfile(tmp_path, "labels: {org.opencontainers.image.source: 'https://example.com/$x', team: a}\n")
    assert "ARG SOURCE" not in text
    words = dict(
        shlex.split(line.replace("\\$", "$"))[0].split("=", 1)
        for line in text.partition("LABEL ")[2].split(" \\\n")[:-1]
    )
    prefix = "org.opencontainers.image."
    assert {name.removeprefix(prefix): value for name, value in words.items()} == {
        "base.digest": "${BASE_DIGEST}",
        "base.name": "${BASE_IMAGE}",
        "created": "",
        "description": "",
        "documentation": "",
        "ref.name": "",
        "revision": "${REVISION}",
        "source": "https://example.com/$x",
        "title": "formation/test",
        "url": "",
        "version": "1.2.3",
    }


def test_what_was_compiled_before_is_for_other_dockerfiles_and_not_for_the_builder(tmp_path: Path):
    service = define(tmp_path, "build: {results: [target/]}\nfiles: [{path: /usr/bin/x, source: 'target/x[1]'}]\n")
    rendered = render_service(service)
    assert rendered[".dockerignore"].splitlines()[-2:] == ["target", r"!target/x\[1]"]
    assert "rm -rf 'target/x[1]'; " in rendered["Dockerfile"].partition("AS files")[0]
