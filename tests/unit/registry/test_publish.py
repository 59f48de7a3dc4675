import itertools
import re
import threading
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from fake_registry import FakeRegistry, Fault
from formation.errors import FormationError, MalformedError, UnreachableError, UsageError
from formation.oci.config import Execution
from formation.oci.manifest import parse_index
from formation.oci.media_types import OCI_INDEX, OCI_MANIFEST
from formation.progress import Silent
from formation.registry.artifact import artifact
from formation.registry.history import HISTORY_TAG, Move, note_moves, read_history
from formation.registry.image_version import image_version, stated_version
from formation.registry.lease import SECONDS, is_lease, lease
from formation.registry.listing import list_tags
from formation.registry.publish import Step, publications, publish
from formation.registry.registry import Registry, delete_manifest, put_manifest
from formation.registry.settings import Settings
from formation.registry.tag_plan import version_tag
from tiny_images import tiny_image

VERSION = "org.opencontainers.image.version"


def image_of(version, content=b"", **arguments):
    return tiny_image(
        [{"etc/base": b"base"}, {"v": version.encode() + content}], annotations={VERSION: version}, **arguments
    )


def wanted(*versions, content=b""):
    return publications([(version_tag(version), image_of(version, content)) for version in versions])


@pytest.fixture
def publishing(client, reference):
    """Publishes versions into team/base."""

    def publish_versions(*versions, content=b"", **arguments):
        return publish(wanted(*versions, content=content), reference("team/base"), client, **arguments)

    return publish_versions


def standing(server):
    """Tag → the version that it stands for, as the manifest says; leases and the history left out."""
    found = server.repository("team/base")
    digests = {
        image_of(v).digest: v for v in ("1.0.0", "1.0.1", "1.0.2", "1.1.0", "2.0.0-rc.1", "1.0.0-dev", "1.0.1-dev")
    }
    return {
        tag: digests.get(digest, digest)
        for tag, digest in found.tags.items()
        if not is_lease(tag) and tag != HISTORY_TAG
    }


def test_a_version_gets_its_tag_and_moves_the_others(server, publishing):
    published = publishing("1.0.0")
    assert [(step.tag, step.action) for step in published.steps] == [
        ("1.0.0", "write"), ("1.0", "write"), ("1", "write"), ("latest", "write"),
    ]  # fmt: skip
    assert standing(server) == dict.fromkeys(["1.0.0", "1.0", "1", "latest"], "1.0.0")


def test_a_late_patch_moves_only_its_own_line(server, publishing):
    for version in ("1.0.1", "1.1.0", "1.0.2", "2.0.0-rc.1", "1.0.0-dev"):
        publishing(version)
    found = standing(server)
    moving = {tag: version for tag, version in found.items() if tag != version}
    assert moving == {
        "1.0": "1.0.2", "1.1": "1.1.0", "1": "1.1.0", "latest": "1.1.0",
        "1.0-dev": "1.0.0-dev", "1-dev": "1.0.0-dev", "latest-dev": "1.0.0-dev",
    }  # fmt: skip


def test_a_version_is_written_once(server, publishing):
    publishing("1.0.0")
    before = standing(server)
    with pytest.raises(FormationError, match=r"team/base:1\.0\.0 is published already, with other content"):
        publishing("1.0.0", content=b"other")
    assert standing(server) == before


def test_the_same_content_again_writes_nothing(server, publishing):
    publishing("1.0.0")
    server.requests.clear()
    assert publishing("1.0.0").unchanged
    assert {seen.method for seen in server.requests} <= {"GET", "HEAD"}


def test_a_dry_run_says_the_same_and_writes_nothing(server, publishing):
    publishing("1.0.0")
    server.requests.clear()
    planned = publishing("1.0.1", dry_run=True)
    assert {seen.method for seen in server.requests} <= {"GET", "HEAD"}
    assert publishing("1.0.1").steps == planned.steps


