import threading
from dataclasses import replace

import pytest

from fake_registry import FakeRegistry, Fault
from formation.errors import FormationError, IntegrityError, MalformedError, UnreachableError
from formation.oci.descriptor import Platform
from formation.oci.image import image_of
from formation.oci.manifest import Index, index_bytes
from formation.oci.media_types import OCI_INDEX
from formation.oci.validate import validate
from formation.registry import pull
from formation.registry.pull import pull_all, pull_image
from formation.registry.refusal import NotThere
from formation.registry.registry import tags
from formation.registry.tree import tree_at
from formation.store.blobs import StoreBlobs
from formation.store.images import find_image, list_images, open_stored, remove_image
from formation.store.locking import remove_tree
from formation.store.prune import prune
from tiny_images import noise, tiny_image

AMD64 = Platform("linux", "amd64")


def big_image():
    return tiny_image([{"data": noise(20_000)}], compression="none")


def largest(image):
    return max(image.manifest.layers, key=lambda layer: layer.size).digest


def test_an_image_comes_whole_and_under_its_reference(server, client, store, name, reference):
    image = tiny_image()
    server.add_image("a/b", image, "1.0.0")
    pulled = pull_image(name("a/b:1.0.0"), store, client)
    assert pulled.digest == image.digest
    assert validate(pulled) == ()
    assert open_stored(store, reference("a/b:1.0.0")).digest == image.digest


def test_what_the_store_has_is_not_fetched_again(server, client, store, name):
    server.add_image("a/b", tiny_image(), "1.0.0")
    pull_image(name("a/b:1.0.0"), store, client)
    server.requests.clear()
    pull_image(name("a/b:1.0.0"), store, client)
    assert server.asked("GET", "/blobs/") == []


def test_a_name_with_a_digest_needs_no_network_when_all_is_there(server, client, store, name):
    digest = server.add_image("a/b", tiny_image(), "1.0.0")
    pull_image(name(f"a/b@{digest}"), store, client)
    server.requests.clear()
    assert pull_image(name(f"a/b:1.0.0@{digest}"), store, client).digest == digest
    assert server.requests == []


def test_a_cut_download_goes_on_where_it_was(server, client, store, name):
    image = big_image()
    server.add_image("a/b", image, "1")
    server.fail("GET", Fault(cut_answer=7000), where=largest(image))
    assert validate(pull_image(name("a/b:1"), store, client)) == ()
    ranges = [seen.headers.get("range") for seen in server.asked("GET", largest(image))]
    assert ranges == [None, "bytes=7000-"]


def test_a_cut_manifest_is_asked_for_again(server, client, store, name):
    image = tiny_image()
    server.add_image("a/b", image, "1")
    server.fail("GET", Fault(cut_answer=30), where="/manifests/1")
    assert pull_image(name("a/b:1"), store, client).digest == image.digest


def test_a_busy_server_is_given_the_time_it_asks_for(server, client, store, name, pauses):
    server.add_image("a/b", tiny_image(), "1")
    busy = Fault(status=429, headers={"Retry-After": "7"})
    server.fail("GET", busy, Fault(status=503), where="/manifests/")
    pull_image(name("a/b:1"), store, client)
    assert pauses[0] == 7
    assert len(pauses) == 2


def test_a_server_that_stays_broken_is_unreachable(server, client, store, name):
    server.fail("GET", *[Fault(status=502)] * 4, where="/manifests/")
    with pytest.raises(UnreachableError, match="502 Bad Gateway, 4 times in a row"):
        pull_image(name("a/b:1"), store, client)


def test_a_tag_that_is_not_there_is_said_to_be_so(server, client, store, name):
    with pytest.raises(NotThere, match=r"a/b:1: .* answers 404 Not Found: manifest_unknown") as caught:
        pull_image(name("a/b:1"), store, client)
    assert caught.value.hint == f"what is there: formation tags {server.host}/a/b"


@pytest.mark.parametrize("part", ["layer", "config"])
def test_wrong_bytes_are_refused_and_leave_no_reference(server, client, store, name, reference, part):
    image = big_image()
    server.add_image("a/b", image, "1")
    digest = largest(image) if part == "layer" else image.manifest.config.digest
    blobs = server.repository("a/b").blobs
    blobs[digest] = b"x" + blobs[digest][1:]
    with pytest.raises(IntegrityError, match=digest):
        pull_image(name("a/b:1"), store, client)
    with pytest.raises(FormationError):
        find_image(store, reference("a/b:1"))


def test_a_body_that_goes_on_after_its_size_is_refused(server, client, store, name):
    image = big_image()
    server.add_image("a/b", image, "1")
    server.repository("a/b").blobs[largest(image)] += b"more"
    with pytest.raises(IntegrityError, match="bytes, but"):
        pull_image(name("a/b:1"), store, client)


