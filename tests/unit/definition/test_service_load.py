"""From a formation.yaml of kind service to a ServiceDefinition."""

from collections.abc import Callable
from pathlib import Path

import pytest

from formation.debian.request import PackageRequest
from formation.definition.base_accounts import check_base_accounts
from formation.definition.load import load_any, load_definition, load_service
from formation.definition.service_grammar import duration, duration_text
from formation.definition.service_values import HealthCheck, ServiceBuild, ServiceDefinition, ServiceFile
from formation.definition.values import Definition, Directory, Group
from formation.errors import DefinitionError, UsageError

ROOT = Path(__file__).parents[3]
HEAD = "kind: service\nname: formation/form-dns\nversion: 1.2.3\nbase: formation/base:1.0.0\n"

Load = Callable[..., ServiceDefinition]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(body: str = "", head: str = HEAD) -> ServiceDefinition:
        (tmp_path / "formation.yaml").write_text(head + body)
        return load_service(tmp_path)

    return load


def test_what_is_not_said_is_the_bases_or_a_sensible_default(load: Load):
    service = load()
    assert service.archives is None
    assert service.architectures == ("amd64",)
    assert service.config.user == "formation"
    assert (service.config.entrypoint, service.config.command, service.config.working_directory) == (None, None, None)
    assert (service.files, service.ports, service.health_check, service.build) == ((), (), None, None)
    assert dict(service.config.labels) == {
        "org.opencontainers.image.title": "formation/form-dns",
        "org.opencontainers.image.version": "1.2.3",
    }
    assert service.short_name == "form-dns"


def test_users_groups_and_directories_know_their_lines(load: Load, tmp_path: Path):
    service = load(
        "groups: [{name: ops}]\nusers:\n  - {name: a, uid: 990}\n  - {name: b}\ndirectories: [{path: /srv/a}]\n"
    )
    lines = {each.name: each.place.rpartition(":")[2] for each in (*service.groups, *service.users)}
    assert lines == {"ops": "5", "a": "7", "b": "8"}
    assert [each.place for each in service.groups] == [f"{tmp_path}/formation.yaml:{line}" for line in (7, 5, 8)]
    assert [each.place for each in service.directories] == [f"{tmp_path}/formation.yaml:9"]


def test_users_and_groups_with_fixed_ids_come_first(load: Load):
    service = load("users: [{name: a, system: true}, {name: b, uid: 999}, {name: c, system: true}]\n")
    assert [user.name for user in service.users] == ["b", "a", "c"]
    assert [group.name for group in service.groups] == ["b", "a", "c"]


@pytest.mark.parametrize(
    "base",
    [
        "formation/base:1.0.0",
        "oci:../layout:1.0.0",
        "docker-archive:base.tar",
        "docker-daemon:formation/base:1.0.0",
        "docker://registry.example.com:5000/formation/base:1.0.0",
        f"formation/base@sha256:{'0' * 64}",
    ],
)
def test_a_base_is_any_image_that_can_be_opened(load: Load, base: str):
    assert load(head=HEAD.replace("formation/base:1.0.0", base)).base == base


def test_archives_are_those_of_a_distribution_or_written_as_for_bases(load: Load):
    assert [archive.name for archive in load("distribution: debian/trixie\n").archives or ()] == [
        "debian",
        "debian-security",
    ]


def test_packages_are_requested_as_for_bases_and_know_their_line(load: Load, tmp_path: Path):
    service = load("packages:\n  - bind9-utils\n  - jq=1.7-1\n  - -vim-tiny\n")
    assert service.packages == (PackageRequest("bind9-utils"), PackageRequest("jq", version="1.7-1"))
    assert service.without == ("vim-tiny",)
    assert service.place_of_package("jq") == f"{tmp_path}/formation.yaml:7"


def test_a_directory_belongs_to_the_services_user_when_it_says_nothing(load: Load):
    body = "directories: [{path: /data}, {path: /conf, owner: root, group: root, mode: '0700'}]\n"
    assert load(body).directories == (
        Directory("/data", "formation", "formation", 0o755),
        Directory("/conf", "root", "root", 0o700),
    )


