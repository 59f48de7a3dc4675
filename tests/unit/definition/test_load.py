"""From a formation.yaml to a Definition."""

from collections.abc import Callable
from pathlib import Path

import pytest

from formation.debian.request import PackageRequest
from formation.definition.hardening import AS_PACKAGED, Hardening
from formation.definition.load import load_definition
from formation.definition.values import Definition, Directory, File, Group, User
from formation.errors import DefinitionError, UsageError

HEAD = "kind: base\nname: formation/test\nversion: 1.2.3\n"
DEBIAN = HEAD + "distribution: debian/trixie\n"
ROOT = Path(__file__).parents[3]

Load = Callable[..., Definition]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(body: str, head: str = DEBIAN) -> Definition:
        (tmp_path / "formation.yaml").write_text(head + body)
        return load_definition(tmp_path)

    return load


def test_a_directory_and_its_file_are_the_same_definition(tmp_path: Path):
    (tmp_path / "formation.yaml").write_text(DEBIAN)
    assert load_definition(tmp_path) == load_definition(tmp_path / "formation.yaml")


def test_a_missing_definition_is_a_usage_error_with_a_hint(tmp_path: Path):
    with pytest.raises(UsageError, match="there is no definition") as caught:
        load_definition(tmp_path)
    assert caught.value.hint


@pytest.mark.parametrize("typed", ["serivces/mv", "services/mvv", "services/mv/formation.yml"])
def test_a_mistyped_directory_is_told_with_the_one_that_is_meant(tmp_path: Path, typed: str):
    for name in ("services/mv", "services/other"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "formation.yaml").write_text(DEBIAN)
    with pytest.raises(UsageError) as caught:
        load_definition(tmp_path / typed)
    assert caught.value.hint.startswith(f"did you mean {tmp_path}/services/mv")


def test_a_file_of_nearly_the_right_name_is_told(tmp_path: Path):
    (tmp_path / "formation.yml").write_text(DEBIAN)
    with pytest.raises(UsageError) as caught:
        load_definition(tmp_path)
    assert caught.value.hint == f"did you mean {tmp_path}/formation.yml?"


def test_a_directory_above_definitions_is_told_with_those_below_it(tmp_path: Path):
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "formation.yaml").write_text(DEBIAN)
    with pytest.raises(UsageError) as caught:
        load_definition(tmp_path)
    assert caught.value.hint == f"name one of those below it: {tmp_path}/a, {tmp_path}/b"


def test_a_pipe_is_not_read(tmp_path: Path):
    import os

    os.mkfifo(tmp_path / "formation.yaml")
    with pytest.raises(UsageError, match="not a regular file"):
        load_definition(tmp_path)


def test_what_is_not_said_is_a_sensible_default(load: Load):
    definition = load("")
    assert (definition.recommends, definition.essential) == (False, True)
    assert definition.architectures == ("amd64",)
    assert (definition.layer_budget, definition.compression) == (32, "gzip")
    assert "/usr/share/man/*" in definition.path_excludes
    assert definition.path_includes[0] == "/usr/share/doc/*/copyright"
    assert [variant.name for variant in definition.variants] == ["runtime"]


def test_a_distribution_stands_for_its_archives_and_written_ones_follow(load: Load):
    definition = load(
        "archives:\n  - {name: own, uri: 'https://packages.example.com/', suites: [x], keys: [debian-sid], "
        "check_valid_until: false}\n"
    )
    assert [(archive.name, archive.uri, archive.suites) for archive in definition.archives] == [
        ("debian", "http://deb.debian.org/debian", ("trixie", "trixie-updates")),
        ("debian-security", "http://deb.debian.org/debian-security", ("trixie-security",)),
        ("own", "https://packages.example.com", ("x",)),
    ]
    assert [archive.check_valid_until for archive in definition.archives] == [True, True, False]


def test_an_ubuntu_archive_is_an_archive_like_any_other(load: Load):
    ubuntu = "archives: [{name: ubuntu, uri: 'http://ubuntu.example.com/ubuntu', suites: [noble], keys: [ubuntu]}]\n"
    (archive,) = load("", HEAD + ubuntu).archives
    assert (archive.suites, archive.keys) == (("noble",), ("ubuntu",))