def test_several_versions_and_variants_go_together(server, publishing):
    publishing("1.0.1", "1.0.0", "1.0.1-dev")
    found = standing(server)
    assert (found["latest"], found["1.0"], found["latest-dev"]) == ("1.0.1", "1.0.1", "1.0.1-dev")


def test_images_of_several_platforms_become_one_index(server, client, reference):
    images = [image_of("1.0.0", architecture=name) for name in ("arm64", "amd64")]
    group = publications([(version_tag("1.0.0"), image) for image in images])
    publish(group, reference("team/base"), client)
    found = server.repository("team/base")
    kind, data = found.manifests[found.tags["1.0.0"]]
    assert kind == OCI_INDEX
    assert [str(entry.platform) for entry in parse_index(data).manifests] == ["linux/amd64", "linux/arm64"]
    assert (
        publications([(version_tag("1.0.0"), image) for image in reversed(images)])[0].tree.root == group[0].tree.root
    )


def test_one_platform_of_a_version_that_is_an_index_is_told_to_be_there(client, reference):
    images = [(version_tag("1.0.0"), image_of("1.0.0", architecture=each)) for each in ("amd64", "arm64")]
    publish(publications(images), reference("team/base"), client)
    with pytest.raises(FormationError, match="as an index that has this image for its platform") as caught:
        publish(publications(images[:1]), reference("team/base"), client)
    assert "name the images of all its platforms" in str(caught.value.hint)


def test_two_images_for_one_platform_are_refused():
    with pytest.raises(UsageError, match="two different images for linux/amd64"):
        publications([(version_tag("1.0.0"), image_of("1.0.0", content)) for content in (b"a", b"b")])


def test_tags_are_written_last_and_the_moving_ones_after_the_version(server, publishing):
    publishing("1.0.0")
    puts = [seen.path for seen in server.asked("PUT") if "lease" not in seen.path]
    names = [path.rpartition("/")[2] for path in puts if "/manifests/" in path and "sha256:" not in path]
    assert names == [HISTORY_TAG, "1.0.0", "1.0", "1", "latest"]
    assert puts[-5:] == [f"/v2/team/base/manifests/{name}" for name in names]


@pytest.mark.slow
def test_what_is_cut_anywhere_leaves_nothing_wrong_and_is_finished_by_the_next_run(reference):
    complete = dict.fromkeys(["1.0.1", "1.0", "1", "latest"], "1.0.1") | {"1.0.0": "1.0.0"}
    for cut in itertools.count():
        with FakeRegistry() as server, Registry(Settings(plain_http=True, tries=1)) as client:
            name = type(reference("x"))(f"{server.host}/team/base", None, None)
            publish(wanted("1.0.0"), name, client)
            writes = itertools.count()

            def stop(seen, writes=writes, server=server, cut=cut):
                if seen.method in ("POST", "PUT", "PATCH", "DELETE") and next(writes) >= cut:
                    server.fail(seen.method, Fault(status=500))

            server.before = stop
            try:
                publish(wanted("1.0.1"), name, client)
            except UnreachableError:
                pass
            else:
                assert standing(server) == complete
                break
            found = standing(server)
            # Every tag stands for a version whose own tag is there, and the narrower ones moved first.
            assert set(found.values()) <= found.keys()
            server.before = lambda seen: None
            left = leases(server)
            with Registry(Settings(plain_http=True, pause=partial(expire, server, left))) as again:
                publish(wanted("1.0.1"), name, again)
            assert standing(server) == complete
    assert cut > 8


def leases(server):
    return [tag for tag in server.repository("team/base").tags if is_lease(tag)]


def expire(server, ended, seconds):
    """As if the time of the leases `ended` were over."""
    for tag in ended:
        server.repository("team/base").tags.pop(tag, None)


@pytest.mark.parametrize("deletes", [True, False])
def test_a_lease_is_given_back(server, publishing, deletes):
    server.deletes = deletes
    publishing("1.0.0")
    assert any(is_lease(tag) for tag in server.repository("team/base").tags) != deletes
    # What cannot be removed holds nobody up.
    publishing("1.0.1")
    assert standing(server)["latest"] == "1.0.1"


