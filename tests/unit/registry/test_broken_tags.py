"""Publishing into a repository in which something is broken, gone, or says its version elsewhere than we do."""

import json
from dataclasses import replace

import pytest

from fake_registry import Fault
from formation.digest import sha256
from formation.errors import FormationError, IntegrityError, UnreachableError
from formation.oci.config import Execution
from formation.oci.descriptor import Descriptor, Platform
from formation.oci.manifest import Index, index_bytes
from formation.oci.media_types import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from formation.progress import Silent
from formation.registry.lease import is_lease
from formation.registry.listing import list_tags
from formation.registry.moving_tags import held_by
from formation.registry.publish import publications, publish
from formation.registry.refusal import NotThere, RegistryError
from formation.registry.tag_plan import version_tag
from tiny_images import tiny_image

VERSION = "org.opencontainers.image.version"


def image_of(version, **arguments):
    return tiny_image([{"v": version.encode()}], annotations={VERSION: version}, **arguments)


def labelled(version, **arguments):
    """As `docker build` makes it."""
    return tiny_image([{"v": version.encode()}], execution=Execution(labels={VERSION: version}), **arguments)


@pytest.fixture
def publishing(client, reference):
    """Publishes images as these versions into team/base."""

    def publish_images(images, **arguments):
        wanted = publications([(version_tag(version), image) for version, image in images.items()])
        return publish(wanted, reference("team/base"), client, **arguments)

    return publish_images


@pytest.fixture
def published(publishing):
    """Publishes images of ours as these versions."""
    return lambda *versions, **arguments: publishing({each: image_of(each) for each in versions}, **arguments)


@pytest.fixture
def tags(server):
    """The tags as they are now, by their digests; a deletion makes them another dict."""
    return lambda: server.repository("team/base").tags


@pytest.mark.parametrize("kind", ["image", "index", "nested index", "an annotation that is no version"])
def test_latest_stays_at_content_that_says_in_its_label_alone_that_it_is_newer(server, publishing, tags, kind):
    image = labelled("2.0.0")
    if kind.startswith("an annotation"):
        image = labelled("2.0.0", annotations={VERSION: "trixie"})
    publishing({"2.0.0": image})
    standing = image.descriptor
    for _ in range({"index": 1, "nested index": 2}.get(kind, 0)):
        data = index_bytes(Index((standing,)))
        standing = Descriptor(OCI_INDEX, server.add_manifest("team/base", OCI_INDEX, data, "latest"), len(data))
    # Its own tag was removed, or the list lags behind.
    for tag in ("2.0.0", "2.0", "2"):
        del tags()[tag]
    publishing({"1.5.0": image_of("1.5.0")})
    assert tags()["latest"] == standing.digest


@pytest.mark.parametrize("runtime", ["other content", "the same content", "nothing"])
def test_an_image_that_is_of_a_variant_by_option_alone_holds_its_tags_without_its_own(
    server, client, reference, publishing, tags, runtime
):
    image = labelled("2.0.0")  # --variant dev
    publish(publications([(version_tag("2.0.0-dev", "dev"), image)]), reference("team/base"), client)
    for tag in ("2.0.0-dev", "2.0-dev", "2-dev"):
        del tags()[tag]
    before = len(server.asked("GET", f"/blobs/{image.manifest.config.digest}"))
    assert held_by(client.target(reference("team/base")), "latest-dev", image.digest, "dev") == version_tag("2.0.0-dev")
    assert len(server.asked("GET", f"/blobs/{image.manifest.config.digest}")) == before + 1
    if runtime != "nothing":
        server.add_image("team/base", image if "same" in runtime else image_of("2.0.0"), "2.0.0")
    publishing({"1.5.0-dev": image_of("1.5.0-dev")})
    # The runtime's own image under the variant's tag would be somebody's mistake.
    assert tags()["latest-dev"] == (image_of("1.5.0-dev") if "same" in runtime else image).digest
    publishing({"2.0.1-dev": image_of("2.0.1-dev")})
    assert tags()["latest-dev"] == image_of("2.0.1-dev").digest


def test_a_runtime_version_that_is_broken_keeps_no_variant_from_its_tags(server, client, reference, publishing, tags):
    publish(publications([(version_tag("1.0.1-dev", "dev"), labelled("1.0.1"))]), reference("team/base"), client)
    server.add_image("team/base", image_of("1.0.1"), "1.0.1")
    cut(server, image_of("1.0.1"))
    publishing({"1.0.2-dev": image_of("1.0.2-dev")})
    assert tags()["latest-dev"] == image_of("1.0.2-dev").digest


