"""`formation release` as a person types it: without building, which tests/integration does."""

import json
from dataclasses import replace

import pytest

from fake_registry import FakeRegistry
from formation.cli.release_build import looked_at
from formation.definition.load import load_definition
from formation.errors import UsageError
from formation.lock.lockfile import file_text, lock_digest, lock_text, read_lock
from formation.lock.model import Lock, LockedPackage, LockedSuite
from formation.oci.descriptor import Descriptor
from formation.oci.image import Image
from formation.oci.layout import write_layout
from formation.oci.media_types import OCI_INDEX
from formation.oci.platform_index import VERSION, platform_index
from formation.oci.reference import parse_reference
from formation.release.previous import releases_in_store
from formation.store.blobs import add_bytes, add_image
from formation.store.images import list_images, remove_image, tag_image
from layer_tars import file
from sound_image import EXECUTION, STATUS, sound_image

DEFINITION = """\
kind: base
name: formation/base
version: 1.0.0  # the tag
distribution: debian/trixie
architectures: [amd64]
packages: [tool]
"""
ZERO = "sha256:" + "0" * 64
NO_NEWS = ("--no-changelogs", "--no-build")


def package(name: str, version: str) -> LockedPackage:
    return LockedPackage(
        name, version, "amd64", name, version, ZERO, 1, 1, "debian", "trixie", f"pool/{name}.deb",
        ("runtime",), "requested", False,
    )  # fmt: skip


@pytest.fixture
def release(formation):
    """The command line beside a definition whose 1.0.0 is in the store, and `release.lock(…)`."""
    (formation.directory / "formation.yaml").write_text(DEFINITION)
    descriptor = add_image(formation.store, sound_image())
    tag_image(formation.store, parse_reference("formation/base:1.0.0"), descriptor)
    return formation


def lock(formation, **packages: str) -> None:
    """Writes the lock of the definition."""
    definition = load_definition(formation.directory)
    suites = tuple(
        LockedSuite(each.name, each.uri, suite, each.components, ZERO, 1, None, "0" * 40)
        for each in definition.archives
        for suite in each.suites
    )
    pinned = tuple(package(name, version) for name, version in packages.items())
    text = file_text(Lock(definition.digest, 1, suites, {"amd64": pinned}))
    (formation.directory / "formation.lock").write_text(text)


def test_a_newer_package_deserves_a_patch(release):
    lock(release, libc6="2.41-12", tool="1.0-2")
    result = release("release", "check", *NO_NEWS)
    assert result.code == 1
    assert result.stdout.splitlines() == [
        "patch  tool 1.0-1 → 1.0-2",
        "note: packages were compared, and nothing else: that takes two images, or two locks beside their definitions",
        "note: the lock of formation/base:1.0.0 is neither beside it nor in the store: only names and versions of its "
        "packages are known, not their suites and bytes, and nothing of other architectures than amd64",
        "a patch change since 1.0.0: it deserves 1.0.1; 1.0.0 is too small",
    ]
    assert release("release", "check", "--version", "1.0.1", *NO_NEWS).code == 0


def test_a_variant_with_only_is_left_out_without_a_build_and_a_note_says_so(release):
    (release.directory / "formation.yaml").write_text(DEFINITION + "variants: {tiny: {only: [libc6], command: []}}\n")
    tag_image(release.store, parse_reference("formation/base:1.0.0-tiny"), add_image(release.store, sound_image()))
    lock(release, libc6="2.41-12", tool="1.0-2", bash="5.2")
    result = release("release", "check", *NO_NEWS)
    lines = result.stdout.splitlines()
    assert [line for line in lines if "tiny" in line] == [
        "note: tiny is not compared: which packages a variant with `only` has, the image tells and no lock; "
        "leave --no-build out"
    ]
    assert "minor  the package bash is new" in lines
    assert (result.code, lines[-1]) == (1, "a minor change since 1.0.0: it deserves 1.1.0; 1.0.0 is too small")
    assert "[tiny]" not in result.stdout


def test_nothing_is_judged_where_no_variant_can_be_compared_without_a_build(release):
    (release.directory / "formation.yaml").write_text(DEFINITION + "variants: {tiny: {only: [libc6], command: []}}\n")
    lock(release, libc6="2.41-12", tool="1.0-2")
    keep(release, "formation/base:1.0.0-tiny", sound_image())
    remove_image(release.store, parse_reference("formation/base:1.0.0"))
    labels = {"org.opencontainers.image.version": "1.0.0-tiny"}
    write_layout(release.directory / "tiny", sound_image(execution=replace(EXECUTION, labels=labels)), None)
    for since in (("--since", "formation/base:1.0.0-tiny"), ("--since", "oci:tiny")):
        for words in (("check",), ("--version", "1.0.1")):
            result = release("release", *words, *since, *NO_NEWS)
            assert (result.code, result.stdout) == (2, "")
            assert "nothing can be compared without a build: tiny is not compared: " in result.stderr
            assert "hint: leave --no-build out" in result.stderr
    assert not (release.directory / "CHANGELOG.md").exists()