def test_the_lease_of_a_killed_publisher_is_removed_by_the_next_after_its_end(server, publishing):
    publishing("1.0.0")
    name = f"formation-lease-20200101T000000Z-{'0' * 16}"
    data = artifact("application/vnd.formation.lease.v1", {"dev.formation.lease": name})
    server.add_manifest("team/base", OCI_MANIFEST, data, name)
    publishing("1.0.1")
    assert leases(server) == []
    assert standing(server)["latest"] == "1.0.1"


def test_a_lease_that_lost_its_manifest_and_kept_its_tag_is_removed(server, publishing, monkeypatch):
    """docker-registry does so where another lease is removed at the same moment, and says 404 from then on."""

    def half(session, digest):
        server.repository("team/base").manifests.pop(digest, None)
        monkeypatch.undo()
        return delete_manifest(session, digest)

    monkeypatch.setattr("formation.registry.lease.delete_manifest", half)
    publishing("1.0.0")
    assert leases(server) == []


def test_a_registry_that_says_404_where_it_does_not_delete_has_the_lease_released(server, publishing):
    server.fail("DELETE", *[Fault(404)] * 10)
    publishing("1.0.0")
    assert leases(server)
    publishing("1.0.1")
    assert standing(server)["latest"] == "1.0.1"


@pytest.mark.parametrize(
    "answer",
    [
        Fault(404, body=b'{"errors": [{"code": "NAME_UNKNOWN"}]}'),
        Fault(200, body=b'{"tags": null}'),
        Fault(200, body=b'{"tags": []}'),
        Fault(200, body=b"{}"),
        Fault(200, body=b'{"tags": ["0.9.0", "latest"]}'),
    ],
)
def test_a_list_of_tags_that_lacks_some_has_nothing_overwritten(server, publishing, answer):
    publishing("1.1.0")
    before = standing(server)
    server.fail("GET", *[answer] * 1000, where="/tags/list")
    with pytest.raises(FormationError, match="published already, with other content"):
        publishing("1.1.0", content=b"other")
    for version in ("1.0.2", "1.2.0"):
        with pytest.raises(FormationError, match=r"the list of the tags of .* lacks formation-lease-"):
            publishing(version)
    assert standing(server) == before
    assert leases(server) == []


@pytest.mark.parametrize("times", [2, 1000])
def test_a_version_that_is_listed_but_answers_404_is_not_overwritten(server, publishing, times):
    publishing("1.1.0")
    before = standing(server)
    for method in ("HEAD", "GET"):
        server.fail(method, *[Fault(404)] * times, where="/manifests/1.1.0")
    with pytest.raises(FormationError, match=r"team/base:1\.1\.0 is in the list of tags, but asking for it gives 404"):
        publishing("1.1.0", content=b"other")
    assert standing(server) == before
    assert leases(server) == []


def test_a_version_that_answers_404_only_under_the_lease_moves_nothing(server, publishing):
    publishing("1.1.0")
    before = standing(server)

    def hide(seen):
        if seen.method == "PUT" and "formation-lease-" in seen.path:
            server.fail("HEAD", *[Fault(404)] * 10, where="/manifests/1.1.0")

    server.before = hide
    with pytest.raises(FormationError, match="asking for it gives 404"):
        publishing("1.1.0", "1.2.0")
    assert standing(server) == before


def test_latest_that_is_listed_but_answers_404_goes_to_the_greatest_version_of_the_list(server, publishing):
    publishing("1.0.1")
    server.fail("HEAD", *[Fault(404)] * 2, where="/manifests/latest")
    publishing("1.0.0")
    assert standing(server)["latest"] == "1.0.1"
    server.fail("HEAD", *[Fault(404)] * 2, where="/manifests/latest")
    publishing("1.0.2")
    assert standing(server)["latest"] == "1.0.2"


def test_a_list_of_tags_that_lags_behind_is_waited_for(server, publishing):
    publishing("1.1.0")
    server.fail("GET", *[Fault(200, body=b'{"tags": ["1.0.0"]}')] * 10, where="/tags/list")
    publishing("1.0.2")
    assert standing(server)["latest"] == "1.1.0"