@pytest.mark.parametrize("labels", [True, False])
def test_a_newer_version_that_somebody_writes_meanwhile_latest_first_keeps_latest(server, published, tags, labels):
    published("1.0.0")
    two = labelled("2.0.0") if labels else image_of("2.0.0")
    puts = []

    def push_by_hand(seen):
        if puts == ["latest"]:
            server.add_image("team/base", two, "latest")
            puts.append("theirs")
        if seen.method == "PUT" and seen.path.endswith("/manifests/latest"):
            puts.append("latest")

    server.before = push_by_hand
    published("1.0.1")
    assert puts == ["latest", "theirs"]
    assert (tags()["latest"], tags()["1"]) == (two.digest, image_of("1.0.1").digest)


@pytest.mark.parametrize(
    ("media_type", "data"),
    [
        ("application/vnd.docker.distribution.manifest.v1+json", b'{"schemaVersion": 1, "name": "x"}'),
        (OCI_MANIFEST, b'{"schemaVersion": 2, "config": 3}'),
        (OCI_MANIFEST, b"{"),
        (OCI_INDEX, b'{"schemaVersion": 2, "manifests": [{}]}'),
        # Its config is nowhere.
        (DOCKER_MANIFEST, labelled("2.0.0").manifest_bytes.replace(OCI_MANIFEST.encode(), DOCKER_MANIFEST.encode())),
    ],
)
def test_a_moving_tag_that_stands_for_what_is_no_image_is_nobodys(server, published, tags, media_type, data):
    published("1.0.0")
    server.add_manifest("team/base", media_type, data, "latest")
    published("1.0.1")
    assert tags()["latest"] == image_of("1.0.1").digest


def test_a_moving_tag_whose_manifest_is_gone_is_written_anew(server, published, tags):
    published("1.0.1")
    del server.repository("team/base").manifests[image_of("1.0.1").digest]
    # The greatest version is gone too, and an older one does not take its place.
    assert {step.tag: step.action for step in published("1.0.0").steps} == {
        "1.0.0": "write", "1.0": "stays", "1": "stays", "latest": "stays",
    }  # fmt: skip
    published("1.0.2")
    assert {tags()[name] for name in ("1.0", "1", "latest")} == {image_of("1.0.2").digest}


def cut(server, image):
    """The registry answers 500 for what stands for `image`, as docker-registry does for a manifest cut on its disk."""

    def fail(seen):
        name = seen.path.rpartition("/manifests/")[2]
        if seen.method == "HEAD" and server.repository("team/base").tags.get(name) == image.digest:
            server.fail("HEAD", Fault(status=500), where=seen.path)

    server.before = fail


def test_a_moving_tag_that_fails_as_the_greatest_version_does_is_written_anew(server, published, tags):
    published("1.0.1")
    cut(server, image_of("1.0.1"))
    published("1.0.2")
    assert {tags()[name] for name in ("1.0", "1", "latest")} == {image_of("1.0.2").digest}


@pytest.mark.parametrize(
    "names",
    [
        # It is not the manifest of 1.0.1, and may be something newer.
        ("latest",),
        # Nothing can be read, which will pass.
        ("1.0.1", "1.0", "1", "latest", "the lease"),
    ],
)
def test_a_moving_tag_of_which_nothing_is_known_is_not_written(server, published, tags, names):
    published("1.0.1")

    def fail(seen):
        name = seen.path.rpartition("/manifests/")[2]
        if seen.method == "HEAD" and (name in names or ("the lease" in names and is_lease(name))):
            server.fail("HEAD", Fault(status=500), where=seen.path)

    server.before = fail
    with pytest.raises(UnreachableError, match=r":(latest|1.0|formation-lease-\S+): .* answers 500") as caught:
        published("1.0.2")
    where = f"docker://{server.host}/team/base"
    if names == ("latest",):
        assert (caught.value.hint or "").endswith(f"formation copy {where}:1.0.1 {where}:latest")
    assert tags()["latest"] == image_of("1.0.1").digest


