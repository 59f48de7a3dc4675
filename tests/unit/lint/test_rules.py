"""Every rule finds what breaks it, at its place, and nothing in files that keep it."""

import os
import textwrap
from pathlib import Path

import pytest

from formation.lint.configuration import Configuration
from formation.lint.rules import RULES, rules_table
from linting import COMPOSE, POD, SERVICE, findings, rules

DOCUMENTATION = Path(__file__).parents[3] / "docs/lint.md"
BEGIN, END = "<!-- rules: made from src/formation/lint/rules.py -->\n", "<!-- end of rules -->\n"


def with_lines(*lines: str) -> str:
    """SERVICE with `lines` as its second and following."""
    return SERVICE.replace("\nUSER", "\n" + "\n".join(lines) + "\nUSER")


def install(arguments: str) -> str:
    return with_lines(f"RUN apt-get update && apt-get install {arguments} && rm -rf /var/lib/apt/lists/*")


BROKEN_DOCKERFILES = [
    ("FL001", 2, 1, with_lines("INSTALL curl")),
    ("FL001", 2, 1, with_lines("ONBUILD FROM x")),
    ("FL001", 2, 9, with_lines("RUN cat <<EOF")),
    ("FL001", 1, 1, "# nothing\n"),
    ("FL001", 1, 1, "RUN true\n" + SERVICE),
    ("FL001", 1, 6, SERVICE.replace("formation/base", "Formation/Base")),
    ("FL001", 1, 6, SERVICE.replace(":1.0.0", ":1.0.0 AS")),
    ("FL001", 2, 1, with_lines("COPY --from=x/y@sha256:abc /a /b")),
    ("FL002", 1, 6, SERVICE.replace("formation/base:1.0.0", "debian:13.1-slim")),
    ("FL002", 1, 6, SERVICE.replace("formation/base:1.0.0", "scratch")),
    ("FL002", 1, 6, SERVICE.replace("formation/base", "evil/formation-base")),
    ("FL003", 1, 6, SERVICE.replace(":1.0.0", "")),
    ("FL003", 1, 6, SERVICE.replace(":1.0.0", ":latest")),
    ("FL003", 1, 6, SERVICE.replace(":1.0.0", ":1")),
    ("FL003", 1, 6, SERVICE.replace(":1.0.0", ":1.0")),
    ("FL003", 1, 6, SERVICE.replace(":1.0.0", ":1.0-dev")),
    ("FL003", 1, 6, SERVICE.replace("formation/base:1.0.0", "registry.example.com:5000/formation/base")),
    ("FL003", 2, 6, "ARG BASE\n" + SERVICE.replace("formation/base:1.0.0", "${BASE}")),
    ("FL003", 2, 6, "ARG VERSION=latest\n" + SERVICE.replace(":1.0.0", ":${VERSION}")),
    ("FL003", 1, 6, "FROM formation/base:1-dev AS build\n" + SERVICE),
    ("FL004", 1, 6, "FROM rust AS build\n" + SERVICE),
    ("FL004", 1, 6, "FROM rust:latest AS build\n" + SERVICE),
    ("FL004", 2, 1, with_lines("COPY --from=ghcr.io/astral-sh/uv /uv /usr/local/bin/")),
    ("FL005", 1, 6, SERVICE.replace("1.0.0", "9.9.9")),
    ("FL010", 1, 1, SERVICE.replace("USER formation\n", "")),
    ("FL010", 2, 1, SERVICE.replace("USER formation", "USER root")),
    ("FL010", 2, 1, SERVICE.replace("USER formation", "USER 0:1000")),
    ("FL010", 2, 1, SERVICE.replace("USER formation", "user 00")),
    ("FL010", 3, 1, SERVICE.replace("USER formation", "ARG U\nUSER $U")),
    ("FL010", 4, 1, SERVICE.replace("USER formation", "ARG U\nENV USER_NAME=$U\nUSER ${USER_NAME}:adm")),
    ("FL010", 3, 1, "ARG U\n" + SERVICE.replace("USER formation", "USER ${U:-root}")),
    ("FL010", 3, 1, SERVICE.replace("\nENTRY", "\nUSER root\nENTRY")),
    ("FL012", 1, 1, SERVICE.partition("HEALTHCHECK")[0]),
    ("FL012", 4, 1, SERVICE.partition("HEALTHCHECK")[0] + "HEALTHCHECK NONE\n"),
    ("FL013", 3, 1, SERVICE.replace('["/usr/local/bin/service"]\n', "service --verbose\n")),
    ("FL013", 3, 1, SERVICE.replace('ENTRYPOINT ["/usr/local/bin/service"]', "CMD service $OPTIONS")),
    ("FL013", 3, 1, SERVICE.replace('["/usr/local/bin/service"]', "['/usr/local/bin/service']")),
    ("FL020", 2, 13, with_lines("RUN apt-get update && apt-get install -y --no-install-recommends curl")),
    ("FL020", 2, 13, with_lines('RUN bash -c "apt-get update && apt-get install -y --no-install-recommends jq"')),
    ("FL020", 2, 26, with_lines("RUN bash -eo pipefail -c 'sh -c \"apt-get update\"'")),
    ("FL021", 2, 12, with_lines("RUN sh -ec 'apt-get update; apt-get install -y jq; rm -r /var/lib/apt/lists/*'")),
    ("FL020", 3, 9, with_lines("RUN <<EOF", "apt-get update", "EOF")),
    ("FL021", 2, 31, install("-y curl")),
    ("FL022", 2, 66, install("-y --no-install-recommends curl=8.14.1-2")),
    ("FL023", 2, 31, install("curl").replace("install curl", "upgrade -y")),
    ("FL024", 2, 13, with_lines("RUN apt-get install -y --no-install-recommends curl")),
    ("FL030", 2, 5, with_lines("ENV DB_PASSWORD=hunter22")),
    ("FL030", 2, 5, with_lines("ENV API_KEY hunter22")),
    ("FL030", 3, 5, with_lines("ENV A=1 \\", "    TOKEN=hunter22")),
    ("FL030", 2, 5, with_lines("ARG NPM_TOKEN")),
    ("FL030", 2, 15, with_lines("RUN git clone https://me:hunter22@git.example.com/x")),
    ("FL030", 3, 1, with_lines("COPY <<EOF /k", "-----BEGIN RSA PRIVATE KEY-----", "EOF")),
    ("FL030", 2, 10, with_lines("RUN echo AKIAABCDEFGHIJKLMNOP")),
    ("FL031", 2, 1, with_lines("COPY conf/id_ed25519 /etc/")),
    ("FL031", 2, 1, with_lines('COPY [".env", "/app/"]')),
    ("FL031", 2, 1, with_lines("COPY --chown=a:b server.key /etc/")),
    ("FL040", 2, 1, with_lines("ADD conf /etc/")),
    ("FL040", 2, 1, with_lines("ADD app.tar.gz /app/")),
    ("FL041", 3, 5, with_lines("COPY a /usr/local/bin/a", "RUN chmod 755 /usr/local/bin/a")),
    ("FL041", 4, 21, with_lines("WORKDIR /app", "COPY a b ./", "RUN set -eux; cd /; chown -R x:y /app")),
    ("FL041", 3, 5, with_lines("COPY a /srv/", "RUN chown x /srv/a")),
    ("FL042", 2, 1, with_lines("VOLUME /var/log/service")),
    ("FL042", 2, 1, with_lines('VOLUME ["/data", "/app/logs/"]')),
    ("FL060", 2, 1, with_lines("# formation-lint ignore=FL010 not broken")),
    ("FL060", 2, 1, with_lines("# formation-lint ignore=FL999 no such rule")),
    ("FL060", 2, 1, with_lines("# formation-lint: off")),
    ("FL060", 1, 1, "# formation-lint ignore=FL010\n" + SERVICE.replace("USER formation\n", "")),
]  # fmt: skip


