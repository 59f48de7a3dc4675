"""`formation pull`, `copy`, `tags` and `publish` against a registry in this process."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from fake_registry import FakeRegistry, Fault
from formation.errors import FormationError
from formation.lock.lockfile import lock_text
from formation.lock.model import Lock
from formation.network.transfer import Run
from formation.oci.annotations import LOCK_DIGEST
from formation.oci.layout import write_layout
from formation.oci.manifest import Index, index_bytes
from formation.oci.media_types import OCI_INDEX
from formation.oci.reference import parse_reference
from formation.registry.lease import is_lease
from formation.store.blobs import add_bytes, add_image
from formation.store.images import open_stored, tag_image
from tiny_images import tiny_image

VERSION = "org.opencontainers.image.version"


@pytest.fixture
def server():
    with FakeRegistry() as registry:
        yield registry


def keep(formation, version, **arguments):
    """Puts an image of that version into the store."""
    image = tiny_image([{"v": version.encode()}], compression="none", annotations={VERSION: version}, **arguments)
    tag_image(formation.store, parse_reference(f"formation/base:{version}"), add_image(formation.store, image))
    return image


def test_publish_says_what_happened_to_each_tag(formation, server):
    keep(formation, "1.0.0")
    keep(formation, "1.1.0")
    repository = f"docker://{server.host}/team/base"
    planned = formation("publish", "formation/base:1.0.0", repository, "--plain-http", "--dry-run")
    assert (planned.code, planned.stdout.count("would write")) == (0, 4)
    assert server.repository("team/base").tags == {}
    assert formation("publish", "formation/base:1.0.0", repository, "--plain-http").stdout.count("written") == 4
    moved = formation("publish", "formation/base:1.1.0", repository, "--plain-http", "--json")
    found = {tag["tag"]: tag["action"] for tag in json.loads(moved.stdout)["tags"]}
    assert found == {"1.1.0": "write", "1.1": "write", "1": "move", "latest": "move"}
    again = formation("publish", "formation/base:1.1.0", repository, "--plain-http")
    assert again.stdout.endswith(f"nothing to publish: {server.host}/team/base has 1.1.0\n")


def test_a_moving_tag_that_is_not_there_is_not_said_to_stay(formation, server):
    keep(formation, "1.0.0")
    server.add_image("team/base", tiny_image(), "1.1.0")
    ended = formation("publish", "formation/base:1.0.0", f"docker://{server.host}/team/base", "--plain-http")
    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in ended.stdout.splitlines()}
    assert lines["latest"] == lines["1"] == "not there: for 1.1.0 to write"
    assert lines["1.0"].startswith("written")
    again = formation("publish", "formation/base:1.0.0", f"docker://{server.host}/team/base", "--plain-http")
    assert again.stdout.endswith(f"nothing to publish: {server.host}/team/base has 1.0.0\n")


def test_a_moving_tag_that_stays_is_told_truly(formation, server):
    repository = f"docker://{server.host}/team/base"
    for version in ("1.0.0", "9.0.0", "10.0.0"):
        keep(formation, version)
    for version in ("1.0.0", "10.0.0"):
        formation("publish", f"formation/base:{version}", repository, "--plain-http")
    tags = server.repository("team/base").tags

    def latest(version):
        ended = formation("publish", f"formation/base:{version}", repository, "--plain-http", "--dry-run")
        return next(line for line in ended.stdout.splitlines() if line.startswith("latest")).split(maxsplit=1)[1]

    assert latest("9.0.0").startswith("stays: 10.0.0 has it")
    tags["latest"] = tags["1.0.0"]
    for version in ("1.0.0", "9.0.0"):
        assert latest(version).startswith("stays, though it is for 10.0.0: publish that again")
    assert latest("10.0.0").startswith("would move")


def test_json_tells_a_tag_that_stays_rightly_from_one_that_is_wrong(formation, server):
    repository = f"docker://{server.host}/team/base"
    for version in ("1.0.0", "1.1.0"):
        keep(formation, version)
        formation("publish", f"formation/base:{version}", repository, "--plain-http")

    def held():
        told = formation("publish", "formation/base:1.0.0", repository, "--plain-http", "--json")
        return {tag["tag"]: (tag["newer"], tag["held"]) for tag in json.loads(told.stdout)["tags"]}

    assert held() == {"1.0.0": (None, None), "1.0": (None, None), "1": ("1.1.0", True), "latest": ("1.1.0", True)}
    tags = server.repository("team/base").tags
    tags["latest"] = tags["1.0.0"]
    assert held()["latest"] == ("1.1.0", False)
    other = server.add_image("team/base", tiny_image(), "latest")
    server.fail("GET", Fault(status=400), where=f"/manifests/{other}")
    assert held()["latest"] == ("1.1.0", None)
    server.fail("GET", Fault(status=400), where=f"/manifests/{other}")
    told = formation("publish", "formation/base:1.0.0", repository, "--plain-http").stdout
    assert "latest  stays: it is for 1.1.0, and cannot be read\n" in told
    assert " answers 400 Bad Request\n" in told


def test_publish_sends_again_what_the_registry_has_lost_and_tags_is_content(formation, server):
    image = keep(formation, "1.0.0")
    words = ("publish", "formation/base:1.0.0", f"docker://{server.host}/a/b", "--plain-http")
    formation(*words)
    del server.repository("a/b").blobs[image.manifest.config.digest]
    assert formation("tags", f"{server.host}/a/b", "--plain-http").code == 4
    assert f"would send what {server.host}/a/b has lost of 1.0.0\n" in formation(*words, "--dry-run").stdout
    assert json.loads(formation(*words, "--dry-run", "--json").stdout)["lost"] == ["1.0.0"]
    assert f"sent again what {server.host}/a/b has lost of 1.0.0\n" in formation(*words).stdout
    assert formation("tags", f"{server.host}/a/b", "--plain-http").code == 0
    assert "nothing to publish" in formation(*words).stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("moment", ["1.0.0", "formation-lease-"])
def test_a_signal_that_ends_a_publication_has_it_give_back_the_lease(formation, server, number, moment):
    keep(formation, "1.0.0")

    def end(seen):
        if seen.method == "PUT" and f"/manifests/{moment}" in seen.path:
            os.kill(os.getpid(), number)
            time.sleep(0.1)

    server.before = end
    ended = formation("publish", "formation/base:1.0.0", f"docker://{server.host}/team/base", "--plain-http")
    assert (ended.code, ended.stderr.splitlines()[-1]) == (130, "error: interrupted")
    assert not any(is_lease(tag) for tag in server.repository("team/base").tags)
    assert signal.getsignal(number) is signal.SIG_DFL


@pytest.mark.parametrize("rest", [":1", f"@sha256:{'0' * 64}"])
def test_what_only_a_registry_has_is_told_with_its_whole_name(formation, rest):
    for words in (("inspect", f"localhost:5001/x{rest}"), ("diff", f"localhost:5001/x{rest}", "formation/base:1")):
        assert f"the image in the registry is docker://localhost:5001/x{rest}\n" in formation(*words).stderr
    assert "docker://" not in formation("inspect", f"formation/base{rest}").stderr


def test_what_holds_no_image_is_not_published(formation, server):
    server.add_manifest("team/base", OCI_INDEX, index_bytes(Index(())), "1.0.0")
    name = f"docker://{server.host}/team/base:1.0.0"
    ended = formation("publish", name, f"docker://{server.host}/a/b", "--plain-http")
    assert (ended.code, ended.stdout) == (2, "")
    assert f"error: {name} has no image: it is an index of none, or holds something else\n" in ended.stderr


def test_publish_refuses_other_content_for_a_version(formation, server):
    repository = f"docker://{server.host}/team/base"
    keep(formation, "1.0.0")
    formation("publish", "formation/base:1.0.0", repository, "--plain-http")
    keep(formation, "1.0.0", architecture="arm64")
    result = formation("publish", "formation/base:1.0.0", repository, "--plain-http")
    assert result.code == 3
    assert "is published already, with other content" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["formation/base:1.0.0", "registry.example.com/a/b"], "is no repository of a registry"),
        (["formation/base:1.0.0", "docker://registry.example.com/a/b:1"], "has a tag, and versions decide those"),
        (
            ["formation/base:1.0.0", f"docker://localhost:5611/a@sha256:{'0' * 64}"],
            "has a digest, and content decides that",
        ),
        (["formation/base:1.0.0", "docker://localhost:5611"], "'localhost:5611' names no repository"),
        (["formation/base:nightly", "docker://registry.example.com/a/b"], "carries no version"),
        (
            ["formation/base:1.0.0", "docker://registry.example.com/a/b", "--variant", "dev"],
            "formation/base:1.0.0 is 1.0.0, which is no version of the variant dev\nhint: the variant",
        ),
    ],
)
def test_publish_explains_a_wrong_command_line(formation, arguments, message):
    keep(formation, "1.0.0")
    image = tiny_image()
    tag_image(formation.store, parse_reference("formation/base:nightly"), add_image(formation.store, image))
    result = formation("publish", *arguments)
    assert result.code == 2
    assert message in result.stderr


@pytest.mark.parametrize(
    "order",
    ["1 --plain-http 2 REPO --dry-run", "1 2 --plain-http REPO --dry-run", "1 --dry-run 2 --plain-http REPO"],
)
def test_options_may_stand_between_the_images_of_a_publication(formation, server, order):
    keep(formation, "1.0.0")
    keep(formation, "2.0.0")
    words = {"1": "formation/base:1.0.0", "2": "formation/base:2.0.0", "REPO": f"docker://{server.host}/a"}
    result = formation("publish", *(words.get(word, word) for word in order.split()), "--json")
    assert (result.code, result.stderr) == (0, "")
    assert {"1.0.0", "2.0.0"} <= {tag["tag"] for tag in json.loads(result.stdout)["tags"]}


def test_an_option_that_publish_does_not_have_is_told_among_the_images(formation):
    result = formation("publish", "a:1.0.0", "--dry", "b:1.0.0", "docker://localhost:1/a")
    assert (result.code, "does not take '--dry'" in result.stderr) == (2, True)


def test_a_variant_may_be_named(formation, server):
    keep(formation, "1.0.0-beta")
    repository = f"docker://{server.host}/team/base"
    formation("publish", "formation/base:1.0.0-beta", repository, "--plain-http", "--variant", "beta")
    tags = set(server.repository("team/base").tags)
    assert tags == {"1-beta", "1.0-beta", "1.0.0-beta", "latest-beta", "formation-history"}


def test_pull_brings_the_image_and_says_its_digest(formation, server):
    digest = server.add_image("a/b", tiny_image(), "1")
    result = formation("pull", f"{server.host}/a/b:1", "--plain-http", "--platform", "linux/amd64")
    assert result.code == 0, result.stderr
    assert digest in result.stdout
    assert open_stored(formation.store, parse_reference(f"{server.host}/a/b:1")).digest == digest
    data = json.loads(formation("pull", f"docker://{server.host}/a/b:1", "--plain-http", "--json").stdout)
    assert (data["digest"], data["layers"]) == (digest, 2)


@pytest.mark.parametrize("tag", ["", ":1.0"])
@pytest.mark.parametrize("named", ["image", "index", "whole index"])
def test_what_is_pulled_by_its_digest_is_kept_found_and_removed_by_it(formation, server, tag, named):
    images = [tiny_image(architecture=each) for each in ("amd64", "arm64")]
    for image in images:
        digest = server.add_image("a/b", image, "")
    if named != "image":
        digest = server.add_manifest("a/b", OCI_INDEX, index_bytes(Index(tuple(i.descriptor for i in images))))
    name = f"{server.host}/a/b{tag}@{digest}"
    options = ("--all-platforms",) if named == "whole index" else ("--platform", "linux/arm64")
    # The second time, the store has all of it but the name.
    for _ in range(2):
        assert formation("pull", name, "--plain-http", *options).code == 0
        assert formation("cache", "prune", "--all").code == 0
        platform = ("--platform", "linux/arm64")
        assert formation("inspect", name, *platform, "--check").code == 0
        listed = {row["reference"] for row in json.loads(formation("images", "--json").stdout)["images"]}
        assert (f"{server.host}/a/b:1.0" if tag else name) in listed
        for reference in listed:
            assert formation("images", "--remove", reference).code == 0
        assert formation("inspect", name, *platform).code == 3
        assert json.loads(formation("images", "--json").stdout)["images"] == []


def test_pull_of_what_is_not_there_is_an_error_with_how_to_see_what_is(formation, server):
    result = formation("pull", f"{server.host}/a/b:1", "--plain-http")
    error, hint = result.stderr.splitlines()
    assert (result.code, "404 Not Found" in error) == (3, True)
    assert hint == f"hint: what is there: formation tags {server.host}/a/b"


def test_copy_takes_an_image_to_a_registry_and_tags_lists_it(formation, server):
    image = keep(formation, "1.0.0")
    target = f"docker://{server.host}/a/b:1.0.0"
    assert formation("copy", "formation/base:1.0.0", target, "--plain-http", "--dry-run").stdout.startswith(
        "would copy"
    )
    assert image.digest in formation("copy", "formation/base:1.0.0", target, "--plain-http").stdout
    listed = formation("tags", f"{server.host}/a/b", "--plain-http")
    assert listed.stdout.split()[:7] == ["TAG", "VERSION", "DIGEST", "PLATFORMS", "SIZE", "CREATED", "SINCE"]
    assert image.digest[7:19] in listed.stdout
    (entry,) = json.loads(formation("tags", f"{server.host}/a/b", "--plain-http", "--json").stdout)["tags"]
    assert (entry["tag"], entry["digest"], entry["platforms"]) == ("1.0.0", image.digest, ["linux/amd64"])
    # Only `publish` notes down what it writes.
    assert (entry["since"], entry["moves"]) == (None, [])


def test_tags_tells_since_when_and_what_was_before(formation, server):
    for version in ("1.0.0", "1.0.1"):
        keep(formation, version)
        assert (
            formation("publish", f"formation/base:{version}", f"docker://{server.host}/a/b", "--plain-http").code == 0
        )
    listed = formation("tags", f"{server.host}/a/b", "--plain-http").stdout.splitlines()
    assert [line.split()[0] for line in listed[1:]] == ["1.0.1", "1.0.0", "1", "1.0", "latest"]
    time = r"  20[0-9]{2}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}"
    assert re.search(f"{time}$", listed[1]) and re.search(f"{time}, before 1.0.0$", listed[-1])
    tags = json.loads(formation("tags", f"{server.host}/a/b", "--plain-http", "--json").stdout)["tags"]
    latest = tags[-1]
    assert [(move["version_before"], move["version_after"]) for move in latest["moves"]] == [
        (None, "1.0.0"), ("1.0.0", "1.0.1"),
    ]  # fmt: skip
    assert latest["since"] == latest["moves"][-1]["at"]


def test_a_version_that_something_else_wrote_over_is_told_with_how_to_put_it_back(formation, server):
    repository = f"docker://{server.host}/a/b"
    for version in ("1.0.0", "1.1.0", "1.0.1"):
        keep(formation, version)
    for version in ("1.0.0", "1.1.0"):
        formation("publish", f"formation/base:{version}", repository, "--plain-http")
    tags = server.repository("a/b").tags
    tags["latest"] = tags["1.1.0"] = tags["1.0.0"]
    listed = formation("tags", f"{server.host}/a/b", "--plain-http").stdout
    assert re.search(r"(?m)^1\.1\.0 +1\.1\.0, but says 1\.0\.0 ", listed) and re.search(
        r"(?m)^latest +1\.0\.0 ", listed
    )
    told = formation("publish", "formation/base:1.0.1", repository, "--plain-http").stdout
    assert re.search(r"(?m)^latest +stays, though it is for 1\.1\.0", told)
    back = f"formation copy --force IMAGE {repository}:1.1.0"
    assert told.count(f"{server.host}/a/b:1.1.0 holds an image that calls itself 1.0.0: ") == told.count(back) == 1
    assert formation("publish", "formation/base:1.1.0", repository, "--plain-http").stderr.endswith(f"{back}\n")
    formation(*back.replace("IMAGE", "formation/base:1.1.0").split()[1:], "--plain-http")
    assert formation("publish", "formation/base:1.1.0", repository, "--plain-http").code == 0
    listed = formation("tags", f"{server.host}/a/b", "--plain-http").stdout
    assert re.search(r"(?m)^latest +1\.1\.0 ", listed) and "says" not in listed


@pytest.mark.parametrize("by_option", [True, False])
@pytest.mark.parametrize("words", [("lock", "."), ("vendor",), ("build", "."), ("tags", "localhost:1/a/b")])
def test_an_authority_that_cannot_be_read_is_wrong_usage_before_anything_is_asked(formation, words, by_option):
    (formation.directory / "empty.crt").touch()
    for file in ("empty.crt", "missing.crt"):
        option, environment = (("--ca", file), {}) if by_option else ((), {"FORMATION_CA_FILE": file})
        ended = formation(*words, *option, environment=environment)
        told = f"error: the certificate {formation.directory}/{file} cannot be read: "
        assert (ended.code, ended.stderr.startswith(told)) == (2, True), ended.stderr


@pytest.mark.parametrize("part", ["manifest", "config", "no config", "child"])
def test_tags_marks_what_is_broken_and_lists_the_rest(formation, server, part):
    image, other = tiny_image(), tiny_image([{"x": b"x"}])
    server.add_image("a/b", image, "1.0.0")
    digest = server.add_image("a/b", other, "1.0.1")
    found = server.repository("a/b")
    config = other.manifest.config.digest
    if part == "manifest":
        found.manifests[digest] = (OCI_INDEX, b"{")
    elif part == "config":
        found.blobs[config] = b"{" + found.blobs[config][1:] + b" "
    elif part == "no config":
        del found.blobs[config]
    else:
        index = index_bytes(Index((replace(other.descriptor, digest=f"sha256:{'0' * 64}"),)))
        digest = server.add_manifest("a/b", OCI_INDEX, index, "1.0.1")
    listed = formation("tags", f"{server.host}/a/b", "--plain-http")
    lines = [line.split() for line in listed.stdout.splitlines()[1:]]
    assert [(line[0], line[1], "broken" in line) for line in lines] == [
        ("1.0.1", "1.0.1", True), ("1.0.0", "1.0.0", False),
    ]  # fmt: skip
    assert listed.code == 4
    lost, again = part in ("no config", "child"), f"copy IMAGE docker://{server.host}/a/b:1.0.1 --force"
    assert (
        listed.stderr.startswith("error: ")
        and (again if lost else "hint: mend the registry's storage") in listed.stderr
    )
    data = json.loads(formation("tags", f"{server.host}/a/b", "--plain-http", "--json").stdout)["tags"]
    assert [(tag["tag"], tag["error"] is None) for tag in data] == [("1.0.1", False), ("1.0.0", True)]


def test_tags_takes_a_web_page_in_the_place_of_manifests_for_no_damage(formation, server):
    for tag in ("1.0.0", "1.0.1"):
        server.add_image("a/b", tiny_image(), tag)
    page = Fault(status=200, headers={"Content-Type": "text/html"}, body=b"<html>")
    for count in (1, 2):
        server.fail("GET", *[page] * count, where="/manifests/")
        listed = formation("tags", f"{server.host}/a/b", "--plain-http")
        assert (listed.code, "a proxy or a login page stands between" in listed.stderr) == (5, True)
        assert "hint: look at it: curl" in listed.stderr and "storage" not in listed.stderr


def test_tags_lists_the_rest_where_the_registry_fails_for_one(formation, server, monkeypatch):
    monkeypatch.setattr(Run, "pause", lambda run, seconds: None)
    for tag in ("1.0.0", "1.0.1"):
        server.add_image("a/b", tiny_image(), tag)
    server.fail("GET", *[Fault(status=500)] * 5, where="/manifests/1.0.1")
    listed = formation("tags", f"{server.host}/a/b", "--plain-http")
    assert (listed.code, [line.split()[0] for line in listed.stdout.splitlines()[1:]]) == (5, ["1.0.1", "1.0.0"])
    server.fail("GET", *[Fault(status=500)] * 10, where="/manifests/")
    assert (formation("tags", f"{server.host}/a/b", "--plain-http").code, listed.stdout.count("broken")) == (5, 1)


def test_tags_of_a_history_that_is_broken_are_listed_with_a_note(formation, server):
    keep(formation, "1.0.0")
    formation("publish", "formation/base:1.0.0", f"docker://{server.host}/a/b", "--plain-http")
    found = server.repository("a/b")
    history = found.tags["formation-history"]
    found.manifests[history] = (found.manifests[history][0], b"{")
    listed = formation("tags", f"{server.host}/a/b", "--plain-http")
    assert (listed.code, len(listed.stdout.splitlines())) == (0, 5)
    assert "note: when tags moved is not known" in listed.stderr


def test_a_repository_that_is_not_there_is_an_error_and_an_empty_one_has_no_tags(formation, server):
    result = formation("tags", f"{server.host}/a/b", "--plain-http")
    assert (result.code, result.stdout) == (3, "")
    assert "404 Not Found" in result.stderr
    server.repository("a/b")
    result = formation("tags", f"{server.host}/a/b", "--plain-http")
    assert (result.code, result.stdout) == (0, f"no tags in {server.host}/a/b\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("localhost:5000", "'localhost:5000' names no repository"),
        ("registry.example.com", "'registry.example.com' names no repository"),
        ("https://registry.example.com/a/b", "write it without https://"),
        ("localhost:5000/a/b:1.0", "localhost:5000/a/b:1.0 is one image, and all tags of a repository are listed"),
        (f"docker://localhost:5000/a/b@sha256:{'0' * 64}", "is one image"),
    ],
)
def test_tags_explains_what_names_no_repository(formation, text, message):
    result = formation("tags", text)
    assert (result.code, message in result.stderr) == (2, True)


def test_a_platform_that_the_only_image_is_not_for_is_refused_everywhere(formation, server):
    server.add_image("a/b", tiny_image(), "1")
    keep(formation, "1.0.0")
    there, arm = f"docker://{server.host}/a/b:1", ("--platform", "linux/arm64")
    for command in (
        ("pull", there),
        ("copy", there, "oci:out"),
        ("copy", "formation/base:1.0.0", "oci:out"),
        ("diff", there, there),
        ("diff", "formation/base:1.0.0", "formation/base:1.0.0"),
        ("inspect", "formation/base:1.0.0"),
    ):
        registry = () if command[0] == "inspect" else ("--plain-http",)
        result = formation(*command, *arm, *registry)
        assert (result.code, "no image for linux/arm64; it has: linux/amd64" in result.stderr) == (3, True), command
    assert not (formation.directory / "out").exists()
    with pytest.raises(FormationError):
        open_stored(formation.store, parse_reference(f"{server.host}/a/b:1"))


def test_without_a_platform_the_only_image_is_taken_whatever_it_is_for(formation, server):
    digest = server.add_image("a/b", tiny_image(architecture="s390x"), "1")
    assert digest in formation("pull", f"{server.host}/a/b:1", "--plain-http").stdout


def test_copy_moves_latest_only_where_it_is_named(formation, server):
    keep(formation, "1.0.0")
    target = f"docker://{server.host}/team/base"
    ended = formation("copy", "formation/base:1.0.0", target, "--plain-http")
    assert (ended.code, server.repository("team/base").tags) == (2, {})
    assert f"error: {target} has no tag, and latest is written only where it is named\n" in ended.stderr
    assert formation("copy", "formation/base:1.0.0", f"{target}:latest", "--plain-http").code == 0
    assert list(server.repository("team/base").tags) == ["latest"]


def test_copy_gives_a_published_version_no_other_content_unless_forced(formation, server):
    first, second = keep(formation, "1.0.0"), keep(formation, "1.1.0")
    target = f"docker://{server.host}/a/b"
    assert formation("copy", "formation/base:1.0.0", f"{target}:1.0.0", "--plain-http").code == 0
    assert formation("copy", "formation/base:1.0.0", f"{target}:1.0.0", "--plain-http").code == 0
    assert formation("copy", "formation/base:1.0.0", f"{target}:try", "--plain-http").code == 0
    assert formation("copy", "formation/base:1.1.0", f"{target}:try", "--plain-http").code == 0
    for more in ((), ("--dry-run",)):
        refused = formation("copy", "formation/base:1.1.0", f"{target}:1.0.0", "--plain-http", *more)
        assert (refused.code, "is published already, with other content" in refused.stderr) == (3, True)
    assert server.repository("a/b").tags["1.0.0"] == first.digest
    assert formation("copy", "formation/base:1.1.0", f"{target}:1.0.0", "--plain-http", "--force").code == 0
    assert server.repository("a/b").tags["1.0.0"] == second.digest


@pytest.mark.parametrize("command", ["publish", "copy"])
def test_a_store_that_cannot_be_written_does_not_fail_what_is_in_the_registry(formation, server, command):
    image = tiny_image(annotations={VERSION: "1.0.0"})
    write_layout(formation.directory / "layout", image, "1.0.0")
    (formation.store.root).mkdir()
    # For root every directory can be written.
    (formation.store.root / "sent").write_text("")
    target = f"docker://{server.host}/a/b{':1.0.0' if command == 'copy' else ''}"
    result = formation(command, "oci:layout:1.0.0", target, "--plain-http")
    assert result.code == 0
    assert f"note: later pushes may send again what {server.host}/a/b has: {formation.store.root}" in result.stderr
    assert server.repository("a/b").tags["1.0.0"] == image.digest


@pytest.mark.parametrize("command", ["publish", "copy"])
def test_what_is_pushed_leaves_no_image_in_the_store(formation, server, command):
    keep(formation, "1.0.0")
    target = f"docker://{server.host}/a/b{':1.0.0' if command == 'copy' else ''}"
    assert formation(command, "formation/base:1.0.0", target, "--plain-http").code == 0
    references = [row["reference"] for row in json.loads(formation("images", "--json").stdout)["images"]]
    assert references == ["formation/base:1.0.0"]


def test_copy_does_not_believe_a_404_for_a_version_that_is_in_the_list(formation, server):
    first, _ = keep(formation, "1.0.0"), keep(formation, "1.1.0")
    server.add_image("a/b", first, "1.0.0")
    server.fail("HEAD", *[Fault(404)] * 10, where="/manifests/1.0.0")
    refused = formation("copy", "formation/base:1.1.0", f"docker://{server.host}/a/b:1.0.0", "--plain-http")
    assert (refused.code, "is in the list of tags, but asking for it gives 404" in refused.stderr) == (3, True)
    assert server.repository("a/b").tags["1.0.0"] == first.digest


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 501])
def test_copy_writes_a_new_version_where_the_registry_gives_no_list(formation, server, status):
    image = keep(formation, "1.0.0")
    server.fail("GET", *[Fault(status)] * 10, where="/tags/list")
    copied = formation("copy", "formation/base:1.0.0", f"docker://{server.host}/a/b:1.0.0", "--plain-http")
    assert (copied.code, server.repository("a/b").tags) == (0, {"1.0.0": image.digest})
    assert len(server.asked("HEAD", "/manifests/1.0.0")) == 1


def test_copy_does_not_write_a_version_while_the_registry_fails_over_the_list(formation, server, monkeypatch):
    monkeypatch.setattr(Run, "pause", lambda run, seconds: None)
    keep(formation, "1.0.0")
    server.fail("GET", *[Fault(503)] * 10, where="/tags/list")
    copied = formation("copy", "formation/base:1.0.0", f"docker://{server.host}/a/b:1.0.0", "--plain-http")
    assert (copied.code, server.repository("a/b").tags) == (5, {})


def test_a_version_that_lacks_an_architecture_of_its_lock_is_refused(formation, server):
    lock = Lock("sha256:" + "0" * 64, 1, (), {"amd64": (), "arm64": ()})
    digest = add_bytes(formation.store, lock_text(lock).encode())
    found = {}
    for platform in ("amd64", "arm64"):
        image = tiny_image(architecture=platform, annotations={VERSION: "1.0.0", LOCK_DIGEST: digest})
        tag_image(formation.store, parse_reference(f"formation/base:{platform}"), add_image(formation.store, image))
        found[platform] = f"formation/base:{platform}"
    repository = f"docker://{server.host}/team/base"
    refused = formation("publish", found["amd64"], repository, "--plain-http")
    assert (refused.code, "1.0.0 lacks arm64" in refused.stderr) == (3, True)
    assert "--all-architectures" in refused.stderr
    assert server.repository("team/base").tags == {}
    both = formation("publish", *found.values(), repository, "--plain-http")
    assert (both.code, both.stdout.count("written")) == (0, 4)
    alone = formation("publish", found["amd64"], f"{repository}-alone", "--plain-http", "--incomplete")
    assert (alone.code, alone.stdout.count("written")) == (0, 4)


def test_a_refused_login_is_told_with_its_file_and_a_broken_file_is_the_persons_affair(formation, server):
    server.require_basic("me", "secret")
    file = formation.directory / "auth.json"
    login = {"REGISTRY_AUTH_FILE": str(file)}
    file.write_text(json.dumps({"auths": {f"https://{server.host}/": {"auth": "bWU6d3Jvbmc="}}}))
    refused = formation("tags", f"{server.host}/a/b", "--plain-http", environment=login)
    assert (refused.code, f"the login in {file} was refused" in refused.stderr) == (3, True)
    file.write_text("{")
    broken = formation("tags", f"{server.host}/a/b", "--plain-http", environment=login)
    assert (broken.code, str(file) in broken.stderr) == (2, True)


def test_audit_asks_the_registry_who_vouches_for_an_image(formation, server):
    keep(formation, "1.0.0")
    formation("publish", "formation/base:1.0.0", f"docker://{server.host}/team/base", "--plain-http")
    audited = formation("audit", f"docker://{server.host}/team/base:1.0.0", "--plain-http", "--json")
    messages = [each["message"] for each in json.loads(audited.stdout)["findings"] if each["check"] == "attestation"]
    assert messages == [f"the registry has no {what} of the image" for what in ("SBOM", "provenance", "signature")]
    # One client for the image and for what is beside it: one login.
    server.require_bearer()
    server.requests.clear()
    formation("audit", f"docker://{server.host}/team/base:1.0.0", "--plain-http")
    assert len(server.asked("GET", "/token")) == 1
    here = json.loads(formation("audit", "formation/base:1.0.0", "--json").stdout)
    assert not any(each["check"] == "attestation" for each in here["findings"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("pull", "docker://robot:s3cret@localhost:1/acme/v:1.0.2"),
        ("tags", "https://robot:s3cret@localhost:1/acme/v"),
        ("publish", "a:1.0.0", "docker://robot:s3cret@localhost:1/acme/v"),
        ("publish", "a:1.0.0", "robot:s3cret@localhost:1/acme/v"),
        ("pull", "a", "robot:s3cret@localhost:1/acme/v"),
        ("robot:s3cret@localhost:1/acme/v",),
    ],
)
def test_a_password_on_the_command_line_is_not_repeated(formation, arguments):
    result = formation(*arguments)
    assert result.code == 2
    assert "s3cret" not in result.stderr and "robot:…@localhost:1" in result.stderr


def test_a_long_wait_that_a_registry_asks_for_is_said(formation, server, monkeypatch):
    monkeypatch.setattr(Run, "pause", lambda run, seconds: None)
    server.repository("a/b")
    server.fail("GET", Fault(status=429, headers={"Retry-After": "20"}), where="/tags/")
    result = formation("tags", f"{server.host}/a/b", "--plain-http")
    assert (result.code, result.stderr) == (0, f"note: {server.host} asks to wait 20 s\n")


def test_nothing_is_written_to_a_layout_under_a_tag_that_others_cannot_read(formation):
    tag_image(formation.store, parse_reference("formation/base:1.0.0"), add_image(formation.store, tiny_image()))
    write_layout(formation.directory / "odd", tiny_image(), "odd tag")
    for source, target in (("formation/base:1.0.0", "oci:out:bad tag"), ("oci:odd:odd tag", "oci:out")):
        result = formation("copy", source, target)
        assert result.code == 2
        assert "cannot be a tag in a layout" in result.stderr
    assert not (formation.directory / "out").exists()
    assert formation("copy", "oci:odd:odd tag", "oci:out:even").code == 0


def test_nothing_but_the_archive_goes_to_a_stdout_that_it_is_written_to(formation):
    keep(formation, "1.0.0")
    command = [sys.executable, "-m", "formation", "copy", "formation/base:1.0.0", "docker-archive:/dev/stdout"]
    environment = {**os.environ, "FORMATION_STORE": str(formation.store.root)}
    ended = subprocess.run(command, env=environment, capture_output=True, check=True)
    assert not ended.stdout[-1024:].strip(b"\0")
    assert ended.stderr.startswith(b"formation/base:1.0.0  sha256:")