def test_a_package_line_is_a_request_or_leaves_out(load: Load):
    runtime = load("packages: [curl, jq=1.7-1, gcc/trixie-updates, 'libc6:amd64', g++, -vim-tiny]\n").variants[0]
    assert runtime.packages == (
        PackageRequest("curl"),
        PackageRequest("jq", version="1.7-1"),
        PackageRequest("gcc", suite="trixie-updates"),
        PackageRequest("libc6", architecture="amd64"),
        PackageRequest("g++"),
    )
    assert runtime.without == ("vim-tiny",)


def test_a_system_user_brings_its_group_and_cannot_log_in(load: Load):
    runtime = load("users: [{name: service}]\n").variants[0]
    assert runtime.groups == (Group("service", None, True),)
    assert runtime.users == (
        User("service", None, "service", (), "/nonexistent", "/usr/sbin/nologin", system=True, comment=""),
    )


def test_an_ordinary_user_has_a_home_and_a_shell(load: Load):
    runtime = load("users: [{name: me, uid: 1500, system: false, groups: [adm]}]\n").variants[0]
    assert runtime.groups == (Group("me", 1500, False),)
    assert runtime.users == (User("me", 1500, "me", ("adm",), "/home/me", "/bin/sh", system=False, comment=""),)


def test_a_group_that_is_declared_is_not_made_twice(load: Load):
    definition = load(
        "groups: [{name: a, gid: 700}]\nusers: [{name: a}]\nvariants: {b: {users: [{name: c, group: a}]}}\n"
    )
    assert [variant.groups for variant in definition.variants] == [(Group("a", 700, True),), ()]


def test_fixed_ids_are_given_out_before_free_ones(load: Load):
    runtime = load("groups: [{name: a}, {name: b, gid: 999}]\nusers: [{name: c, group: a}, {name: d, uid: 998}]\n")
    variant = runtime.variants[0]
    assert [group.name for group in variant.groups] == ["b", "d", "a"]
    assert [user.name for user in variant.users] == ["d", "c"]


def test_the_group_of_a_user_has_the_user_s_id_unless_that_is_taken(load: Load):
    """As useradd does: 45 is sasl's, 600 a declared group's, and 601 that of a user of the variant below."""
    definition = load(
        "groups: [{name: g, gid: 600}]\n"
        "users: [{name: a, uid: 45}, {name: b, uid: 600}, {name: c, uid: 601}]\n"
        "variants: {dev: {groups: [{name: h}], users: [{name: d, uid: 602}]}}\n"
    )
    ids = [{group.name: group.gid for group in variant.groups} for variant in definition.variants]
    assert ids == [{"g": 600, "c": 601, "a": None, "b": None}, {"d": 602, "h": None}]


def test_everything_knows_the_line_that_asks_for_it(load: Load, tmp_path: Path):
    body = (
        "essential: true\n"
        "groups:\n  - name: g\n"
        "users:\n  - name: u\n"
        "directories:\n  - path: /d\n"
        "variants:\n  dev:\n    files:\n      - {path: /f, content: x}\n"
    )
    definition = load(body)
    runtime, dev = definition.variants
    placed = (runtime.groups[0], runtime.groups[1], runtime.users[0], runtime.directories[0], dev.files[0])
    file = tmp_path / "formation.yaml"
    assert [each.place for each in placed] == [f"{file}:{line}" for line in (7, 9, 9, 11, 15)]
    assert definition.place("essential") == f"{file}:5"
    assert definition.place("packages") == f"{file}:1"


@pytest.mark.parametrize("mode", ["0750", '"0750"', '"750"', "0o750"])
def test_a_mode_is_octal_however_it_is_written(load: Load, mode: str):
    runtime = load(f"directories: [{{path: /data, mode: {mode}}}]\n").variants[0]
    assert runtime.directories == (Directory("/data", "root", "root", 0o750),)


def test_an_owner_may_be_a_number(load: Load):
    runtime = load("directories: [{path: /data, owner: 1234, group: '0'}]\n").variants[0]
    assert runtime.directories == (Directory("/data", "1234", "0", 0o755),)