def changed(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


BROKEN_COMPOSE = [
    ("FL001", 3, 1, changed(COMPOSE, "    image", "\timage")),
    ("FL001", 9, 3, COMPOSE + "  web: {}\n"),
    ("FL001", 3, 5, changed(COMPOSE, ":1.0.0", "@sha256:abc")),
    ("FL004", 3, 5, changed(COMPOSE, ":1.0.0", "")),
    ("FL004", 3, 5, changed(COMPOSE, ":1.0.0", ":latest")),
    ("FL004", 3, 5, changed(COMPOSE, ":1.0.0", ":1")),
    ("FL004", 3, 5, changed(COMPOSE, ":1.0.0", ":${TAG:-latest}")),
    ("FL010", 9, 5, COMPOSE + "    user: root\n"),
    ("FL010", 9, 5, COMPOSE + "    user: 0\n"),
    ("FL010", 9, 5, COMPOSE + '    user: "0:0"\n'),
    ("FL012", 4, 5, changed(COMPOSE, '{test: [CMD, "true"]}', "{disable: true}")),
    ("FL012", 4, 5, changed(COMPOSE, '{test: [CMD, "true"]}', "{disable: Y}")),
    ("FL012", 4, 5, changed(COMPOSE, '{test: [CMD, "true"]}', '{test: ["NONE"]}')),
    ("FL012", 2, 3, changed(COMPOSE, '    healthcheck: {test: [CMD, "true"]}\n', "")),
    ("FL030", 10, 7, COMPOSE + "    environment:\n      DB_PASSWORD: hunter22\n"),
    ("FL030", 10, 9, COMPOSE + "    environment:\n      - DB_PASSWORD=hunter22\n"),
    ("FL030", 9, 19, COMPOSE + "    command: [-u, postgres://me:hunter22@db/x]\n"),
    ("FL042", 2, 3, changed(COMPOSE, "logs:/var/log/formation", "logs:/var/log/formatio")),
    ("FL050", 2, 3, changed(COMPOSE, "    read_only: true\n", "")),
    ("FL050", 2, 3, changed(COMPOSE, "read_only: true", "read_only: 'yes'")),
    ("FL051", 2, 3, changed(COMPOSE, "[ALL]", "[NET_RAW]")),
    ("FL052", 9, 15, COMPOSE + "    cap_add: [CAP_SYS_ADMIN]\n"),
    ("FL053", 2, 3, changed(COMPOSE, '    security_opt: ["no-new-privileges:true"]\n', "")),
    ("FL054", 9, 5, COMPOSE + "    privileged: true\n"),
    ("FL054", 9, 5, COMPOSE + "    privileged: yes\n"),
    ("FL054", 9, 5, COMPOSE + "    privileged: On\n"),
    ("FL055", 9, 5, COMPOSE + "    network_mode: host\n"),
    ("FL055", 9, 5, COMPOSE + "    pid: host\n"),
    ("FL056", 8, 42, changed(COMPOSE, "formation\"]", 'formation", "/run/docker.sock:/x"]')),
    ("FL056", 8, 42, changed(COMPOSE, "formation\"]", 'formation", {type: bind, source: /, target: /x}]')),
    ("FL057", 7, 46, changed(COMPOSE, 's:true"]', 's:true", seccomp=unconfined]')),
    ("FL060", 9, 21, COMPOSE + "    restart: always # formation-lint ignore=FL050 not broken\n"),
]  # fmt: skip

BROKEN_PODS = [
    ("FL001", 5, 10, changed(POD, "true}\n  volumes", "true\n  volumes")),
    ("FL004", 8, 7, changed(POD, "web:1.0.0", "web")),
    ("FL010", 4, 41, changed(POD, "runAsNonRoot: true}", "runAsNonRoot: true, runAsUser: 0}")),
    ("FL011", 7, 7, changed(POD, "{runAsNonRoot: true}", "{}")),
    ("FL011", 14, 9, changed(POD, "      volumeMounts", "        runAsNonRoot: false\n      volumeMounts")),
    ("FL012", 7, 7, changed(POD, '      livenessProbe: {exec: {command: ["true"]}}\n', "")),
    ("FL030", 16, 11, POD + "      env: [{name: API_TOKEN,\n          value: hunter22}]\n"),
    ("FL030", 4, 8, "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\ndata: {\"password\": hunter22}\n"),
    ("FL032", 3, 1, "apiVersion: v1\nkind: Secret\nstringData: {a: b}\n"),
    ("FL042", 7, 7, changed(POD, "mountPath: /var/log/formation", "mountPath: /data")),
    ("FL050", 10, 7, changed(POD, "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false")),
    ("FL051", 10, 7, changed(POD, "[ALL]", "[KILL]")),
    ("FL052", 13, 43, changed(POD, "{drop: [ALL]}", "{drop: [ALL], add: [SYS_ADMIN]}")),
    ("FL053", 10, 7, changed(POD, "        allowPrivilegeEscalation: false\n", "")),
    ("FL054", 11, 9, changed(POD, "        readOnly", "        privileged: true\n        readOnly")),
    ("FL055", 4, 3, changed(POD, "  securityContext: {", "  hostNetwork: true\n  securityContext: {")),
    ("FL055", 4, 3, changed(POD, "  securityContext: {", "  hostNetwork: yes\n  securityContext: {")),
    ("FL056", 5, 26, changed(POD, "emptyDir: {}", "hostPath: {path: /var/run/docker.sock}")),
    ("FL057", 11, 9, changed(POD, "        readOnly", "        seccompProfile: {type: Unconfined}\n        readOnly")),
]  # fmt: skip

SOUND = [
    SERVICE,
    SERVICE.replace(":1.0.0", ":1.0.0@sha256:" + "a" * 64),
    SERVICE.replace(":1.0.0", "@sha256:" + "a" * 64),
    SERVICE.replace("formation/base", "registry.example.com/formation/base"),
    "ARG VERSION=1.0.0\n" + SERVICE.replace("1.0.0", "${VERSION}"),
    "ARG BASE=formation/base\nARG ALL=${BASE:-x}:1.0.0\n" + SERVICE.replace("formation/base:1.0.0", "$ALL"),
    "FROM rust:1.90 AS build\nRUN apt-get update && apt-get install -y x=1\nCMD x\nVOLUME /var/log\n" + SERVICE,
    SERVICE.replace("FROM formation/base:1.0.0\n", "FROM formation/base:1.0.0 AS One\nUSER root\nFROM one\n"),
    "FROM formation/base:1.0.0 AS b\nUSER formation\nHEALTHCHECK CMD x\nENTRYPOINT [\"x\"]\nFROM b\n",
    SERVICE.replace("USER formation", "ARG USER_NAME=formation\nUSER ${USER_NAME}"),
    SERVICE.replace("USER formation", "USER $A_VARIABLE_OF_THE_BASE"),
    SERVICE.replace("USER formation", "ARG TEAM\nUSER form-$TEAM"),
    SERVICE.replace('["/usr/local/bin/service"]\n', '["service"]\nCMD []\n'),
    SERVICE.replace("HEALTHCHECK", "HEALTHCHECK --interval=10s \\\n   "),
    with_lines("COPY --from=0 /a /b", "COPY --from=formation/tool:1.0.0 /a /b"),
    install("-y --no-install-recommends curl"),
    install("-y curl -o APT::Install-Recommends=false"),
    with_lines(
        "RUN --mount=type=cache,target=/var/lib/apt \\",
        "  apt-get update && apt-get install -y --no-install-recommends x",
    ),
    with_lines("RUN apt-get update; find /var/lib/apt/lists -type f -delete"),
    with_lines("ENV DB_PASSWORD_FILE=/run/secrets/db TOKEN_TTL=30 PASSWORD= API_TOKEN=${API_TOKEN}"),
    with_lines("ARG VERSION", "ARG GREETING='password'"),
    with_lines("COPY .env.example ca.pem key.c /app/", "COPY <<EOF /app/id_rsa.pub", "x", "EOF"),
    with_lines("ADD https://example.com/x /x", "ADD git@github.com:a/b.git /b"),
    with_lines("COPY a /a", "RUN chmod 755 /b"),
    with_lines("RUN chmod 755 /a", "COPY a /a"),
    with_lines('VOLUME ["/var/log/formation", "/var/lib/x"]'),
    with_lines("RUN echo 'apt-get update' \"; apt-get upgrade\" # apt-get upgrade"),
    SERVICE.replace("USER formation\n", "# formation-lint ignore=FL010 it opens raw sockets\nUSER root\n"),
    SERVICE.replace("\n", "\r\n"),
    "\ufeff" + SERVICE,
]  # fmt: skip


def place_and_rule(text, kind):
    published = {"formation/base:9.9.9": False}
    return [(each.rule, each.line, each.column) for each in findings(text, kind, published=published)]


@pytest.mark.parametrize(("rule", "line", "column", "text"), BROKEN_DOCKERFILES)
def test_a_dockerfile_that_breaks_a_rule_is_found_at_its_place(rule, line, column, text):
    assert (rule, line, column) in place_and_rule(text, "Dockerfile")


@pytest.mark.parametrize(("rule", "line", "column", "text"), BROKEN_COMPOSE)
def test_a_compose_file_that_breaks_a_rule_is_found_at_its_place(rule, line, column, text):
    assert (rule, line, column) in place_and_rule(text, "compose")


@pytest.mark.parametrize(("rule", "line", "column", "text"), BROKEN_PODS)
def test_a_manifest_that_breaks_a_rule_is_found_at_its_place(rule, line, column, text):
    assert (rule, line, column) in place_and_rule(text, "Kubernetes")


COMPOSE_HEALTH = '    healthcheck: {test: [CMD, "true"]}\n'
HARD = "x-hard: &hard\n  read_only: true\n  cap_drop: [all]\n"
SPEC = POD.partition("spec:\n")[2].replace('      livenessProbe: {exec: {command: ["true"]}}\n', "")
JOB = "apiVersion: batch/v1\nkind: Job\nspec:\n  template:\n    spec:\n" + textwrap.indent(SPEC, "    ")


@pytest.mark.parametrize("text", SOUND)
def test_a_dockerfile_that_keeps_the_rules_has_no_findings(text):
    assert findings(text) == ()


@pytest.mark.parametrize(
    "text",
    [
        COMPOSE,
        COMPOSE.replace("formation/web:1.0.0", "postgres:16").replace('    volumes: ["logs:/var/log/formation"]\n', ""),
        COMPOSE.replace(":1.0.0", ":${TAG}"),
        COMPOSE.replace(":1.0.0", "@sha256:${DIGEST}"),
        COMPOSE.replace("true\n", "on\n"),
        COMPOSE.replace("image: formation/web:1.0.0", "build: .").replace(COMPOSE_HEALTH, ""),
        HARD + COMPOSE.replace("read_only: true", "<<: *hard").replace("    cap_drop: [ALL]\n", ""),
        "services:\n  web:\n    restart: always\n",
        "services:\n  web:\n    image: a:1\n    extends: {service: b}\n    ports: !reset []\n",
        COMPOSE + "    environment: {DB_PASSWORD: '${DB_PASSWORD}', TOKEN_FILE: /run/secrets/token, TOKEN: }\n",
        COMPOSE.replace("    read_only: true\n", "").replace("  web:", "  # formation-lint ignore=FL050 why\n  web:"),
        COMPOSE.replace("]\n    vol", ', "apparmor:mine"]\n    vol'),
    ],
)  # fmt: skip
def test_a_compose_file_that_keeps_the_rules_has_no_findings(text):
    assert findings(text, "compose") == ()


@pytest.mark.parametrize(
    "text",
    [
        POD,
        "%YAML 1.1\n---\n# nothing\n---\n" + POD + "---\nkind: Service\nspec: {{not yaml\n...\n",
        POD.replace("true\n", "YES\n").replace("true}\n", "yes}\n").replace("false\n", "no\n"),
        JOB,
        "apiVersion: v1\nkind: List\nitems:\n- " + POD.replace("\n", "\n  ").rstrip() + "\n",
        POD.replace("livenessProbe", "readinessProbe"),
        "apiVersion: v1\nkind: Secret\nmetadata: {name: filled-later}\n",
    ],
)  # fmt: skip
def test_a_manifest_that_keeps_the_rules_has_no_findings(text):
    assert findings(text, "Kubernetes") == ()


def test_every_rule_has_a_file_that_breaks_it():
    broken = {case[0] for case in (*BROKEN_DOCKERFILES, *BROKEN_COMPOSE, *BROKEN_PODS)}
    # FL006 needs a configuration: test_configuration.py.
    assert broken == set(RULES) - {"FL006"}


def test_a_base_s_own_dockerfile_is_no_service(tmp_path):
    from formation.lint.lint import lint_target
    from linting import target, world

    text = "FROM debian:trixie-slim\nRUN apt-get update && apt-get upgrade -y\nCMD sh\nENV A_TOKEN=hunter22\n"
    (tmp_path / "formation.yaml").write_text("kind: base\nname: formation/base\n")
    result = lint_target(target(text, directory=tmp_path), world())
    assert [each.rule for each in result.findings] == ["FL020", "FL030"]
    (tmp_path / "formation.yaml").write_text("kind: service\nname: formation/x\n")
    assert len(lint_target(target(text, directory=tmp_path), world()).findings) > 4


def test_the_documentation_lists_the_rules():
    text = DOCUMENTATION.read_text()
    before, _, rest = text.partition(BEGIN)
    made = before + BEGIN + "\n" + rules_table() + "\n" + END + rest.partition(END)[2]
    if os.environ.get("REWRITE_GOLDENS") == "1":
        DOCUMENTATION.write_text(made)
    assert DOCUMENTATION.read_text() == made


def test_several_rules_are_found_at_once():
    assert rules("FROM debian\nADD a /a\n") == ["FL010", "FL012", "FL002", "FL004", "FL040"]


def test_docker_s_image_of_the_name_of_a_base_is_not_held_to_ours():
    ours = Configuration(bases=("formation/base", "debian"))
    used = with_lines("COPY --from=debian:trixie-slim /a /b")
    assert rules(used, configuration=ours) == []
    assert rules(used.replace("debian:trixie-slim", "formation/base:1.0"), configuration=ours) == ["FL004"]


def test_a_version_that_the_store_does_not_have_beside_others_is_told_of():
    (found,) = findings(SERVICE, stored=("1.1.0", "1.2.0"))
    assert (found.rule, found.severity) == ("FL005", "info")
    assert (
        found.message
        == "the store has no formation/base:1.0.0, and nothing else says that there is one; it has 1.1.0, 1.2.0"
    )
    assert findings(SERVICE, stored=("1.1.0",), published={"formation/base:1.0.0": True}) == ()


def test_a_file_that_is_not_text_is_told_once_and_its_bytes_are_not_printed():
    (binary,) = findings(b"\x7fELF\x00\x01\xff\nX Y\n")
    assert (binary.rule, binary.message) == ("FL001", "the file is not text")
    odd = findings(SERVICE + "\udcff\udcfe x\n")
    assert "the line is not text" in [each.message for each in odd]