def test_no_difference_is_made_up_between_a_lock_and_an_image_of_a_variant_with_only(release):
    (release.directory / "formation.yaml").write_text(DEFINITION + "variants: {tiny: {only: [libc6], command: []}}\n")
    lock(release, libc6="2.41-12", tool="1.0-1", bash="5.2")
    labels = {"org.opencontainers.image.version": "1.0.0-tiny"}
    write_layout(release.directory / "tiny", sound_image(execution=replace(EXECUTION, labels=labels)), None)
    for words in (("oci:tiny", "."), (".", "oci:tiny"), ("formation/base:1.0.0", ".", "--variant", "tiny")):
        result = release("diff", *words, "--no-changelogs")
        assert (result.code, result.stdout) == (2, "")
        assert "error: the lock of . cannot be compared with an image of tiny: " in result.stderr
    # Of two locks both sides tell the same.
    assert release("diff", ".", ".", "--variant", "tiny", "--no-changelogs").code == 0


def test_a_removed_package_deserves_a_major_version_and_less_is_refused(release):
    before = DEFINITION.replace("[tool]", "[libc6]")
    (release.directory / "formation.yaml").write_text(before)
    lock(release, libc6="2.41-12")
    result = release("release", "--version", "1.1.0", *NO_NEWS)
    assert result.code == 1
    assert "1.1.0 is too small after 1.0.0 for a major change: the package tool is gone" in result.stderr
    assert "hint: formation release --version 2.0.0" in result.stderr
    assert (release.directory / "formation.yaml").read_text() == before
    assert not (release.directory / "CHANGELOG.md").exists()


def test_a_release_writes_one_line_and_an_entry_and_twice_is_as_once(release):
    lock(release, libc6="2.41-12", tool="1.0-2")
    assert release("release", *NO_NEWS).code == 0
    definition = release.directory / "formation.yaml"
    assert definition.read_text() == DEFINITION.replace("1.0.0", "1.0.1")
    notes = (release.directory / "CHANGELOG.md").read_text()
    assert notes == (
        "# Changelog\n\n## 1.0.1 - 2033-05-18\n\nKeeps the contract of 1.0.0.\n\n### Packages\n- tool 1.0-1 → 1.0-2\n"
        "\n<!-- formation release bee39851e4e1d35f -->\n"
    )
    again = release("release", *NO_NEWS)
    assert again.code == 0
    assert "CHANGELOG.md: has the entry of 1.0.1\n" in again.stdout
    assert "version is 1.0.1" in again.stdout
    assert definition.read_text() == DEFINITION.replace("1.0.0", "1.0.1")
    assert (release.directory / "CHANGELOG.md").read_text() == notes


def test_an_entry_that_somebody_wrote_stays_and_is_told(release):
    lock(release, libc6="2.41-12", tool="1.0-2")
    notes = release.directory / "CHANGELOG.md"
    text = b"# Changelog\r\n\r\n## [1.0.1] - planned\r\n- Hand-written migration note\r\n"
    notes.write_bytes(text)
    shown = release("release", "--dry-run", *NO_NEWS).stdout
    assert shown.startswith("## 1.0.1 - 2033-05-18\n")
    stays = f"note: {notes}:3: the entry of 1.0.1 is not as formation wrote it, and stays; "
    assert f"{stays}the one above would be new\n" in shown
    found = json.loads(release("release", "--dry-run", "--json", *NO_NEWS).stdout)
    assert (found["changelog"], found["entry"]) == ("kept", shown[: shown.index("note: ")])
    result = release("release", *NO_NEWS)
    assert (result.code, f"{stays}`formation release --dry-run` shows a new one\n" in result.stdout) == (0, True)
    assert notes.read_bytes() == text
    assert "version: 1.0.1" in (release.directory / "formation.yaml").read_text()


def test_nothing_is_written_beside_a_definition_whose_version_cannot_be(release):
    path = release.directory / "formation.yaml"
    path.write_text(DEFINITION.replace("version: 1.0.0", "version: &tag 1.0.0"))
    lock(release, libc6="2.41-12", tool="1.0-2")
    assert release("release", *NO_NEWS).code == 2
    assert not (release.directory / "CHANGELOG.md").exists()