def test_a_file_has_its_text_or_a_source_beside_the_definition(load: Load, tmp_path: Path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "tool.conf").write_text("x")
    runtime = load(
        "files:\n  - {path: /etc/a, content: 'é'}\n  - {path: /etc/b, source: etc/tool.conf, mode: '0600'}\n"
    ).variants[0]
    assert runtime.files == (
        File("/etc/a", "root", "root", 0o644, "é".encode(), None),
        File("/etc/b", "root", "root", 0o600, None, (tmp_path / "etc" / "tool.conf").resolve()),
    )


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "directory"])
def test_a_source_does_not_lead_out_of_the_directory(tmp_path: Path, target: str):
    (tmp_path / "outside").write_text("secret")
    inside = tmp_path / "inside"
    (inside / "directory").mkdir(parents=True)
    (inside / "link").symlink_to(target)
    (inside / "formation.yaml").write_text(DEBIAN + "files: [{path: /etc/a, source: link}]\n")
    with pytest.raises(DefinitionError, match=r"formation\.yaml:5: 'link' (leads outside|is not a regular file)"):
        load_definition(inside)


@pytest.mark.parametrize(
    ("source", "why"), [("loop", "'loop' is a symbolic link to"), ("loop/x", "there is no file 'loop/x'")]
)
def test_a_link_that_leads_to_itself_is_no_source(tmp_path: Path, source: str, why: str):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "formation.yaml").write_text(DEBIAN + f"files: [{{path: /etc/a, source: {source}}}]\n")
    with pytest.raises(DefinitionError, match=rf"formation\.yaml:5: {why}"):
        load_definition(tmp_path)


def test_a_key_file_is_beside_the_definition_as_well(load: Load, tmp_path: Path):
    (tmp_path / "own.asc").symlink_to("/etc/passwd")
    with pytest.raises(DefinitionError, match=r"'own\.asc' leads outside"):
        load("archives: [{name: own, uri: 'https://packages.example.com', suites: [x], keys: [own.asc]}]\n", HEAD)


def test_a_variant_comes_after_what_it_extends_and_inherits_its_config(load: Load):
    definition = load(
        "environment: {A: 1, B: two}\nvolumes: [/data]\nuser: root\ncommand: [sh]\nlabels: {l: x}\n"
        "variants:\n"
        "  debug: {extends: dev, environment: {B: three}, volumes: [/logs], command: gdb --args 'a b'}\n"
        "  dev: {user: nobody, description: For builds}\n"
    )
    assert [(variant.name, variant.extends) for variant in definition.variants] == [
        ("runtime", None),
        ("dev", "runtime"),
        ("debug", "dev"),
    ]
    config = definition.variants[2].config
    assert config.environment == (("A", "1"), ("B", "three"))
    assert config.volumes == ("/data", "/logs")
    assert (config.user, config.command) == ("nobody", ("gdb", "--args", "a b"))
    assert dict(config.labels) == {
        "org.opencontainers.image.title": "formation/test",
        "org.opencontainers.image.version": "1.2.3-debug",
        "org.opencontainers.image.description": "For builds",
        "l": "x",
    }
    assert [variant.name for variant in definition.lineage("debug")] == ["runtime", "dev", "debug"]


def test_what_is_left_out_can_be_chosen(load: Load):
    definition = load(
        "leave_out: {documentation: false, locales: false, manual_pages: false, paths: [/opt/*], keep: [/opt/a]}\n"
    )
    assert (definition.path_excludes, definition.path_includes) == (("/opt/*",), ("/opt/a",))


def test_more_tags_have_the_variant_at_their_end(load: Load):
    definition = load("tags: [trixie-slim]\nvariants: {dev: {}}\n")
    assert definition.all_tags("runtime") == ("1.2.3", "trixie-slim")
    assert definition.all_tags("dev") == ("1.2.3-dev", "trixie-slim-dev")


def test_a_package_knows_its_line(load: Load, tmp_path: Path):
    definition = load("packages:\n  - curl\n  - jq=1.7\nvariants:\n  dev:\n    packages:\n      - gcc\n")
    assert definition.place_of_package("jq") == f"{tmp_path}/formation.yaml:7"
    assert definition.place_of_package("gcc") == f"{tmp_path}/formation.yaml:11"


