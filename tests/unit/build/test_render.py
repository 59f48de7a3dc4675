"""A definition as a Dockerfile and a compose file."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from formation.build.dockerfile import copied, double_quoted, written
from formation.build.render import render_base, render_compose, render_dockerfile
from formation.definition.ignore import Ignored
from formation.definition.load import load_definition
from formation.definition.values import Definition
from formation.errors import UsageError

ROOT = Path(__file__).parents[3]
KEPT = ["-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"]
HEAD = "kind: base\nname: example/test.image\nversion: 1.2.3\ndistribution: debian/trixie\n"


@pytest.fixture
def base() -> Definition:
    return load_definition(ROOT / "docker/base")


def define(directory: Path, body: str, head: str = HEAD) -> Definition:
    (directory / "formation.yaml").write_text(head + body)
    return load_definition(directory)


def steps(dockerfile: str, stage: str) -> list[list[str]]:
    """The words of each shell command of a stage's RUNs."""
    body = dockerfile.split(f" AS {stage}\n")[1].split("\nFROM ")[0].replace("\\\n", "")
    runs = [line.removeprefix("RUN ") for line in body.splitlines() if line.startswith("RUN ")]
    words = shlex.split(" ; ".join(runs).replace(";", " ; "), comments=False) if runs else []
    commands: list[list[str]] = [[]]
    for word in words:
        if word == ";":
            commands.append([])
        else:
            commands[-1].append(word)
    return commands


def test_the_committed_files_are_the_rendering(base: Definition):
    hint = "run: formation render docker/base"
    rendered = render_base(base)
    assert set(rendered) == {"Dockerfile", ".dockerignore", "docker-compose.yml"}
    for name, text in rendered.items():
        assert (ROOT / "docker/base" / name).read_text() == text, hint