def test_a_manifest_of_other_bytes_than_its_digest_is_refused(server, client, store, name):
    digest = server.add_image("a/b", tiny_image(), "1")
    kind, data = server.repository("a/b").manifests[digest]
    server.repository("a/b").manifests[digest] = (kind, data + b" ")
    with pytest.raises(IntegrityError, match="was promised"):
        pull_image(name(f"a/b@{digest}"), store, client)


def test_a_manifest_over_4_mib_is_refused(server, client, store, name):
    server.add_manifest("a/b", "application/vnd.oci.image.manifest.v1+json", b" " * (4 << 20) + b"{}", "1")
    with pytest.raises(IntegrityError, match="4194304 bytes"):
        pull_image(name("a/b:1"), store, client)


def test_something_that_is_no_image_is_refused(server, client, store, name):
    server.add_manifest("a/b", "text/html", b"{}", "1")
    with pytest.raises(MalformedError, match="neither an image nor an index"):
        pull_image(name("a/b:1"), store, client)


def index_of(server, *images):
    for image in images:
        server.add_image("a/b", image, "")
    data = index_bytes(Index(tuple(image.descriptor for image in images)))
    server.add_manifest("a/b", OCI_INDEX, data, "1")


def test_the_platform_chooses_from_an_index(server, client, store, name):
    ours, theirs = tiny_image(), tiny_image(architecture="arm64")
    index_of(server, ours, theirs)
    assert pull_image(name("a/b:1"), store, client, platform=Platform("linux", "arm64")).digest == theirs.digest
    assert pull_image(name("a/b:1"), store, client, platform=AMD64).digest == ours.digest
    with pytest.raises(FormationError, match="linux/amd64, linux/arm64"):
        pull_image(name("a/b:1"), store, client, platform=Platform("linux", "s390x"))


def test_an_index_comes_whole_when_asked_for(server, client, store, name, reference):
    images = tiny_image(), tiny_image(architecture="arm64")
    index_of(server, *images)
    pull_all(name("a/b:1"), store, client)
    for image in images:
        assert validate(open_stored(store, reference("a/b:1"), image.config.platform)) == ()


@pytest.fixture
def by_digest(server):
    """a/b@DIGEST in the registry: an index for amd64, arm64 and s390x, tagged 1."""
    index_of(server, *(tiny_image(architecture=each) for each in ("amd64", "arm64", "s390x")))
    return f"a/b@{server.repository('a/b').tags['1']}"


def kept(store):
    """Reference, without the host → the platforms that it stands for here."""
    found = {}
    for stored in list_images(store):
        tree = tree_at(StoreBlobs(store), stored.descriptor)
        platforms = [str(image_of(StoreBlobs(store), each.data).config.platform) for each in tree.manifests[:-1]]
        platforms = platforms or [str(open_stored(store, stored.reference).config.platform)]
        found[str(stored.reference).partition("/")[2]] = platforms
    return found


@pytest.mark.parametrize("tagged", [False, True])
def test_one_image_of_an_index_does_not_take_the_place_of_the_whole(server, client, store, name, by_digest, tagged):
    wanted = "a/b:1" if tagged else by_digest
    pull_all(name(wanted), store, client)
    pull_image(name(wanted), store, client, platform=AMD64)
    prune(store, before=None, remove=remove_tree)
    assert kept(store) == {wanted: ["linux/amd64", "linux/arm64", "linux/s390x"]}
    pull_image(name(wanted), store, client, platform=Platform("linux", "s390x"))
    assert kept(store) == {wanted: ["linux/amd64", "linux/arm64", "linux/s390x"]}


def test_images_that_come_one_by_one_of_an_index_stand_beside_each_other(client, store, name, reference, by_digest):
    for architecture in ("arm64", "amd64", "arm64"):
        pull_image(name(by_digest), store, client, platform=Platform("linux", architecture))
    prune(store, before=None, remove=remove_tree)
    assert kept(store) == {by_digest: ["linux/amd64", "linux/arm64"]}
    for architecture in ("arm64", "amd64"):
        image = open_stored(store, reference(by_digest), Platform("linux", architecture))
        assert (image.config.platform.architecture, validate(image)) == (architecture, ())


def test_when_all_of_an_index_has_come_one_by_one_it_is_that_index(client, store, name, reference, by_digest):
    def pull_one(architecture):
        pull_image(name("a/b:1"), store, client, platform=Platform("linux", architecture))
        return find_image(store, reference("a/b:1")).descriptor.digest == by_digest.partition("@")[2]

    assert [pull_one(each) for each in ("arm64", "amd64", "arm64", "s390x", "arm64")] == [*[False] * 3, True, True]
    prune(store, before=None, remove=remove_tree)
    assert kept(store) == {"a/b:1": ["linux/amd64", "linux/arm64", "linux/s390x"]}