def test_a_dry_run_writes_nothing(release):
    lock(release, libc6="2.41-12", tool="1.0-2")
    result = release("release", "--dry-run", *NO_NEWS)
    assert result.stdout.startswith("## 1.0.1 - ")
    assert result.stdout.endswith("version would become 1.0.1\n")
    assert (release.directory / "formation.yaml").read_text() == DEFINITION
    assert not (release.directory / "CHANGELOG.md").exists()


def test_a_larger_version_may_be_chosen(release):
    lock(release, libc6="2.41-12", tool="1.0-2")
    assert release("release", "--version", "1.1.0", *NO_NEWS).code == 0
    assert "version: 1.1.0  # the tag" in (release.directory / "formation.yaml").read_text()


def test_a_version_below_the_definition_s_is_refused(release):
    path = release.directory / "formation.yaml"
    path.write_text(DEFINITION.replace("1.0.0", "1.2.0"))
    lock(release, libc6="2.41-12", tool="1.0-2")
    for version in ("1.0.0", "1.1.0", "1.2.0-rc.1"):
        result = release("release", "--version", version, *NO_NEWS)
        assert result.code == 1
        assert f"{version} is too small: {path} has 1.2.0" in result.stderr
    assert "version: 1.2.0" in path.read_text()
    assert not (release.directory / "CHANGELOG.md").exists()


def test_a_version_that_is_released_already_gets_no_entry(release):
    lock(release, libc6="2.41-12", tool="1.0-1")
    result = release("release", "--version", "1.0.0", *NO_NEWS)
    assert (result.code, "nothing that was compared changed since 1.0.0; " in result.stdout) == (0, True)
    assert not (release.directory / "CHANGELOG.md").exists()


def test_nothing_changed_deserves_nothing(release):
    lock(release, libc6="2.41-12", tool="1.0-1")
    result = release("release", *NO_NEWS)
    assert result.stdout.splitlines()[-1] == (
        "nothing that was compared changed since 1.0.0; what else did, only two images tell"
    )
    assert json.loads(release("release", "check", *NO_NEWS, "--json").stdout)["enough"] is None
    assert not (release.directory / "CHANGELOG.md").exists()


def test_a_stale_lock_is_refused(release):
    lock(release, libc6="2.41-12", tool="1.0-1")
    (release.directory / "formation.yaml").write_text(DEFINITION.replace("[tool]", "[tool, curl]"))
    result = release("release", "check", *NO_NEWS)
    assert (result.code, "is stale: it has no package for curl, which runtime asks for" in result.stderr) == (2, True)


def test_the_first_release_may_have_any_version(formation):
    (formation.directory / "formation.yaml").write_text(DEFINITION)
    lock(formation, tool="1.0-1")
    result = formation("release", "check", *NO_NEWS)
    assert (result.code, result.stdout) == (
        0,
        "the store has no release of formation/base before 1.0.0: any version will do\n",
    )
    assert formation("release", "--version", "2.0.0", *NO_NEWS).code == 0
    assert "version: 2.0.0  # the tag" in (formation.directory / "formation.yaml").read_text()


def test_the_previous_release_is_the_highest_of_the_line(release):
    descriptor = add_image(
        release.store, sound_image([file("var/lib/dpkg/status", STATUS.replace("1.0-1", "1.0-2").encode())])
    )
    for tag in ("1.0.1", "2.0.0", "1.0.2-rc.1", "latest"):
        tag_image(release.store, parse_reference(f"formation/base:{tag}"), descriptor)
    (release.directory / "formation.yaml").write_text(DEFINITION.replace("1.0.0", "1.0.5"))
    lock(release, libc6="2.41-12", tool="1.0-3")
    data = json.loads(release("release", "check", "--json", *NO_NEWS).stdout)
    assert (data["previous"], data["deserved"], data["version"], data["enough"]) == ("1.0.1", "1.0.2", "1.0.5", True)
    assert data["reasons"] == [
        {"level": "patch", "rule": "package-upgraded", "text": "tool 1.0-2 → 1.0-3", "variant": "runtime"}
    ]


def keep(command, name: str, image: Image) -> None:
    """Puts `image` into the store of `command`, under `name`."""
    tag_image(command.store, parse_reference(name), add_image(command.store, image))


def with_jq(version: str):
    """The image of a variant dev that has the package jq."""
    status = f"{STATUS}\nPackage: jq\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.7\n"
    labels = {"org.opencontainers.image.version": version}
    return sound_image([file("var/lib/dpkg/status", status.encode())], execution=replace(EXECUTION, labels=labels))