@pytest.mark.parametrize("status", [429, 503])
def test_what_fails_as_nothing_does_that_is_cut_is_not_taken_for_broken(server, published, tags, status):
    published("1.0.0", "1.1.0")
    server.add_image("team/base", image_of("2.0.0"), "latest")
    names = {"latest", "1.1.0"}

    def fail(seen):
        if seen.method == "HEAD" and seen.path.rpartition("/")[2] in names:
            server.fail("HEAD", Fault(status=status), where=seen.path)

    server.before = fail
    with pytest.raises(UnreachableError, match=rf":latest: .* answers {status}"):
        published("1.2.0")
    assert (tags()["latest"], "1.2.0" in tags()) == (image_of("2.0.0").digest, False)
    # Nor is it known that a tag which can be read is wrong.
    names.remove("latest")
    steps = {step.tag: step for step in published("1.0.1").steps}
    assert (steps["latest"].action, f" answers {status}" in (steps["latest"].problem or "")) == ("stays", True)


def test_a_late_patch_is_published_beside_a_greatest_version_that_is_broken(server, published, tags):
    published("1.0.0", "1.1.0")
    tags()["latest"] = image_of("1.0.0").digest
    cut(server, image_of("1.1.0"))
    steps = {step.tag: step for step in published("1.0.1").steps}
    assert {tag: step.action for tag, step in steps.items()} == {
        "1.0.1": "write", "1.0": "move", "1": "stays", "latest": "stays",
    }  # fmt: skip
    # It is there, and broken alike; the other one is whole, and wrong.
    assert (" answers 500 " in (steps["1"].problem or ""), steps["latest"].problem) == (True, None)
    with pytest.raises(UnreachableError, match=r":1\.1\.0: .* answers 500") as caught:
        published("1.1.0")
    assert "mend the registry's storage" in (caught.value.hint or "")


@pytest.mark.parametrize("broken", ["the tag", "what it stands for", "the config of that"])
def test_a_broken_tag_that_is_for_a_newer_version_stops_no_late_patch(server, published, tags, broken):
    published("1.0.0", "1.1.0")
    other = labelled("3.0.0")
    server.add_image("team/base", other, "latest")
    method, wanted = {
        "the tag": ("HEAD", "/manifests/latest"),
        "what it stands for": ("GET", f"/manifests/{other.digest}"),
        "the config of that": ("GET", f"/blobs/{other.manifest.config.digest}"),
    }[broken]

    def fail(seen):
        if seen.method == method and seen.path.endswith(wanted):
            server.fail(method, Fault(status=500), where=seen.path)

    server.before = fail
    steps = {step.tag: step for step in published("1.0.1").steps}
    assert {tag: step.action for tag, step in steps.items()} == {
        "1.0.1": "write", "1.0": "move", "1": "stays", "latest": "stays",
    }  # fmt: skip
    assert (steps["1"].problem, " answers 500 " in (steps["latest"].problem or "")) == (None, True)
    assert (tags()["1.0.1"], tags()["latest"]) == (image_of("1.0.1").digest, other.digest)
    # A newer version would take it, and has to know.
    with pytest.raises(UnreachableError):
        published("1.1.1")


def test_what_a_policy_gives_to_nobody_is_known_by_its_versions_tag(server, published, tags):
    """As Harbor answers where images with known vulnerabilities are not to be pulled: the next version mends them."""
    published("1.0.0")
    digest = image_of("1.0.0").digest

    def refuse(seen):
        if seen.method == "GET" and seen.path.endswith(f"/manifests/{digest}"):
            server.fail("GET", Fault(status=412), where=seen.path)

    server.before = refuse
    published("1.0.1")
    assert tags()["latest"] == image_of("1.0.1").digest
    # Nothing says that this is no newer one.
    tags()["latest"] = digest
    with pytest.raises(RegistryError, match="412"):
        published("1.0.2")


@pytest.mark.parametrize("part", ["config", "layer", "image of an index"])
def test_what_the_registry_has_lost_of_a_version_is_sent_again_by_publishing_it(
    server, client, reference, publishing, tags, part
):
    images = [image_of("1.0.0", architecture=each) for each in ("amd64", "arm64")][: 2 if "index" in part else 1]
    wanted = publications([(version_tag("1.0.0"), image) for image in images])
    publish(wanted, reference("team/base"), client)
    found = server.repository("team/base")
    before = (dict(found.blobs), dict(found.manifests), dict(tags()))
    lost = images[0].manifest.config if part == "config" else images[0].manifest.layers[0]
    if part == "image of an index":
        del found.manifests[images[0].digest]
    else:
        del found.blobs[lost.digest]
    planned = publish(wanted, reference("team/base"), client, dry_run=True)
    assert (planned.unchanged, planned.lacking) == (False, ("1.0.0",))
    assert publish(wanted, reference("team/base"), client).lacking == ("1.0.0",)
    assert (found.blobs, found.manifests, tags()) == before
    assert publish(wanted, reference("team/base"), client).unchanged