def test_an_image_that_came_of_an_index_knows_all_that_this_lists(client, store, name, reference, by_digest):
    for architecture in ("amd64", "arm64", "s390x"):
        platform = Platform("linux", architecture)
        pull_image(name("a/b:1"), store, client, platform=platform)
        listed = open_stored(store, reference("a/b:1"), platform).listed
        assert [str(each.platform) for each in listed] == ["linux/amd64", "linux/arm64", "linux/s390x"]


def test_images_whose_variant_only_the_index_knows_are_told_apart(server, client, store, name, reference):
    images = {each: tiny_image([{"v": each.encode()}], architecture="arm") for each in ("v5", "v6", "v7")}
    for image in images.values():
        server.add_image("a/b", image, "")
    entries = (replace(image.descriptor, platform=Platform("linux", "arm", each)) for each, image in images.items())
    server.add_manifest("a/b", OCI_INDEX, index_bytes(Index(tuple(entries))), "1")
    for variant in ("v6", "v7"):
        pull_image(name("a/b:1"), store, client, platform=Platform("linux", "arm", variant))
    for variant in ("v6", "v7"):
        found = open_stored(store, reference("a/b:1"), Platform("linux", "arm", variant))
        assert found.digest == images[variant].digest
    with pytest.raises(FormationError, match="more than one fits linux/arm; it has: linux/arm/v6, linux/arm/v7"):
        open_stored(store, reference("a/b:1"), Platform("linux", "arm"))


def test_the_digest_of_an_index_needs_no_network_after_a_prune(server, client, store, name, by_digest):
    for wanted in (by_digest, by_digest.replace("@", ":1@")):
        pull_image(name(wanted), store, client, platform=AMD64)
        prune(store, before=None, remove=remove_tree)
        server.requests.clear()
        for again in (by_digest, by_digest.replace("@", ":1@")):
            pull_image(name(again), store, client, platform=AMD64, tag=False)
        assert server.requests == []


def test_what_came_by_tag_and_digest_is_one_image_that_both_find_and_forget(client, store, name, reference, by_digest):
    both = by_digest.replace("@", ":1@")
    for wanted in ("a/b:1", both, by_digest):
        pull_image(name(both), store, client, platform=AMD64)
        assert kept(store) == {"a/b:1": ["linux/amd64"]}
        assert find_image(store, reference(both)) == find_image(store, reference(by_digest))
        remove_image(store, reference(wanted))
        assert list_images(store) == ()


def test_a_tag_that_has_moved_to_another_index_keeps_nothing_of_the_old(server, client, store, name, by_digest):
    pull_image(name("a/b:1"), store, client, platform=AMD64)
    index_of(server, tiny_image([{"x": b"x"}], architecture="arm64"))
    pull_image(name("a/b:1"), store, client, platform=Platform("linux", "arm64"))
    assert kept(store) == {"a/b:1": ["linux/arm64"]}


@pytest.mark.parametrize("whole", [True, False])
def test_no_prune_takes_what_is_being_pulled(server, client, store, name, reference, monkeypatch, whole):
    server.add_image("a/b", tiny_image(), "1")
    keep, refused = pull.keep_pulled, []

    def prune_first(*arguments):
        with pytest.raises(FormationError, match="is in use"):
            prune(store, before=None, remove=remove_tree)
        refused.append(True)
        keep(*arguments)

    monkeypatch.setattr(pull, "keep_pulled", prune_first)
    pull_all(name("a/b:1"), store, client) if whole else pull_image(name("a/b:1"), store, client)
    assert refused
    prune(store, before=None, remove=remove_tree)
    assert validate(open_stored(store, reference("a/b:1"))) == ()


def test_indexes_without_end_are_refused(server, client, store, name):
    # Each index names the next by its digest, so a circle cannot be made; a long chain can.
    image = tiny_image()
    server.add_image("a/b", image, "")
    child = image.descriptor
    for _ in range(8):
        data = index_bytes(Index((child,)))
        digest = server.add_manifest("a/b", OCI_INDEX, data, "1")
        child = type(child)(OCI_INDEX, digest, len(data))
    with pytest.raises(FormationError, match="levels of indexes"):
        pull_all(name("a/b:1"), store, client)
    with pytest.raises(FormationError):
        pull_image(name("a/b:1"), store, client)