def test_the_lease_has_one_holder_at_a_time(server, reference):
    inside, most, lock = [0], [0], threading.Lock()

    def work():
        with Registry(Settings(plain_http=True, pause=lambda seconds: threading.Event().wait(0.002))) as client:
            session = client.target(reference("team/base"))
            for _ in range(3):
                with lease(session):
                    with lock:
                        inside[0] += 1
                        most[0] = max(most[0], inside[0])
                    session.call("GET", "/v2/", "x", ())
                    with lock:
                        inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 1
    assert server.repository("team/base").tags == {}


def test_a_publisher_who_took_too_long_writes_no_more(server, reference):
    now = [0.0]
    with Registry(Settings(plain_http=True, clock=lambda: now[0])) as client:

        def stall(seen):
            if seen.method == "PUT" and seen.path.endswith("/manifests/1.0.0"):
                now[0] += SECONDS

        server.before = stall
        with pytest.raises(FormationError, match="took too long"):
            publish(wanted("1.0.0"), reference("team/base"), client)
        assert standing(server) == {"1.0.0": "1.0.0"}
        server.before = lambda seen: None
        publish(wanted("1.0.0"), reference("team/base"), client)
    assert standing(server)["latest"] == "1.0.0"


def test_publishers_at_once_leave_every_tag_at_the_greatest_version(server, reference):
    versions = ["1.0.0", "1.0.1", "1.0.2", "1.1.0"]
    seen_latest = []
    server.before = lambda seen: seen_latest.append(server.repository("team/base").tags.get("latest"))
    errors = []

    def work(version):
        with Registry(Settings(plain_http=True, pause=lambda seconds: threading.Event().wait(0.002))) as client:
            try:
                publish(wanted(version), reference("team/base"), client)
            except FormationError as error:
                errors.append(error)

    threads = [threading.Thread(target=work, args=(version,)) for version in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert standing(server) == {version: version for version in versions} | {
        "1.0": "1.0.2", "1.1": "1.1.0", "1": "1.1.0", "latest": "1.1.0",
    }  # fmt: skip
    order = [image_of(version).digest for version in versions]
    moved = [order.index(digest) for digest in seen_latest if digest is not None]
    assert moved == sorted(moved)


def test_of_two_publishers_of_one_version_one_wins_and_the_other_says_so(server, reference):
    results = []

    def work(content):
        with Registry(Settings(plain_http=True, pause=lambda seconds: threading.Event().wait(0.002))) as client:
            try:
                publish(wanted("1.0.0", content=content), reference("team/base"), client)
                results.append(image_of("1.0.0", content).digest)
            except FormationError as error:
                results.append(error.message)

    threads = [threading.Thread(target=work, args=(content,)) for content in (b"a", b"b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    won = server.repository("team/base").tags["1.0.0"]
    assert won in results
    assert sum("with other content" in result for result in results) == 1
    assert server.repository("team/base").tags["latest"] == won


def test_a_publisher_that_waits_says_so_and_that_another_was_first(server, reference):
    class Notes(Silent):
        def note(self, message):
            notes.append(message)

    notes, waits = [], []
    with Registry(Settings(plain_http=True)) as other:

        def finish(seconds):
            waits.append(seconds)
            server.add_manifest("team/base", OCI_MANIFEST, image_of("1.0.0", b"theirs").manifest_bytes, "1.0.0")
            holder.close()

        with Registry(Settings(plain_http=True, pause=finish), Notes()) as client, ExitStack() as holder:
            holder.enter_context(lease(other.target(reference("team/base"))))
            with pytest.raises(FormationError, match="by another publisher at the same time, with other content"):
                publish(wanted("1.0.0"), reference("team/base"), client)
    assert waits
    assert len(notes) == 1
    assert notes[0].endswith("team/base: waiting for it (if it was killed, 120 seconds at most)")


def test_a_publisher_without_leases_that_wrote_meanwhile_is_put_right(server, publishing):
    publishing("1.0.1")
    publishing("1.1.0")
    tags = server.repository("team/base").tags
    newer = tags.pop("1.1.0")
    del tags["1.1"]
    tags["latest"] = tags["1"] = tags["1.0.1"]

    def meddle(seen):
        # Somebody pushes 1.1.0 by hand, just before our `latest` is written.
        if seen.method == "PUT" and seen.path.endswith("/latest"):
            tags["1.1.0"] = newer

    server.before = meddle
    publishing("1.0.2")
    assert standing(server)["latest"] == "1.1.0"


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ("1.0.0", "1.0.0 was written, and is not there: somebody has removed it, or the registry did not keep it"),
        (
            "latest",
            "latest was written for 1.0.0 5 times, and does not stay: something else writes it, or the registry",
        ),
    ],
)
def test_a_tag_that_the_registry_takes_and_does_not_keep_is_told(server, publishing, tag, message):
    server.fail("PUT", *[Fault(status=202)] * 9, where=f"/manifests/{tag}")
    with pytest.raises(FormationError) as caught:
        publishing("1.0.0")
    assert f"{server.host}/team/base:{message}" in caught.value.message
    assert not any(is_lease(each) for each in server.repository("team/base").tags)


def test_latest_stays_at_content_that_says_it_is_newer(server, publishing):
    publishing("1.1.0")
    # Its version tag was removed, and it is still newer.
    tags = server.repository("team/base").tags
    del tags["1.1.0"], tags["1.1"]
    publishing("1.0.2")
    assert standing(server)["latest"] == "1.1.0"


def test_a_moving_tag_that_stands_for_another_line_is_put_right_by_the_greatest_of_its_own(server, publishing):
    publishing("1.0.1")
    publishing("10.0.0")
    tags = server.repository("team/base").tags
    tags["1"] = tags["1.0"] = tags["10.0.0"]
    tags["latest"] = tags["1.0.1"]
    assert publishing("1.0.0").steps[-1] == Step(
        "latest", "stays", tags["1.0.1"], tags["1.0.1"], newer="10.0.0", held=False
    )
    publishing("1.0.1")
    tags = server.repository("team/base").tags
    assert (tags["1"], tags["1.0"], tags["latest"]) == (tags["1.0.1"],) * 3
    publishing("10.0.0")
    tags = server.repository("team/base").tags
    assert tags["latest"] == tags["10.0.0"]
    assert tags["1"] == tags["1.0.1"]


def test_the_version_of_an_image_is_what_it_says_or_its_tag():
    assert image_version(image_of("1.0.1-dev"), "x", "other", None) == version_tag("1.0.1-dev")
    assert image_version(tiny_image(), "x", "1.0.2", None) == version_tag("1.0.2")
    assert image_version(labelled("1.0.1", annotation="1.0.1"), "x", "1.0.1", None) == version_tag("1.0.1")
    assert image_version(labelled("1.0.1"), "x", "latest", None) == version_tag("1.0.1")


def labelled(label, annotation=None):
    return tiny_image(
        execution=Execution(labels={VERSION: label}), annotations={VERSION: annotation} if annotation else {}
    )


@pytest.mark.parametrize(
    ("label", "annotation", "variant", "expected"),
    [
        ("1.0.1", None, None, version_tag("1.0.1")),
        ("1.0.1", "2.0.0", None, version_tag("2.0.0")),
        # What is no version says nothing.
        ("1.0.1-dev", "trixie", None, version_tag("1.0.1-dev")),
        ("1.0.1-dev", None, "dev", version_tag("1.0.1-dev", "dev")),
        ("1.0.1", None, "dev", None),
        ("trixie", None, None, None),
    ],
)
def test_an_image_states_a_version_in_its_annotation_or_else_in_its_label(label, annotation, variant, expected):
    image = labelled(label, annotation)
    assert stated_version(image.manifest.annotations, lambda: image.config.execution.labels, variant) == expected


@pytest.mark.parametrize(
    ("label", "annotation", "tag", "variant", "message"),
    [
        # As Docker builds it above our base.
        ("1.0.0", None, "5.0.0", None, "x has more than one version: its label says 1.0.0, its name says 5.0.0"),
        ("1.0.0", "2.0.0", "latest", None, "its annotation says 2.0.0, its label says 1.0.0"),
        ("1.0.0", "2.0.0", "2.0.0", None, "its annotation says 2.0.0, its label says 1.0.0, its name says 2.0.0"),
        ("1.0.0", None, "1.0.0-dev", None, "its label says 1.0.0, its name says 1.0.0-dev"),
        ("1.0.0", None, "1.1.0-dev", "dev", "its label says 1.0.0, its name says 1.1.0-dev"),
        ("1.0.0-dev", None, "1.0.0", "", "its label says 1.0.0-dev, its name says 1.0.0"),
    ],
)
def test_versions_of_one_image_that_contradict_each_other_are_refused(label, annotation, tag, variant, message):
    with pytest.raises(UsageError) as caught:
        image_version(labelled(label, annotation), "x", tag, variant)
    assert message in caught.value.message
    same = (label, tag) == ("1.0.0", "1.0.0-dev")
    assert ("--variant dev" if same else "the base's: write LABEL org.opencontainers") in (caught.value.hint or "")


def test_a_version_may_stand_without_the_suffix_of_the_variant_that_is_named():
    assert image_version(labelled("1.0.0"), "x", "1.0.0-dev", "dev") == version_tag("1.0.0-dev", "dev")


@pytest.mark.parametrize(
    ("label", "why"),
    [
        ("13.1", "a version has three numbers"),
        ("v3.0.0", "a version is written without v"),
        ("3.0.0+build", r"no tag can have a \+"),
        ("trixie", "a version is MAJOR.MINOR.PATCH"),
    ],
)
def test_a_label_that_is_no_version_is_told_with_the_reason(label, why):
    with pytest.raises(UsageError, match=f"x carries no version; its label says '{re.escape(label)}': {why}$"):
        image_version(labelled(label), "x", None, None)


def test_a_list_of_tags_tells_versions_from_what_moves(server, publishing, client, reference):
    publishing("1.0.1")
    publishing("1.1.0")
    server.deletes = False
    publishing("1.0.2")
    entries = list_tags(reference("team/base"), client)
    assert [(entry.tag, entry.version) for entry in entries] == [
        ("1.1.0", "1.1.0"), ("1.0.2", "1.0.2"), ("1.0.1", "1.0.1"),
        ("1", "1.1.0"), ("1.0", "1.0.2"), ("1.1", "1.1.0"), ("latest", "1.1.0"),
    ]  # fmt: skip
    first = entries[0].content
    assert (first.platforms, first.created) == (("linux/amd64",), "2026-01-02T03:04:05Z")
    assert first.size == image_of("1.1.0").size


def told(client, reference):
    """Tag → the versions before and after each of its moves."""
    entries = list_tags(reference("team/base"), client)
    versions = {entry.content.digest: entry.version for entry in entries}
    return {e.tag: [(versions.get(m.before), versions.get(m.after)) for m in e.moves] for e in entries}


def test_the_history_tells_what_moved_when(server, publishing, client, reference):
    publishing("1.0.0")
    publishing("1.1.0")
    publishing("1.0.1")
    assert told(client, reference) == {
        "1.1.0": [(None, "1.1.0")], "1.0.1": [(None, "1.0.1")], "1.0.0": [(None, "1.0.0")],
        "1": [(None, "1.0.0"), ("1.0.0", "1.1.0")],
        "1.0": [(None, "1.0.0"), ("1.0.0", "1.0.1")],
        "1.1": [(None, "1.1.0")],
        "latest": [(None, "1.0.0"), ("1.0.0", "1.1.0")],
    }  # fmt: skip
    moved = {entry.tag: entry.moved for entry in list_tags(reference("team/base"), client)}
    began = datetime.fromisoformat(moved["1.0.0"].at)
    assert abs(datetime.now(UTC) - began) < timedelta(minutes=5)
    assert moved["1.0.0"].at <= moved["latest"].at <= moved["1.0.1"].at


def test_a_tag_that_somebody_else_wrote_is_not_told_wrongly(server, publishing, client, reference):
    publishing("1.0.0")
    publishing("1.0.1")
    tags = server.repository("team/base").tags
    tags["latest"] = tags["1.0.0"]
    moved = {entry.tag: entry.moved for entry in list_tags(reference("team/base"), client)}
    assert moved["latest"] is None
    assert moved["1.0"].after == tags["1.0.1"]


def test_a_move_that_had_not_come_about_is_noted_once(client, reference, publishing):
    publishing("1.0.0")
    session = client.target(reference("team/base"))
    # Twice announced, and given up for another content.
    early, late, instead = (
        Move(f"2026-11-24T0{n}:00:00Z", "1.1", None, f"sha256:{str(n // 3) * 64}") for n in (1, 2, 3)
    )
    other = Move("2026-11-24T04:00:00Z", "1.1", instead.after, f"sha256:{'2' * 64}")
    before = read_history(session)
    for move in (early, late, instead, other):
        note_moves(session, [move], guard=lambda: None)
    assert read_history(session) == (*before, instead, other)


def test_a_move_that_has_not_come_about_is_not_told(server, client, reference, publishing):
    publishing("1.0.0")
    digest = server.repository("team/base").tags["1.0.0"]
    note_moves(
        client.target(reference("team/base")),
        [Move("2030-01-01T00:00:00Z", tag, digest, f"sha256:{'1' * 64}") for tag in ("1.0", "1", "latest")],
        guard=lambda: None,
    )
    assert {tag: len(moves) for tag, moves in told(client, reference).items()} == dict.fromkeys(
        ["1.0.0", "1.0", "1", "latest"], 1
    )
    # Somebody may also have moved them back: since when they are there again is not known.
    moved = {entry.tag: entry.moved for entry in list_tags(reference("team/base"), client)}
    assert [tag for tag, move in moved.items() if move] == ["1.0.0"]


def test_tags_are_listed_although_their_history_is_refused(server, client, reference, publishing):
    publishing("1.0.0")
    server.fail("GET", Fault(status=403), where=HISTORY_TAG)
    assert {entry.moved for entry in list_tags(reference("team/base"), client)} == {None}


def test_the_history_keeps_the_newest(client, reference, publishing):
    publishing("1.0.0")
    session = client.target(reference("team/base"))
    moves = [Move("2026-11-24T01:00:00Z", f"1.{n}", None, f"sha256:{'1' * 64}") for n in range(600)]
    note_moves(session, moves, guard=lambda: None)
    assert read_history(session) == tuple(moves[-500:])


@pytest.mark.parametrize("theirs", ["an image", "no moves"])
def test_what_a_stranger_wrote_as_the_history_stays_and_stops_nobody(server, publishing, client, reference, theirs):
    session = client.target(reference("team/base"))
    publishing("1.0.0")
    found = server.repository("team/base")
    if theirs == "an image":
        found.tags[HISTORY_TAG] = found.tags["1.0.0"]
    else:
        data = artifact("application/x", {"dev.formation.history": "yesterday latest moved \x1b[31m"})
        put_manifest(session, data, OCI_MANIFEST, HISTORY_TAG)
    before = found.tags[HISTORY_TAG]
    publishing("1.0.1")
    assert found.tags[HISTORY_TAG] == before
    assert standing(server)["latest"] == "1.0.1"
    with pytest.raises(MalformedError, match="formation-history"):
        read_history(session)
    assert {entry.moved for entry in list_tags(reference("team/base"), client)} == {None}


def test_a_repository_that_refuses_the_history_is_published_to_all_the_same(server, publishing):
    publishing("1.0.0")
    refused = server.repository("team/base").tags[HISTORY_TAG]
    server.fail("PUT", Fault(status=405), where=HISTORY_TAG)
    publishing("1.0.1")
    assert server.repository("team/base").tags[HISTORY_TAG] == refused
    assert standing(server)["latest"] == "1.0.1"