def test_lines_are_right_after_wrong_items_were_set_aside(load: Load):
    with pytest.raises(DefinitionError) as caught:
        load("packages:\n  - Wrong\n  -\n  - curl\n  - ALSO\n  - curl\n")
    assert [line.split(":")[1] for line in caught.value.message.splitlines() if "hint" not in line] == [
        *("6", "7", "9", "10")
    ]


def test_every_measure_is_taken_unless_the_definition_turns_it_off(load: Load):
    assert load("").hardening == Hardening()
    off = "hardening: {setuid: keep, accounts: keep, modes: keep, package_manager: keep, traces: keep}\n"
    assert load(off).hardening == AS_PACKAGED
    assert load("hardening: {setuid: [/usr/bin/su, /usr/bin/mount]}\n").hardening == Hardening(
        setuid=("/usr/bin/mount", "/usr/bin/su")
    )


def test_a_minimal_variant_leaves_the_lock_as_it_is(load: Load):
    plain = load("packages: [zlib1g]\n")
    minimal = load("packages: [zlib1g]\nvariants:\n  minimal:\n    only: [zlib1g, zlib1g]\n")
    assert minimal.variants[1].only == ("zlib1g",)
    assert minimal.digest == plain.digest


@pytest.mark.parametrize("directory", ["docker/base", "images/debian-slim"])
def test_the_definitions_of_this_repository_are_right(directory: str):
    definition = load_definition(ROOT / directory)
    assert definition.architectures == ("amd64",)


def test_the_base_image_keeps_secrets_from_others_and_stays_root_for_dockerfiles():
    runtime, dev, minimal = load_definition(ROOT / "docker/base").variants
    modes = {directory.path: (directory.owner, directory.group, directory.mode) for directory in runtime.directories}
    assert modes["/etc/formation/auth"] == modes["/etc/formation/billing"] == ("root", "formation", 0o750)
    assert modes["/var/log/formation"] == modes["/var/lib/formation"] == ("formation", "formation", 0o750)
    assert runtime.config.user == dev.config.user == "root"
    assert (minimal.config.user, minimal.config.command) == ("formation", ())
    assert runtime.config.volumes == ("/var/log/formation",)
    assert runtime.config.working_directory == "/app"


def test_a_shell_is_what_the_definition_says(load: Load):
    (runtime,) = load(
        "packages: [bash]\nusers:\n  - {name: me, shell: /bin/sh}\n  - {name: you, shell: /usr/bin/bash}\n"
    ).variants
    assert [user.shell for user in runtime.users] == ["/bin/sh", "/usr/bin/bash"]


@pytest.mark.parametrize(
    ("target", "why"), [("nowhere.yaml", "which is not there"), ("formation.yaml", "which leads back to it")]
)
def test_a_definition_that_is_a_symlink_to_nowhere_is_told_as_one(tmp_path: Path, target: str, why: str):
    (tmp_path / "formation.yaml").symlink_to(target)
    with pytest.raises(UsageError) as caught:
        load_definition(tmp_path)
    assert caught.value.message == f"the definition {tmp_path}/formation.yaml is a symbolic link to {target!r}, {why}"
    assert caught.value.hint is None


@pytest.mark.parametrize(("target", "why"), [("nowhere", "which is not there"), ("s1", "which leads back to it")])
def test_a_source_that_is_a_symlink_to_nowhere_is_told_as_one(tmp_path: Path, load: Load, target: str, why: str):
    (tmp_path / "s1").symlink_to(target)
    with pytest.raises(DefinitionError, match=f"'s1' is a symbolic link to '{target}', {why}$") as caught:
        load("packages: [bash]\nfiles: [{path: /a, source: s1}]\n")
    assert caught.value.hint is None


def test_a_variant_knows_the_lines_of_its_volumes_and_of_the_working_directory_that_holds(load: Load):
    definition = load(
        "volumes: [/a]\nworking_directory: /b\nvariants:\n  dev:\n    volumes: [/c]\n  web: {working_directory: /d}\n"
    )
    found = {
        variant.name: [(each.path, each.place.rpartition(":")[2]) for each in variant.config.run_directories]
        for variant in definition.variants
    }
    assert found == {
        "runtime": [("/a", "5"), ("/b", "6")],
        "dev": [("/a", "5"), ("/b", "6"), ("/c", "9")],
        "web": [("/a", "5"), ("/d", "10")],
    }