def test_redirects_are_followed_and_never_carry_the_login_elsewhere(server, store, name, logged_in):
    image = tiny_image()
    server.add_image("a/b", image, "1")
    server.require_basic("me", "secret")
    digest = image.manifest.layers[0].digest
    with FakeRegistry() as other, logged_in("me", "secret") as client:
        other.repository("a/b").blobs[digest] = image.source.content[digest]
        location = f"http://localhost:{other.host.rpartition(':')[2]}/v2/a/b/blobs/{digest}"
        server.fail("GET", Fault(status=307, headers={"Location": location}), where=digest)
        assert validate(pull_image(name("a/b:1"), store, client)) == ()
        (seen,) = other.requests
    assert "authorization" not in seen.headers
    assert "authorization" in server.asked("GET", digest)[0].headers


@pytest.mark.parametrize(
    "location", ["ftp://x/y?secret", "http://[?secret", "http://a:99999/?secret", "http://a:-1/?secret", ""]
)
def test_a_redirect_that_leads_nowhere_is_refused_without_showing_its_secrets(server, client, store, name, location):
    server.fail("GET", Fault(status=302, headers={"Location": location}), where="/manifests/")
    with pytest.raises(UnreachableError, match="redirects to") as caught:
        pull_image(name("a/b:1"), store, client)
    assert "secret" not in caught.value.message


def test_a_redirect_loop_ends(server, client, store, name):
    location = f"http://{server.host}/v2/a/b/manifests/1"
    server.fail("GET", *[Fault(status=307, headers={"Location": location})] * 20, where="/manifests/")
    with pytest.raises(UnreachableError, match="redirects more than 8 times"):
        pull_image(name("a/b:1"), store, client)


def test_all_pages_of_tags_are_read(server, client, reference):
    for number in range(23):
        server.repository("a/b").tags[f"1.0.{number}"] = "sha256:" + "0" * 64
    assert len(tags(client.target(reference("a/b")))) == 23


@pytest.mark.parametrize("link", ["</v2/a/b/tags/list?n=1000>", "</v2/a/b/tags/list?n=1000&last=x>"])
def test_pages_without_end_are_refused(server, client, reference, link):
    server.repository("a/b").tags["1"] = "sha256:" + "0" * 64
    server.page_link = f'{link}; rel="next"'
    with pytest.raises(MalformedError, match="never end"):
        tags(client.target(reference("a/b")))


def test_pages_at_another_server_are_refused(server, client, reference):
    server.repository("a/b").tags["1"] = "sha256:" + "0" * 64
    server.page_link = '<http://elsewhere.example.com/v2/a/b/tags/list?n=5>; rel="next"'
    with pytest.raises(UnreachableError, match="another server"):
        tags(client.target(reference("a/b")))


@pytest.mark.parametrize("url", ["http://[::1/x?secret", "http://a:99999/x?secret", "http://a:-1/x?secret"])
def test_pages_that_are_nowhere_are_refused_without_showing_their_secrets(server, client, reference, url):
    server.repository("a/b").tags["1"] = "sha256:" + "0" * 64
    server.page_link = f'<{url}>; rel="next"'
    with pytest.raises(UnreachableError, match=r"goes on at .*, which is no URL") as caught:
        tags(client.target(reference("a/b")))
    assert "secret" not in caught.value.message


def test_pages_may_be_linked_by_a_whole_url(server, client, reference):
    for number in range(7):
        server.repository("a/b").tags[f"1.0.{number}"] = "sha256:" + "0" * 64
    server.page_link = f'<http://{server.host}/v2/a/b/tags/list?n=1000&last=1.0.4>; rel="next"'
    with pytest.raises(MalformedError, match="never end"):
        tags(client.target(reference("a/b")))
    assert len(server.asked("GET", "last=1.0.4")) == 1


def test_a_tag_that_is_none_is_refused(server, client, reference):
    server.repository("a/b").tags["../../x"] = "sha256:" + "0" * 64
    with pytest.raises(MalformedError, match="no tag"):
        tags(client.target(reference("a/b")))


def test_no_more_blobs_are_on_their_way_at_once_than_the_settings_say(server, client, store, name, monkeypatch):
    # With its config the image has three times as many blobs as connections: the barrier lets each turn go together.
    layers = 3 * client.settings.connections - 1
    image = tiny_image([{"data": noise(100 + number)} for number in range(layers)])
    server.add_image("a/b", image, "1")
    turns = threading.Barrier(client.settings.connections, timeout=30)
    under_way = threading.Semaphore(client.settings.connections)
    download = pull.download_blob

    def counted(*arguments):
        assert under_way.acquire(blocking=False), "one more is on its way"
        turns.wait()
        download(*arguments)
        under_way.release()

    monkeypatch.setattr(pull, "download_blob", counted)
    assert validate(pull_image(name("a/b:1"), store, client)) == ()