@pytest.mark.parametrize(
    ("body", "account"),
    [
        ("user: www-data\n", ("www-data", "www-data")),
        ("user: app:adm\n", ("app", "adm")),
        ("user: app\nusers: [{name: app, group: adm}]\n", ("app", "adm")),
        ("user: 1000\n", ("1000", "root")),
        ("user: 1000:1001\n", ("1000", "1001")),
    ],
)
def test_the_group_of_a_directory_is_that_of_the_services_user(load: Load, body: str, account: tuple[str, str]):
    (directory,) = load(body + "directories: [{path: /data}]\n").directories
    assert (directory.owner, directory.group) == account


@pytest.mark.parametrize(
    ("owner", "group"), [("root", "root"), ("nobody", "nogroup"), ("'7'", "root"), ("app", "adm"), ("form", "form")]
)
def test_the_group_of_a_directory_follows_the_owner_that_it_says(load: Load, owner: str, group: str):
    body = "user: formation:billing\nusers: [{name: app, group: adm}]\n"
    (directory,) = load(f"{body}directories: [{{path: /data, owner: {owner}}}]\n").directories
    assert directory.group == group


def test_a_user_may_be_in_a_group_that_only_the_base_knows(load: Load):
    service = load("users: [{name: app, group: formation, groups: [billing]}, {name: other}]\n")
    assert service.users[0].groups == ("billing",)
    assert service.groups == (Group("other", None, True),)


def test_no_source_needs_to_be_there(load: Load):
    service = load(
        "files:\n"
        "  - {path: /usr/local/bin/x, source: ./target//release/x, mode: '0755'}\n"
        "  - {path: /usr/share/x, source: share/, ignore: ['**/*.bak'], owner: formation}\n"
        "  - {path: /all, source: .}\n"
    )
    assert service.files == (
        ServiceFile("/usr/local/bin/x", "root", "root", 0o755, None, "target/release/x", (), None, ()),
        ServiceFile("/usr/share/x", "formation", "root", None, None, "share/", ("**/*.bak",), None, ()),
        ServiceFile("/all", "root", "root", None, None, "./", (), None, ()),
    )
    assert [file.is_directory for file in service.files] == [False, True, True]


def test_variables_of_the_service_and_of_the_file_stand_in_its_content(load: Load):
    service = load(
        "variables: {zone: example.com, ttl: 60}\n"
        "files:\n"
        "  - {path: /a, content: '${zone} ${ttl}', variables: {ttl: 300}}\n"
        "  - {path: /b, content: '${zone}', variables: {}}\n"
        "  - {path: /c, content: '${zone}'}\n"
    )
    assert [file.content for file in service.files] == [b"example.com 300", b"example.com", b"${zone}"]
    assert {file.mode for file in service.files} == {0o644}


def test_ports_have_a_protocol_and_keep_their_order(load: Load):
    assert load('ports: [8080, 53/udp, "53", 9/sctp]\n').ports == ("8080/tcp", "53/udp", "53/tcp", "9/sctp")


def test_a_health_check_is_words_and_nanoseconds(load: Load):
    service = load("health_check: {command: \"dig '@127.0.0.1' a\", interval: 1m30s, timeout: 500ms}\n")
    assert service.health_check == HealthCheck(
        ("dig", "@127.0.0.1", "a"), 90_000_000_000, 500_000_000, 10_000_000_000, 3
    )


@pytest.mark.parametrize("text", ["30s", "1m30s", "500ms", "1h", "1h1m1s1ms", "0s"])
def test_a_duration_is_written_as_it_was_read(text: str):
    nanoseconds = duration(text)
    assert isinstance(nanoseconds, int)
    assert duration_text(nanoseconds) == text