def test_a_variant_follows_the_newest_release_that_has_it(release):
    (release.directory / "formation.yaml").write_text(
        DEFINITION.replace("1.0.0", "1.0.3") + "variants: {dev: {packages: [hello]}}\n"
    )
    lock(release, libc6="2.41-12", tool="1.0-1", hello="2.10")
    for version, image in (("1.0.1-dev", with_jq("1.0.1-dev")), ("1.0.2", other_image("1.0-1", "1.0.2"))):
        keep(release, f"formation/base:{version}", image)
    with FakeRegistry() as server:
        repository = f"docker://{server.host}/team/base"
        names = [f"formation/base:{version}" for version in ("1.0.0", "1.0.1-dev", "1.0.2")]
        assert release("publish", *names, repository, "--plain-http").code == 0
        for since in ((), ("--since", repository, "--plain-http"), ("--since", "formation/base:1.0.2")):
            result = release("release", "check", *since, *NO_NEWS)
            lines = result.stdout.splitlines()
            assert (result.code, lines[0]) == (1, "major  the package jq is gone [dev]")
            assert "note: dev is compared with 1.0.1, the last release that has it: 1.0.2 lacks it" in lines
            assert lines[-1] == "a major change since 1.0.2: it deserves 2.0.0; 1.0.3 is too small"


def test_a_variant_that_a_major_version_dropped_is_new(release):
    (release.directory / "formation.yaml").write_text(
        DEFINITION.replace("1.0.0", "2.1.0") + "variants: {dev: {packages: [hello]}}\n"
    )
    lock(release, libc6="2.41-12", tool="1.0-1", hello="2.10")
    for version, image in (("1.0.0-dev", with_jq("1.0.0-dev")), ("2.0.0", other_image("1.0-1", "2.0.0"))):
        keep(release, f"formation/base:{version}", image)
    lines = release("release", "check", *NO_NEWS).stdout.splitlines()
    assert lines[0] == "minor  the variant dev is new"
    assert lines[-1] == "a minor change since 2.0.0: it deserves 2.1.0; 2.1.0 is enough"


def test_a_lock_is_compared_by_the_variant_that_an_image_states_anyhow(release):
    (release.directory / "formation.yaml").write_text(DEFINITION + "variants: {dev: {packages: [bash]}}\n")
    lock(release, libc6="2.41-12", tool="1.0-1", bash="5.2")
    path = release.directory / "formation.lock"
    now = read_lock(path)
    pinned = [replace(each, variants=("dev",)) if each.name == "bash" else each for each in now.packages["amd64"]]
    path.write_text(file_text(replace(now, packages={"amd64": tuple(pinned)})))
    stated = {
        "labelled:1.0.0": {"execution": replace(EXECUTION, labels={VERSION: "1.0.0-dev"})},
        "annotated:1.0.0": {"execution": replace(EXECUTION, labels={}), "annotations": {VERSION: "1.0.0-dev"}},
        "named:1.0.0-dev": {"execution": replace(EXECUTION, labels={})},
    }
    for name, said in stated.items():
        keep(release, f"x/{name}", sound_image(**said))
        assert "  + bash 5.2" in release("diff", f"x/{name}", ".", "--no-changelogs").stdout
    keep(release, "x/other:1.0.0-slim", sound_image(execution=replace(EXECUTION, labels={})))
    for name in ("formation/base:1.0.0", "x/other:1.0.0-slim"):
        assert "bash" not in release("diff", name, ".", "--no-changelogs").stdout
    (release.directory / "none.lock").write_text(file_text(replace(now, packages={"amd64": now.packages["amd64"][:2]})))
    assert "bash" in release("diff", "none.lock", ".", "--no-changelogs").stdout


def test_an_image_from_anywhere_is_compared_with_its_own_variant(release):
    (release.directory / "formation.yaml").write_text(DEFINITION + "variants: {dev: {packages: [more]}}\n")
    lock(release, libc6="2.41-12", tool="1.0-2", more="1")
    write_layout(release.directory / "old", sound_image(), None)
    for since in ("oci:old", "formation/base:1.0.0"):
        data = json.loads(release("release", "check", "--since", since, "--json", *NO_NEWS).stdout)
        rules = {reason["rule"] for reason in data["reasons"] if reason["variant"] == "runtime"}
        # Only the store can know that the release before had no variant dev.
        assert rules == {"package-upgraded", "package-added", *(["variant-added"] if since != "oci:old" else [])}


def test_two_images_are_judged_by_their_own_versions(formation):
    labels = {"org.opencontainers.image.version": "1.0.1"}
    write_layout(formation.directory / "old", sound_image(), None)
    write_layout(
        formation.directory / "new", sound_image(execution=replace(EXECUTION, user="root", labels=labels)), None
    )
    result = formation("release", "check", "--old", "oci:old", "--new", "oci:new")
    assert result.code == 1
    assert result.stdout.splitlines() == [
        "major  configuration user: formation → root",
        "a major change since 1.0.0: it deserves 2.0.0; 1.0.1 is too small",
    ]
    assert formation("release", "check", "--old", "oci:old", "--new", "oci:old").code == 0