@pytest.mark.parametrize("version", ["1.0.0", "1.0.1"])
def test_what_the_registry_does_not_take_anew_is_not_said_to_be_there(server, published, publishing, tags, version):
    published("1.0.0")
    digest = image_of("1.0.0").manifest.layers[0].digest
    blobs = server.repository("team/base").blobs

    def keep(seen):
        # As docker-registry does: what it has of that name stays.
        blobs[digest] = blobs[digest][:10]

    server.before = keep
    before = dict(tags())
    # Both have this layer.
    image = tiny_image([{"v": b"1.0.0"}], annotations={VERSION: version})
    with pytest.raises(IntegrityError, match=r"has 10 bytes of blob sha256:.*, and takes it not anew"):
        publishing({version: image})
    assert tags() == before


def test_a_length_that_only_the_answer_to_head_has_is_no_lost_blob(server, published):
    published("1.0.0")
    digest = image_of("1.0.0").manifest.layers[0].digest
    server.fail("HEAD", Fault(status=200), where=f"/blobs/{digest}")
    assert published("1.0.0").unchanged
    assert len(server.asked("GET", f"/blobs/{digest}")) == 1


def test_a_listed_tag_that_is_gone_or_refused_is_listed_as_broken_and_one_that_vanishes_is_not(
    server, client, reference, published, tags
):
    published("1.0.0")
    digest = f"sha256:{'0' * 64}"
    server.repository("team/base").tags |= {"gone": digest, "vanishing": digest}
    server.fail("GET", Fault(status=400), where="/manifests/1.0.0")

    def vanish(seen):
        if seen.path.endswith("/manifests/vanishing"):
            tags().pop("vanishing", None)

    server.before = vanish
    problems = {entry.tag: entry.content.problem for entry in list_tags(reference("team/base"), client)}
    assert {tag: type(problem) for tag, problem in problems.items() if problem} == {
        "gone": NotThere, "1.0.0": RegistryError,
    }  # fmt: skip
    assert problems.keys() == {"1.0.0", "1.0", "1", "latest", "gone"}


def test_a_config_that_is_refused_hides_no_other_tag(server, client, reference, published):
    published("1.0.0")
    server.fail("GET", Fault(status=400), where="/blobs/")
    problems = {entry.tag: type(entry.content.problem) for entry in list_tags(reference("team/base"), client)}
    assert problems == dict.fromkeys(["1.0.0", "1.0", "1", "latest"], RegistryError)


@pytest.mark.parametrize("config", [b"[]", b'{"os": 3}', b"{" * 100])
def test_a_config_that_is_none_is_nobodys_version(server, published, tags, config):
    published("1.0.0")
    image = json.loads(tiny_image().manifest_bytes)
    image["config"] |= {"digest": sha256(config), "size": len(config)}
    server.repository("team/base").blobs[sha256(config)] = config
    server.add_manifest("team/base", OCI_MANIFEST, json.dumps(image).encode(), "latest")
    published("1.0.1")
    assert tags()["latest"] == image_of("1.0.1").digest


def versions_listed(client, reference):
    """Tag → the version that it is listed with, and the other one that its image calls itself."""
    return {entry.tag: (entry.version, entry.says) for entry in list_tags(reference("team/base"), client)}


@pytest.mark.parametrize("latest", ["1.0.0", "1.1.0"])
def test_a_version_that_something_else_wrote_over_is_told_and_moves_nothing_back(
    server, published, tags, client, reference, latest
):
    published("1.0.0")
    published("1.1.0")
    one, other = image_of("1.0.0").digest, image_of("1.1.0").digest
    tags()["latest"], tags()["1.1.0"] = {"1.0.0": one, "1.1.0": other}[latest], one
    listed = versions_listed(client, reference)
    assert listed["1.1.0"] == ("1.1.0", "1.0.0")
    assert listed["latest"] == ("1.0.0" if latest == "1.0.0" else None, None)
    steps = {step.tag: step for step in published("1.0.1").steps}
    assert steps["latest"].action == "stays"
    assert (steps["latest"].newer, steps["latest"].held) == ("1.1.0", latest == "1.1.0")
    assert steps["latest"].newer_says == "1.0.0"
    assert tags()["latest"] == {"1.0.0": one, "1.1.0": other}[latest]
    with pytest.raises(FormationError, match=r"team/base:1\.1\.0 holds an image that calls itself 1\.0\.0") as caught:
        published("1.1.0")
    assert "formation copy --force IMAGE docker://" in str(caught.value.hint)
    # As that copy does.
    tags()["1.1.0"] = other
    published("1.1.0")
    assert tags()["latest"] == other
    assert {says for _, says in versions_listed(client, reference).values()} == {None}