def test_a_build_says_what_it_makes(load: Load):
    assert load("build: {}\n").build == ServiceBuild("make", None, ("target/",))
    build = load("build: {command: cargo build --release, results: [target/release/, bin/x]}\n").build
    assert build is not None
    assert [build.makes(source) for source in ("target/release/x", "bin/x", "bin/xy", "target/")] == [
        *(True, True, False, False)
    ]


def test_every_value_knows_its_line(load: Load, tmp_path: Path):
    service = load("files:\n  - path: /a\n    source: b\n")
    assert service.place((*service.files[0].data_path, "source")) == f"{tmp_path}/formation.yaml:7"
    assert service.place(("files", 0, "mode")) == f"{tmp_path}/formation.yaml:6"


def test_only_what_chooses_packages_makes_the_lock_stale(load: Load):
    before = load("packages: [curl]\n").digest
    other_edits = "packages: [curl]\nports: [80]\nfiles: [{path: /a, source: b}]\nusers: [{name: a}]\nuser: a\n"
    assert load(other_edits).digest == before
    edits = [
        "packages: [wget]\n",
        "packages: [curl, -wget]\n",
        "packages: [curl]\nrecommends: true\n",
        "packages: [curl]\ndistribution: debian/trixie\n",
        "packages: [curl]\narchitectures: [arm64]\n",
    ]
    digests = {load(edit).digest for edit in edits} | {
        load("packages: [curl]\n", HEAD.replace("base:1.0.0", "base:1.0.1")).digest
    }
    assert len(digests) == 6
    assert before not in digests


def test_each_loader_takes_its_kind_and_says_so_for_the_other(tmp_path: Path):
    base, service = ROOT / "docker/base", tmp_path
    (service / "formation.yaml").write_text(HEAD)
    assert isinstance(load_any(base), Definition)
    assert isinstance(load_any(service), ServiceDefinition)
    with pytest.raises(DefinitionError, match=r"formation\.yaml:1: this is a service, and a base belongs here"):
        load_definition(service)
    with pytest.raises(DefinitionError, match=r"formation\.yaml:\d+: this is a base, and a service belongs here"):
        load_service(base)
    with pytest.raises(UsageError, match="there is no definition"):
        load_any(tmp_path / "missing")


def test_the_base_knows_the_accounts_that_the_service_does_not_declare(load: Load, tmp_path: Path):
    service = load(
        "users: [{name: app, groups: [metrics]}]\nuser: formaton:app\n"
        "directories: [{path: /a, owner: app, group: '7'}]\nfiles:\n  - {path: /b, content: x, owner: nobodi}\n"
    )
    check_base_accounts(service, {"formaton", "nobodi"}, {"metrics"})
    with pytest.raises(DefinitionError) as caught:
        check_base_accounts(service, {"formation"}, {"formation"})
    assert caught.value.message == (
        f"{tmp_path}/formation.yaml:5: neither formation/base:1.0.0 nor this has the group 'metrics'\n"
        "    hint: declare it under `groups:`\n"
        f"{tmp_path}/formation.yaml:6: neither formation/base:1.0.0 nor this has the user 'formaton'\n"
        "    hint: did you mean 'formation'?\n"
        f"{tmp_path}/formation.yaml:9: neither formation/base:1.0.0 nor this has the user 'nobodi'\n"
        "    hint: did you mean 'nobody'?"
    )


@pytest.mark.parametrize("name", ["form-dns", "form-api"])
def test_the_services_of_this_repository_are_right(name: str):
    service = load_service(ROOT / "services" / name)
    assert (service.name, service.base, service.config.user) == (
        f"formation/{name}",
        "formation/base:1.0.0",
        "formation",
    )
    assert service.health_check is not None


def test_the_definition_of_the_documentation_is_right(load: Load):
    text = (ROOT / "docs/services.md").read_text()
    service = load(head=text.split("```yaml\n")[1].split("```")[0])
    assert [file.path for file in service.files] == [
        "/usr/local/bin/form-dns",
        "/usr/share/form-dns",
        "/etc/formation/dns.conf",
    ]