def test_a_lock_may_be_the_release_before(release, tmp_path):
    lock(release, libc6="2.41-12", tool="1.0-1")
    old = tmp_path / "before"
    old.mkdir()
    for name in ("formation.yaml", "formation.lock"):
        (old / name).write_bytes((release.directory / name).read_bytes())
    (release.directory / "formation.yaml").write_text(DEFINITION + "environment: {LANG: C.UTF-8}\n")
    result = release("release", "check", "--since", "before", "--no-changelogs")
    assert (result.code, result.stdout.splitlines()[0]) == (1, "minor  environment LANG added")


def test_the_release_before_may_be_in_a_registry(release):
    lock(release, libc6="2.41-12", tool="1.0-2")
    with FakeRegistry() as server:
        repository = f"docker://{server.host}/team/base"
        assert release("publish", "formation/base:1.0.0", repository, "--plain-http").code == 0
        for since in (repository, f"{repository}:1.0.0"):
            result = release("release", "check", "--since", since, "--plain-http", *NO_NEWS)
            assert result.stdout.endswith("a patch change since 1.0.0: it deserves 1.0.1; 1.0.0 is too small\n")
        for tag, message in (("latest", "'latest' is not a version"), ("1.0.9", "team/base has no 1.0.9\nhint: ")):
            wrong = release("release", "check", "--since", f"{repository}:{tag}", "--plain-http", *NO_NEWS)
            assert (wrong.code, wrong.stdout, message in wrong.stderr) == (2, "", True)
        server.add_image("team/base", sound_image(), "1.0.0-dev")
        variant = release("release", "check", "--since", f"{repository}:1.0.0-dev", "--plain-http", *NO_NEWS)
        # It is of the same release, and no pre-release, which has promised nothing.
        assert (variant.stdout.splitlines()[0], variant.stdout.splitlines()[-1]) == (
            "major  the variant dev is gone",
            "a major change since 1.0.0: it deserves 2.0.0; 1.0.0 is too small",
        )


def test_a_release_follows_the_version_that_it_deserves_where_that_is_published_already(release):
    """Else `publish` would refuse what `release` has just written."""
    keep(release, "formation/base:1.1.0", other_image("1.0-3", "1.1.0"))
    with FakeRegistry() as server:
        repository = f"docker://{server.host}/team/base"
        for version in ("1.0.0", "1.1.0"):
            assert release("publish", f"formation/base:{version}", repository, "--plain-http").code == 0
        words = ("release", "--since", repository, "--plain-http", *NO_NEWS)
        lock(release, libc6="2.41-12", tool="1.0-4", bash="5.2")
        checked = release("release", "check", *words[1:]).stdout.splitlines()
        assert checked[-1] == "a minor change since 1.1.0: it deserves 1.2.0; 1.0.0 is too small"
        assert "note: since 1.0.0 it deserves 1.1.0, which is there already: so it is compared with that" in checked
        pinned = release("release", "check", "--since", f"{repository}:1.0.0", *words[3:])
        assert pinned.stdout.endswith("a minor change since 1.0.0: it deserves 1.1.0; 1.0.0 is too small\n")
        assert release(*words).code == 0
    assert "version: 1.2.0  # the tag" in (release.directory / "formation.yaml").read_text()
    assert (release.directory / "CHANGELOG.md").read_text().count("\n## ") == 1


def test_a_definition_that_lags_behind_what_is_published_of_it_is_told_and_catches_up(release):
    keep(release, "formation/base:1.0.1", other_image("1.0-2", "1.0.1"))
    lock(release, libc6="2.41-12", tool="1.0-2")
    with FakeRegistry() as server:
        repository = f"docker://{server.host}/team/base"
        for version in ("1.0.0", "1.0.1"):
            assert release("publish", f"formation/base:{version}", repository, "--plain-http").code == 0
        words = ("--since", repository, "--plain-http", *NO_NEWS)
        checked = release("release", "check", *words)
        assert (checked.code, checked.stdout.endswith("; 1.0.0 is too small\n")) == (1, True)
        assert release("release", *words).stdout.endswith("formation.yaml: version is now 1.0.1\n")
        assert release("release", "check", *words).code == 0
    assert not (release.directory / "CHANGELOG.md").exists()