def test_docker_gets_what_the_dockerfile_copies_and_nothing_else(tmp_path: Path):
    for name in ("etc/a b.conf", "etc/[c]*.conf", "keys/site.asc", "vendor/curl.deb"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    definition = define(
        tmp_path,
        "archives: [{name: site, uri: 'http://example.com', suites: [s], keys: [./keys/site.asc]}]\n"
        "files:\n  - {path: /a, source: etc/a b.conf}\n"
        "variants:\n  dev: {files: [{path: /c, source: 'etc/[c]*.conf'}, {path: /d, content: x}]}\n",
    )
    allowed = ["!etc/\\[c]\\*.conf", "!etc/a b.conf", "!keys/site.asc"]
    assert render_base(definition)[".dockerignore"].splitlines()[1:] == ["*", *allowed]
    ignored = Ignored(["*", *allowed])
    names = ("etc/a b.conf", "etc/[c]*.conf", "keys/site.asc", "vendor/curl.deb", "etc/cc.conf", "formation.lock")
    assert [name for name in names if name not in ignored] == list(names[:3])


def test_what_is_built_by_default_is_the_runtime_variant(base: Definition):
    starts = [line for line in render_dockerfile(base).splitlines() if line.startswith("FROM ")]
    assert starts == ["FROM ${BASE_IMAGE} AS runtime", "FROM runtime AS dev", "FROM runtime"]


def test_every_request_is_installed_and_nothing_recommended(base: Definition):
    text = render_dockerfile(base)
    for variant in base.variants[:2]:
        (install,) = [words for words in steps(text, variant.name) if words[:2] == ["apt-get", "install"]]
        assert install[2:8] == ["-y", "--no-install-recommends", *KEPT]
        assert sorted(install[8:]) == sorted(map(str, variant.packages))


@pytest.mark.parametrize(
    ("architecture", "installed"),
    [("amd64", "curl bash- jq:amd64 yq:amd64=4.1-1"), ("arm64", "curl bash- gdb:arm64"), ("s390x", "curl bash-")],
)
def test_a_request_for_one_architecture_is_installed_there_alone(tmp_path: Path, architecture: str, installed: str):
    requests = "[curl, 'yq:amd64=4.1-1', 'gdb:arm64', 'jq:amd64', -bash]"
    definition = define(tmp_path, f"architectures: [amd64, arm64, s390x]\npackages: {requests}\n")
    text = render_dockerfile(definition).replace("\\\n", "")
    case = text[text.index("case ") : text.index("esac;") + 5]
    install = text[text.index("apt-get install") :].partition(";")[0]
    for name, script in (("dpkg", f"echo {architecture}"), ("apt-get", 'echo "$*"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    shell = ["/bin/sh", "-euc", f"{case} {install}"]
    ran = subprocess.run(shell, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=True)
    expected = ["install", "-y", "--no-install-recommends", *KEPT, *installed.split()]
    assert sorted(ran.stdout.split()) == sorted(expected)


def test_what_is_left_out_is_configured_before_anything_is_installed(base: Definition):
    text = render_dockerfile(base)
    assert text.index("> /etc/dpkg/dpkg.cfg.d/formation") < text.index("apt-get update") < text.index("apt-get install")


def test_accounts_come_before_the_directories_that_they_own(base: Definition):
    commands = [words[:2] for words in steps(render_dockerfile(base), "runtime")]
    group, user = commands.index(["getent", "group"]), commands.index(["getent", "passwd"])
    assert group < user < commands.index(["install", "-d"])


def test_no_instruction_needs_buildkit(base: Definition):
    text = render_dockerfile(base)
    assert "--chmod" not in text
    assert "--mount" not in text
    assert "<<" not in text


def test_every_run_is_a_shell_script_without_syntax_errors(base: Definition):
    body = render_dockerfile(base)
    scripts = [part.split("\nLABEL")[0] for part in body.split("\nRUN ")[1:]]
    assert len(scripts) == 2
    for script in scripts:
        subprocess.run(["sh", "-n", "-c", script], check=True)


def test_compose_builds_both_variants_under_names_of_their_own(base: Definition):
    services = yaml.safe_load(render_compose(base))["services"]
    assert {name: (each["image"], each["build"]["target"]) for name, each in services.items()} == {
        "base": ("formation/base:latest", "runtime"),
        "base-dev": ("formation/base:latest-dev", "dev"),
    }


def test_a_service_name_has_no_dot(tmp_path: Path):
    assert list(yaml.safe_load(render_compose(define(tmp_path, "")))["services"]) == ["test-image"]


def test_a_variant_says_only_what_it_changes(tmp_path: Path):
    text = render_dockerfile(
        define(
            tmp_path,
            "user: nobody\nenvironment: {A: x}\ncommand: [sh]\n"
            "variants: {dev: {packages: [gcc], environment: {B: y}, stop_signal: SIGINT}}\n",
        )
    )
    stage = text.split("FROM runtime AS dev\n")[1].split("\nFROM")[0].splitlines()
    assert stage[0] == "USER root"
    assert stage[-3:] == ['ENV B="y"', "USER nobody", "STOPSIGNAL SIGINT"]


def test_an_entrypoint_without_command_resets_the_starting_images_command(tmp_path: Path):
    assert 'ENTRYPOINT ["/usr/bin/tool"]\nCMD []\n' in render_dockerfile(
        define(tmp_path, "entrypoint: /usr/bin/tool\n")
    )
    assert render_dockerfile(define(tmp_path, "")).endswith("CMD []\n")


def test_fixed_ids_and_memberships_are_kept(tmp_path: Path):
    text = render_dockerfile(
        define(tmp_path, "users: [{name: a, uid: 700, groups: [adm, tty], comment: 'A b'}, {name: c, system: false}]\n")
    )
    commands = steps(text, "runtime")
    created = [words[words.index("||") + 1 :] for words in commands if words[:1] == ["getent"]]
    assert created[0] == ["groupadd", "--system", "--gid", "700", "a"]
    first, second = [words for words in created if words[0] == "useradd"]
    assert first[:6] == ["useradd", "--system", "--uid", "700", "--gid", "a"]
    assert first[first.index("--comment") + 1] == "A b"
    assert "SUB_UID_COUNT=0" in second
    assert ["usermod", "--append", "--groups", "adm,tty", "a"] in commands


@pytest.mark.parametrize(
    ("line", "ran"),
    [
        (None, ["groupadd --system --gid 700 q", "groupadd --system p", "useradd", "usermod --append --groups p u"]),
        ("x:700:", ["usermod --append --groups p u"]),
        ("x:701:", ["groupadd --system --gid 700 q", "usermod --append --groups p u"]),
    ],
)
def test_accounts_that_a_package_made_are_left(tmp_path: Path, line: str | None, ran: list[str]):
    """As the native build does it; groupadd fails for one that is there with another id."""
    declared = "groups: [{name: p}, {name: q, gid: 700}]\nusers: [{name: u, group: p, groups: [p]}]\n"
    commands = render_dockerfile(define(tmp_path, declared)).replace("\\\n", "").split(";")
    script = "\n".join(each for each in commands if "getent" in each or "usermod" in each)
    found = "exit 2" if line is None else f'echo "$2:{line}"'
    for name in ("getent", "groupadd", "useradd", "usermod"):
        does = found if name == "getent" else f'echo {name} "$@"'
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    shell = ["/bin/sh", "-euc", script]
    output = subprocess.run(
        shell, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=True
    )
    told = output.stdout.splitlines()
    assert [each if each.split()[0] != "useradd" else "useradd" for each in told] == ran


def test_nothing_below_a_directory_with_setgid_takes_its_group(tmp_path: Path):
    text = render_dockerfile(
        define(
            tmp_path,
            "directories: [{path: /srv/shared, group: adm, mode: '2775'}, {path: /srv/shared/own}]\n"
            "files: [{path: /srv/shared/file, content: x}]\n",
        )
    )
    commands = steps(text, "runtime")
    assert ["install", "-d", "-o", "root", "-g", "root", "-m", "00755", "/srv/shared/own"] in commands
    assert ["chown", "root:root", "/srv/shared/file"] in commands


def test_a_left_out_package_is_told_to_apt_in_every_variant(tmp_path: Path):
    text = render_dockerfile(define(tmp_path, "packages: [curl, -wget]\nvariants: {dev: {packages: [gcc]}}\n"))
    for stage in ("runtime", "dev"):
        (install,) = [words for words in steps(text, stage) if words[:2] == ["apt-get", "install"]]
        assert install[-1] == "wget-"


def test_a_private_archive_brings_its_key_before_apt_reads_it(tmp_path: Path):
    (tmp_path / "own.asc").write_text("key")
    text = render_dockerfile(
        define(tmp_path, "archives: [{name: own, uri: 'https://packages.example.com', suites: [x], keys: [own.asc]}]\n")
    )
    assert text.index('COPY ["own.asc", "/etc/apt/keyrings/own.asc"]') < text.index("RUN ")
    assert "chmod 0644 /etc/apt/keyrings/own.asc" in text
    assert "> /etc/apt/sources.list.d/own.sources" in text


MORE = "archives: [{{name: more, uri: '{}://example.com/debian', suites: [trixie], keys: [debian-trixie]}}]\n"
VARIANTS = "variants: {dev: {packages: [gcc]}, empty: {environment: {A: b}}}\n"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_certificates_come_before_apt_needs_them_and_go_where_nobody_asked_for_them(tmp_path: Path, scheme: str):
    text = render_dockerfile(define(tmp_path, f"{MORE.format(scheme)}packages: [curl]\n{VARIANTS}"))
    for name, needed in (("runtime", scheme == "https"), ("dev", scheme == "https"), ("empty", False)):
        stage = text.partition(f" AS {name}\n")[2].partition("\nFROM ")[0]
        places = [stage.find(step) for step in ("ca-certificates.crt || {", "\n    apt-get update", "apt-get purge")]
        assert (min(places) >= 0) == needed
        if needed:
            assert places == sorted(places) and places[2] < stage.index("rm -rf /var/lib/apt/lists/")
    runtime = text.partition(" AS dev\n")[0]
    assert runtime.find("ca-certificates.crt || {") < runtime.index("rm -f /etc/apt/sources.list ")


def test_without_packages_apt_is_run_for_nothing(tmp_path: Path):
    assert "apt-get" not in render_dockerfile(define(tmp_path, MORE.format("https")))


@pytest.mark.parametrize(
    ("brought", "unneeded", "purged"),
    [
        ("", "old new", ""),
        ("Inst openssl (3 [amd64])\nInst ca-certificates (1 [all])\n", "", ""),
        ("Inst openssl (3 [amd64])\nInst ca-certificates (1 [all])\n", "old ca-certificates", "ca-certificates"),
        ("Inst openssl [2] (3 [amd64])\nInst ca-certificates (1 [all])\n", "openssl openssl-more", ""),
        ("Inst openssl (3 [amd64])\nInst tool (1 [all])\n", "openssl tool openssl-more", "openssl tool"),
    ],
)
def test_of_what_came_for_the_certificates_only_what_nothing_needs_is_purged(
    tmp_path: Path, brought: str, unneeded: str, purged: str
):
    said = "Reading...\n" + "".join(f"Remv {name} [1.0]\n" for name in unneeded.split())
    apt = tmp_path / "bin" / "apt-get"
    apt.parent.mkdir()
    apt.write_text(f'#!/bin/sh\n[ "$1" = autoremove ] && echo {shlex.quote(said)} || echo "$@" >> {tmp_path}/ran\n')
    apt.chmod(0o755)
    text = render_dockerfile(define(tmp_path, f"{MORE.format('https')}packages: [curl]\n"))
    start = text.index("unneeded=")
    steps = text[start : text.index("apt-get clean")].replace("\\\n", "").rstrip(" ;")
    script = f"set -eu; brought={shlex.quote(brought)}; {steps}"
    subprocess.run(["sh", "-c", script], check=True, env={"PATH": f"{apt.parent}:/usr/bin:/bin"})
    ran = (tmp_path / "ran").read_text().splitlines() if (tmp_path / "ran").exists() else []
    assert ran == [f"purge -y {name}" for name in purged.split()]


def test_a_source_file_is_copied_with_its_owner_and_mode(tmp_path: Path):
    (tmp_path / "tool.conf").write_text("x")
    text = render_dockerfile(
        define(tmp_path, "files: [{path: /etc/tool.conf, source: tool.conf, owner: nobody, mode: '0600'}]\n")
    )
    assert 'COPY --chown=nobody:root ["tool.conf", "/etc/tool.conf"]\nRUN set -eux; \\\n    chmod 0600' in text


def test_ubuntu_starts_from_ubuntu_and_an_unknown_archive_from_nothing(tmp_path: Path):
    mirror = "archives: [{name: ubuntu, uri: 'http://ubuntu.example.com/ubuntu', suites: [noble], keys: [ubuntu]}]\n"
    ubuntu = define(tmp_path, mirror, HEAD.replace("distribution: debian/trixie\n", ""))
    assert "ARG BASE_IMAGE=ubuntu:noble\n" in render_dockerfile(ubuntu)
    (tmp_path / "own.asc").write_text("key")
    own = "archives: [{name: own, uri: 'https://packages.example.com', suites: [x], keys: [own.asc]}]\n"
    with pytest.raises(UsageError, match="no official image is known"):
        render_dockerfile(define(tmp_path, own, HEAD.replace("distribution: debian/trixie\n", "")))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\n",
        "plain\n",
        "no newline at the end",
        'it\'s "quoted" $HOME `id` \\n \\\\ %s %%\n# not a comment\n',
        "tab\tand\x01control\r\n",
        "cat <<EOF\nnot a here-document\nEOF\n",
        "-n\n",
        "é ü 日本\n\n\n",
        "line\\\n",
        "\u2028\u0085\n",
    ],
)
def test_a_written_file_is_the_content_byte_for_byte(tmp_path: Path, content: str):
    target = tmp_path / "a b" / "it's"
    commands = written(str(target), content.encode(), mode=0o640)
    subprocess.run(["sh", "-euc", "; ".join(commands)], check=True, env={**os.environ, "LC_ALL": "C"})
    assert target.read_bytes() == content.encode()
    assert target.stat().st_mode & 0o7777 == 0o640


def test_words_that_a_dockerfile_would_expand_are_escaped():
    assert double_quoted('a "b" $C \\d') == r'"a \"b\" \$C \\d"'
    assert copied("a*[1]?", "/b c") == r'COPY ["a\\*\\[1]\\?", "/b c"]' + "\n"


def test_the_measures_of_hardening_are_taken_by_the_programs_of_the_image(tmp_path: Path):
    definition = define(
        tmp_path, "hardening: {setuid: [/usr/bin/su]}\ndirectories: [{path: /var/mail, mode: '1777'}]\n"
    )
    text = render_dockerfile(definition)
    assert "find / -xdev -type f -perm /6000 '!' -path /usr/bin/su -exec sh -ec" in text
    assert """*) continue;; esac; case "$file" in /usr/bin/su) continue;; esac; [ ! -f "$file" ]""" in text
    assert "> /etc/apt/apt.conf.d/99formation" in text
    assert "chmod 00700 /root" in text and "chmod 00755 /var/mail" not in text


def test_measures_that_are_turned_off_leave_no_step(tmp_path: Path):
    off = "hardening: {setuid: keep, accounts: keep, modes: keep, package_manager: keep, traces: keep}\n"
    text = render_dockerfile(define(tmp_path, off + "packages: [jq]\n"))
    for word in ("statoverride", "99formation", "chmod 00", "sync", "shadow-"):
        assert word not in text


def test_a_minimal_variant_is_not_for_docker(tmp_path: Path):
    definition = define(tmp_path, "packages: [zlib1g]\nvariants:\n  minimal: {only: [zlib1g]}\n")
    assert "minimal" not in render_dockerfile(definition) + render_compose(definition)