def test_a_version_that_is_written_over_during_a_publication_takes_no_moving_tag(server, published, tags):
    published("1.0.0")
    puts = []

    def push_by_hand(seen):
        if seen.method == "PUT" and seen.path.endswith("/manifests/latest") and not puts:
            puts.append("theirs")
            server.add_image("team/base", image_of("1.0.0"), "1.1.0")

    server.before = push_by_hand
    published("1.0.1")
    assert (puts, tags()["latest"]) == (["theirs"], image_of("1.0.1").digest)


@pytest.mark.parametrize(
    ("tag", "image", "says"),
    [
        ("1.0.0", image_of("1.0.0"), None),
        ("1.1.0", labelled("1.0.0"), "1.0.0"),
        ("1.1.0", labelled("1.0.0", annotations={VERSION: "1.1.0"}), None),
        ("1.1.0", tiny_image(), None),
        ("1.1.0", labelled("trixie"), None),
        ("1.0.0", image_of("1.0.0-dev"), "1.0.0-dev"),
        ("1.0.0-dev", image_of("1.0.0"), None),
        ("stable", image_of("1.0.0"), None),
    ],
)
def test_an_image_under_a_versions_tag_that_calls_itself_another_is_listed_so(
    server, client, reference, tag, image, says
):
    server.add_image("team/base", image, tag)
    assert versions_listed(client, reference)[tag][1] == says


def test_an_index_under_a_versions_tag_is_what_its_annotation_or_first_image_says(server, client, reference):
    image = image_of("1.0.0")
    server.add_image("team/base", image, "1.0.0")
    for tag, annotations in (("1.1.0", {}), ("1.2.0", {VERSION: "1.2.0"})):
        data = index_bytes(Index((image.descriptor,), annotations))
        server.add_manifest("team/base", OCI_INDEX, data, tag)
    listed = versions_listed(client, reference)
    assert [listed[tag][1] for tag in ("1.0.0", "1.1.0", "1.2.0")] == [None, "1.0.0", None]


def test_platforms_are_listed_as_the_index_says_them_and_a_signature_has_none(server, client, reference):
    images = {each: tiny_image([{"v": each.encode()}], architecture="arm") for each in ("v6", "v7")}
    for image in images.values():
        server.add_image("team/base", image, "")
    entries = [replace(image.descriptor, platform=Platform("linux", "arm", each)) for each, image in images.items()]
    server.add_manifest("team/base", OCI_INDEX, index_bytes(Index(tuple(entries))), "1.0.0")
    signature = json.loads(tiny_image().manifest_bytes)
    for tag, config in (("sha256-1.sig", b'{"os": "", "architecture": ""}'), ("sbom", b"{}")):
        server.repository("team/base").blobs[sha256(config)] = config
        signature["config"] |= {"digest": sha256(config), "size": len(config)}
        server.add_manifest("team/base", OCI_MANIFEST, json.dumps(signature).encode(), tag)
    contents = {entry.tag: entry.content for entry in list_tags(reference("team/base"), client)}
    assert {tag: (each.platforms, each.problem) for tag, each in contents.items()} == {
        "1.0.0": (("linux/arm/v6", "linux/arm/v7"), None), "sha256-1.sig": ((), None), "sbom": ((), None),
    }  # fmt: skip


def test_a_version_that_was_removed_and_comes_with_other_content_is_noted(server, published, publishing, tags, client):
    notes = []

    class Noting(Silent):
        def note(self, message):
            notes.append(message)

    client.progress = Noting()
    published("1.0.0")
    del tags()["1.0.0"]
    publishing({"1.0.0": image_of("1.0.0", architecture="arm64")})
    (note,) = notes
    assert note.startswith("1.0.0 was published on 20") and image_of("1.0.0").digest in note