def test_a_repository_that_is_not_there_is_an_error_and_one_without_versions_is_not(release):
    lock(release, libc6="2.41-12", tool="1.0-1")
    with FakeRegistry() as server:
        words = ("release", "check", "--plain-http", *NO_NEWS, "--since", f"docker://{server.host}/team/bas")
        gone = release(*words)
        assert (gone.code, gone.stdout, "404" in gone.stderr) == (3, "", True)
        assert "hint: look for a typing error; before the first release, leave --since out" in gone.stderr
        server.add_image("team/bas", sound_image(), "latest")
        there = release(*words)
        assert (there.code, there.stdout.endswith("before 1.0.0: any version will do\n")) == (0, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("check", "a", "b"), "one definition is released at a time"),
        (("--new", "oci:new"), "--new goes with `release check --old IMAGE`"),
        (("--version", "1.0", *NO_NEWS), "'1.0' is not a version"),
        (("chekc", "."), "hint: did you mean check?"),
        (("chekc",), "hint: did you mean check?"),
        (
            ("check", "--since", "localhost:5000/base", *NO_NEWS),
            "hint: in a registry it is docker://localhost:5000/base",
        ),
        (("nowhere", "--version", "v1.0.1"), "'v1.0.1' is not a version"),
    ],
)
def test_what_cannot_be_meant_is_refused(release, words, message):
    lock(release, libc6="2.41-12", tool="1.0-1")
    result = release("release", *words)
    assert (result.code, message in result.stderr) == (2, True)


def test_a_platform_is_an_architecture_of_the_definition_by_its_other_name(release):
    path = release.directory / "formation.yaml"
    path.write_text(DEFINITION.replace("[amd64]", "[s390x, i386, armhf]"))
    definition = load_definition(path)
    assert [looked_at(definition, f"linux/{name}") for name in ("s390x", "386", "arm/v7")] == ["s390x", "i386", "armhf"]
    with pytest.raises(UsageError, match="is not for linux/amd64"):
        looked_at(definition, "linux/amd64")


def other_image(tool: str, version: str):
    """The sound image with the package tool of another version."""
    labels = {"org.opencontainers.image.version": version}
    status = file("var/lib/dpkg/status", STATUS.replace("1.0-1", tool).encode())
    return sound_image([status], execution=replace(EXECUTION, labels=labels))


def test_a_version_that_reads_as_a_variant_is_refused(release):
    text = DEFINITION + "variants: {dev: {packages: [more]}}\n"
    (release.directory / "formation.yaml").write_text(text)
    lock(release, libc6="2.41-12", tool="1.0-2", more="1")
    result = release("release", "--version", "1.0.1-dev", *NO_NEWS)
    assert (result.code, "'1.0.1-dev' ends in 'dev', which `publish` takes for the variant" in result.stderr) == (
        2,
        True,
    )
    # So it does where the definition has no such variant.
    other = release("release", "check", "--version", "1.0.1-slim", *NO_NEWS)
    assert (other.code, "hint: a pre-release is 1.0.1-rc.1" in other.stderr) == (2, True)
    assert (release.directory / "formation.yaml").read_text() == text


def test_a_version_below_all_others_is_refused(release):
    lock(release, libc6="2.41-12", tool="1.0-2")
    result = release("release", "check", "--version", "0.9.0", *NO_NEWS)
    assert (result.code, "0.9.0 is below every release of formation/base" in result.stderr) == (1, True)
    with FakeRegistry() as server:
        repository = f"docker://{server.host}/team/base"
        assert release("publish", "formation/base:1.0.0", repository, "--plain-http").code == 0
        result = release("release", "check", "--since", repository, "--version", "0.9.0", "--plain-http", *NO_NEWS)
        assert (result.code, f"0.9.0 is below every release of {server.host}/team/base" in result.stderr) == (1, True)


RC = "2.0.0-rc.1"


def candidate(release, image) -> None:
    """The definition at RC, and `image` under it in the store."""
    (release.directory / "formation.yaml").write_text(DEFINITION.replace("1.0.0", RC))
    keep(release, f"formation/base:{RC}", image)


def test_a_prerelease_that_is_there_with_other_content_is_too_small(release):
    candidate(release, other_image("1.0-2", RC))
    lock(release, libc6="2.41-12", tool="1.0-3")
    with FakeRegistry() as server:
        repository = f"docker://{server.host}/team/base"
        assert release("publish", "formation/base:1.0.0", f"formation/base:{RC}", repository, "--plain-http").code == 0
        for since, name in (
            ((), f"formation/base:{RC}"),
            (("--since", repository, "--plain-http"), f"{repository}:{RC}"),
        ):
            result = release("release", "check", *since, *NO_NEWS)
            assert (result.code, result.stdout.splitlines()[-1]) == (
                1,
                f"a patch change since 1.0.0: it deserves 1.0.1; {RC} is too small: {name} is there already, with "
                "other content; the next is 2.0.0-rc.2",
            )
            data = json.loads(release("release", "check", *since, "--json", *NO_NEWS).stdout)
            assert (data["enough"], data["taken"], data["next"]) == (False, name, "2.0.0-rc.2")
            asked = release("release", *since, "--version", RC, *NO_NEWS)
            assert (asked.code, f"{name} is there already, with other content" in asked.stderr) == (1, True)
            assert "hint: formation release --version 2.0.0-rc.2" in asked.stderr
    assert release("release", *NO_NEWS).code == 0
    assert "version: 2.0.0-rc.2  # the tag" in (release.directory / "formation.yaml").read_text()
    assert "## 2.0.0-rc.2 - " in (release.directory / "CHANGELOG.md").read_text()
    assert release("release", "check", *NO_NEWS).code == 0


def test_a_version_that_is_too_small_anyway_gives_way_to_what_the_change_deserves(release):
    (release.directory / "formation.yaml").write_text(DEFINITION.replace("1.0.0", "1.0.1"))
    keep(release, "formation/base:1.0.1", other_image("1.0-2", "1.0.1"))
    lock(release, libc6="2.41-12", tool="1.0-1", more="1.0-1")
    since = ("--since", "formation/base:1.0.0")
    checked = release("release", "check", *since, *NO_NEWS)
    assert checked.stdout.endswith("a minor change since 1.0.0: it deserves 1.1.0; 1.0.1 is too small\n")
    told = json.loads(release("release", "check", *since, "--json", *NO_NEWS).stdout)
    assert (checked.code, told["enough"], told["deserved"], told["next"]) == (1, False, "1.1.0", None)


def test_a_prerelease_that_is_taken_gives_way_although_nothing_changed_since_the_release(release):
    candidate(release, other_image("1.0-2", RC))
    lock(release, libc6="2.41-12", tool="1.0-1")
    assert release("release", "check", *NO_NEWS).code == 1
    assert release("release", *NO_NEWS).stdout.endswith("version is now 2.0.0-rc.2\n")


def test_a_first_prerelease_that_is_taken_gives_way_to_the_next(formation):
    candidate(formation, other_image("1.0-2", RC))
    lock(formation, libc6="2.41-12", tool="1.0-3")
    checked = formation("release", "check", *NO_NEWS)
    assert (checked.code, checked.stdout) == (
        1,
        f"the store has no release of formation/base before {RC}: {RC} is too small: formation/base:{RC} is there "
        "already, with other content; the next is 2.0.0-rc.2\n",
    )
    assert formation("release", "--version", RC, *NO_NEWS).code == 1
    written = formation("release", "--json", *NO_NEWS)
    assert (written.code, json.loads(written.stdout)["version"]) == (0, "2.0.0-rc.2")
    assert "version: 2.0.0-rc.2  # the tag" in (formation.directory / "formation.yaml").read_text()


def test_a_prerelease_of_the_same_lock_is_not_taken(release):
    lock(release, libc6="2.41-12", tool="1.0-3")
    digest = lock_digest(lock_text(read_lock(release.directory / "formation.lock")))
    candidate(release, sound_image(annotations={"dev.formation.lock.digest": digest}))
    result = release("release", "check", *NO_NEWS)
    assert (result.code, result.stdout.splitlines()[-1]) == (
        0,
        f"a patch change since 1.0.0: it deserves 1.0.1; {RC} is enough",
    )


def previous(release, version: str, *built: str) -> str | None:
    return releases_in_store(release.store, "formation/base", version, built).previous


def test_what_was_built_is_left_out_under_its_own_version_only(release):
    image = other_image("1.0-2", "1.0.1")
    keep(release, "formation/base:1.0.1", image)
    assert previous(release, "1.0.1", image.digest) == "1.0.0"
    assert previous(release, "1.0.2", image.digest) == "1.0.1"
    # An index of several platforms stands for each of its images.
    data = platform_index([image], "1.0.3")
    index = Descriptor(OCI_INDEX, add_bytes(release.store, data), len(data))
    tag_image(release.store, parse_reference("formation/base:1.0.3"), index)
    assert previous(release, "1.0.3", image.digest) == "1.0.1"


def test_what_runs_and_as_whom_is_compared_where_only_one_definition_says_it(release, tmp_path):
    old = tmp_path / "before"
    old.mkdir()
    (release.directory / "formation.yaml").write_text(
        DEFINITION + "groups: [{name: app}]\nusers: [{name: app}]\nuser: app\nentrypoint: [/bin/sh]\n"
    )
    lock(release, libc6="2.41-12", tool="1.0-1")
    for name in ("formation.yaml", "formation.lock"):
        (old / name).write_bytes((release.directory / name).read_bytes())
    text = (old / "formation.yaml").read_text()
    (release.directory / "formation.yaml").write_text(
        text.replace("user: app\n", "").replace("entrypoint: [/bin/sh]\n", "")
    )
    gone = release("release", "check", "--since", "before", *NO_NEWS)
    assert (gone.code, gone.stdout.splitlines()[:2]) == (
        1,
        ["major  configuration user: app → root", "major  configuration entrypoint removed"],
    )
    assert "user: app → root" in release("diff", "before", ".", "--no-changelogs").stdout
    # What engines take where nothing is said is no change when it is said.
    (release.directory / "formation.yaml").write_text(text.replace("user: app\n", "user: root\n"))
    assert release("diff", "before", ".", "--no-changelogs").stdout.count("→") == 1


def keep_for_two(command, name: str) -> None:
    """Puts an index of images for amd64 and arm64 into the store of `command`, under `name`."""
    images = [sound_image(), sound_image(architecture="arm64")]
    for image in images:
        add_image(command.store, image)
    data = platform_index(images, "1.0.0")
    index = Descriptor(OCI_INDEX, add_bytes(command.store, data), len(data))
    tag_image(command.store, parse_reference(name), index)


def test_platforms_of_an_index_that_are_gone_or_new_are_told(formation):
    keep_for_two(formation, "formation/base:1.0.0")
    keep(formation, "formation/one:1.0.0", sound_image())
    assert formation("copy", "formation/base:1.0.0", "oci:both:1.0.0").code == 0
    amd64 = ("--platform", "linux/amd64")
    with FakeRegistry() as server:
        published = f"docker://{server.host}/team/base"
        assert formation("publish", "formation/base:1.0.0", published, "--plain-http").code == 0
        for both in ("formation/base:1.0.0", "oci:both:1.0.0", f"{published}:1.0.0"):
            there = (*amd64, "--plain-http")
            gone = formation("release", "check", "--old", both, "--new", "formation/one:1.0.0", *there)
            assert (gone.code, gone.stdout.splitlines()[0]) == (1, "major  platform arm64 removed")
            more = formation("release", "check", "--old", "formation/one:1.0.0", "--new", both, *there)
            assert (more.code, more.stdout.splitlines()[0]) == (1, "minor  platform arm64 added")
            assert "  - platform arm64\n" in formation("diff", both, "formation/one:1.0.0", *there).stdout
        (digest,) = {each.descriptor.digest for each in list_images(formation.store) if "base" in str(each.reference)}
        by_digest = f"{published}@{digest}"
        assert formation("pull", by_digest, *there).code == 0
    # What is there already needs no registry.
    assert formation("diff", by_digest, "oci:both:1.0.0", *there).code == 0
    same = formation("diff", "formation/base:1.0.0", "oci:both:1.0.0", *amd64).stdout
    assert "no difference" in same
    assert "note: the images for amd64 were compared, and those for arm64 were not: --platform chooses\n" in same


def test_an_architecture_that_is_dropped_is_told_without_the_lock_of_the_release_before(release):
    lock(release, libc6="2.41-12", tool="1.0-1")
    keep_for_two(release, "formation/base:1.0.0")
    assert release("copy", "formation/base:1.0.0", "oci:both:1.0.0").code == 0
    for since in ((), ("--since", "oci:both:1.0.0")):
        lines = release("release", "check", *since, "--platform", "linux/amd64", *NO_NEWS).stdout.splitlines()
        assert lines[0] == "major  platform arm64 removed"
        assert lines[2].endswith("their suites and bytes")


def test_what_was_published_goes_before_what_its_lock_was_made_for(release):
    lock(release, libc6="2.41-12", tool="1.0-1")
    now = read_lock(release.directory / "formation.lock")
    both = replace(now, packages={"amd64": now.packages["amd64"], "arm64": ()})
    digest = add_bytes(release.store, lock_text(both).encode())
    keep(release, "formation/base:1.0.0", sound_image(annotations={"dev.formation.lock.digest": digest}))
    with FakeRegistry() as server:
        repository = f"docker://{server.host}/team/base"
        assert release("publish", "formation/base:1.0.0", repository, "--incomplete", "--plain-http").code == 0
        found = release("release", "check", "--since", repository, "--plain-http", *NO_NEWS)
    assert (found.code, found.stdout.splitlines()[-1].partition(";")[0]) == (
        0,
        "nothing that was compared changed since 1.0.0",
    )
    # One image in the store may be the first that was built of a release for two.
    assert release("release", "check", *NO_NEWS).stdout.startswith("major  platform arm64 removed\n")


def test_the_lock_of_an_image_from_elsewhere_is_looked_for_in_the_store(release):
    lock(release, libc6="2.41-12", tool="1.0-1")
    text = lock_text(read_lock(release.directory / "formation.lock")).encode()
    digest = add_bytes(release.store, text)
    write_layout(release.directory / "old", sound_image(annotations={"dev.formation.lock.digest": digest}), None)
    found = release("release", "check", "--since", "oci:old", *NO_NEWS)
    assert (found.code, "the lock of" in found.stdout) == (0, False)
