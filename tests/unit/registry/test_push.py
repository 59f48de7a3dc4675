import pytest

from fake_registry import Fault
from formation.errors import FormationError, IntegrityError, UnreachableError
from formation.oci.image import read_image
from formation.registry.pull import pull_image
from formation.registry.push import push_image
from formation.registry.refusal import LoginNeeded, RegistryError
from formation.registry.registry import tag_digest
from formation.store.blobs import StoreBlobs, add_image
from formation.store.images import list_images, open_stored, tag_image
from formation.store.sent import list_sent
from tiny_images import noise, tiny_image


def big_image():
    return tiny_image([{"data": noise(20_000)}], compression="none")


def layer(image):
    return image.manifest.layers[0]


def held(server, name, image):
    """Whether the repository has every blob of the image, with the right bytes."""
    blobs = server.repository(name).blobs
    return all(blobs.get(each.digest) == image.source.content[each.digest] for each in image.manifest.layers)


def test_what_is_pushed_is_pulled_again(server, client, store, reference, name):
    image = tiny_image()
    pushed = push_image(image, reference("a/b:1.0.0"), client)
    assert (pushed.digest, pushed.sent, pushed.there) == (image.digest, 3, 0)
    assert pull_image(name("a/b:1.0.0"), store, client).digest == image.digest


def test_blobs_come_before_manifests_and_the_tag_last(server, client, reference):
    push_image(tiny_image(), reference("a/b:1"), client)
    puts = [seen.path for seen in server.asked("PUT")]
    assert all("/blobs/" in path for path in puts[:3])
    assert "/manifests/sha256:" in puts[3]
    assert puts[4] == "/v2/a/b/manifests/1"


def test_what_the_repository_has_is_not_sent_again(server, client, reference):
    push_image(tiny_image(), reference("a/b:1"), client)
    server.requests.clear()
    assert push_image(tiny_image(), reference("a/b:2"), client).there == 3
    assert server.asked("POST") == []


def test_a_large_blob_goes_in_pieces(server, client, reference):
    image = big_image()
    push_image(image, reference("a/b:1"), client)
    sizes = [int(seen.headers["content-length"]) for seen in server.asked("PATCH")]
    assert len(sizes) == layer(image).size // 1000
    assert set(sizes) == {1000}
    assert held(server, "a/b", image)


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_an_upload_that_was_cut_goes_on_where_the_registry_says(server, client, reference, method):
    image = big_image()
    server.fail(method, Fault(cut_request=300), where="/uploads/")
    push_image(image, reference("a/b:1"), client)
    assert held(server, "a/b", image)
    if method == "PATCH":
        # One upload of the layer, begun once, and the piece after the cut begins where it ended.
        assert "300-1299" in [seen.headers.get("content-range") for seen in server.asked("PATCH")]


def test_an_upload_that_the_registry_has_lost_begins_anew(server, client, reference):
    image = big_image()
    server.fail("PATCH", Fault(cut_request=300))
    server.fail("GET", Fault(status=404), where="/uploads/")
    push_image(image, reference("a/b:1"), client)
    assert held(server, "a/b", image)


def test_an_answer_that_was_lost_is_no_lost_upload(server, client, reference):
    image = tiny_image()
    digest = layer(image).digest

    lost = server.lose_answer("a/b", digest, image.source.content[digest])
    push_image(image, reference("a/b:1"), client)
    assert lost
    assert held(server, "a/b", image)


def test_an_upload_that_always_fails_is_unreachable_and_moves_no_tag(server, client, reference):
    server.fail("PUT", *[Fault(status=500)] * 50, where="/uploads/")
    with pytest.raises(UnreachableError, match="500 Internal Server Error"):
        push_image(tiny_image(), reference("a/b:1"), client)
    assert server.repository("a/b").tags == {}


def test_bytes_that_are_not_those_of_the_digest_are_refused(server, client, reference):
    image = tiny_image()
    content = image.source.content
    content[layer(image).digest] = b"y" * layer(image).size
    with pytest.raises(IntegrityError, match="do not have that digest"):
        push_image(image, reference("a/b:1"), client)


def test_a_blob_of_the_store_that_is_refused_can_be_had_again(server, client, store, reference):
    image = read_image(StoreBlobs(store), add_image(store, tiny_image()))
    blob = store.blob(layer(image).digest)
    blob.write_bytes(b"y" * layer(image).size)
    with pytest.raises(IntegrityError, match="do not have that digest") as caught:
        push_image(image, reference("a/b:1"), client)
    assert caught.value.hint == f"remove {blob}, then build or pull the image again"


def test_a_blob_that_is_too_short_is_refused(server, client, reference):
    image = tiny_image()
    image.source.content[layer(image).digest] = b"short"
    with pytest.raises(IntegrityError, match="shorter"):
        push_image(image, reference("a/b:1"), client)


UNREADABLE = b'{"errors": [{"code": "DIGEST_INVALID"}, {"code": "BLOB_UNKNOWN"}]}'
"""What docker-registry says while another client uploads a blob that the manifest names."""


def test_a_blob_that_another_client_uploads_right_now_is_waited_for(server, client, reference, pauses):
    for _ in range(3):
        server.fail("PUT", Fault(400, body=UNREADABLE), where="/manifests/")
    push_image(tiny_image(), reference("a/b:1"), client)
    assert "1" in server.repository("a/b").tags
    assert len(pauses) == 3


def test_a_manifest_whose_blobs_stay_unknown_is_refused(server, client, reference):
    for _ in range(4):
        server.fail("PUT", Fault(400, body=UNREADABLE), where="/manifests/")
    with pytest.raises(RegistryError, match="400 Bad Request"):
        push_image(tiny_image(), reference("a/b:1"), client)


@pytest.mark.parametrize(("status", "kind"), [(403, LoginNeeded), (409, UnreachableError), (413, FormationError)])
def test_a_refusal_is_told_with_what_was_asked(server, client, reference, status, kind):
    body = b'{"errors":[{"code":"DENIED","message":"quota\\u001b[31m exceeded"}]}'
    server.fail("POST", *[Fault(status=status, body=body)] * 20)
    with pytest.raises(kind, match=f"blob sha256:.* {status} .*quota .31m exceeded"):
        push_image(tiny_image(), reference("a/b:1"), client)


@pytest.mark.parametrize(("method", "where"), [("POST", ""), ("PUT", "/blobs/"), ("PUT", "/manifests/")])
def test_a_redirect_of_what_is_written_is_no_success(server, client, reference, method, where):
    server.fail(
        method, *[Fault(status=301, headers={"Location": "https://new.example/v2/?token=s3cret"})] * 3, where=where
    )
    with pytest.raises(RegistryError) as caught:
        push_image(tiny_image(), reference("a/b:1.0.0"), client)
    assert caught.value.message.endswith(
        "answers 301 Moved Permanently, which leads to 'https://new.example/v2/': writes follow no redirect"
    )
    assert "1.0.0" not in server.repository("a/b").tags


def test_a_gateway_that_answers_head_with_nothing_has_no_blob(server, client, reference):
    image = tiny_image()
    server.fail("HEAD", *[Fault(status=204)] * 3, where="/blobs/")
    assert push_image(image, reference("a/b:1.0.0"), client).sent == 3
    assert held(server, "a/b", image)


def test_a_registry_without_head_is_asked_by_get(server, client, reference):
    image = tiny_image()
    server.fail("HEAD", *[Fault(status=405)] * 20)
    assert push_image(image, reference("a/b:1.0.0"), client).sent == 3
    assert push_image(image, reference("a/b:1.0.0"), client).there == 3
    assert tag_digest(client.target(reference("a/b")), "1.0.0") == image.digest


def test_a_layer_that_another_repository_has_is_mounted(server, client, store, reference):
    base = tiny_image()
    tag_image(store, reference("formation/base:1.0.0"), add_image(store, base))
    push_image(open_stored(store, reference("formation/base:1.0.0")), reference("formation/base:1.0.0"), client)
    service = tiny_image([{"etc/base": b"base\n"}, {"etc/top": b"top\n"}, {"app": b"app"}])
    server.requests.clear()
    pushed = push_image(service, reference("services/dns:1.0.0"), client, store=store)
    assert (pushed.mounted, pushed.sent) == (2, 2)
    assert held(server, "services/dns", service)


def test_what_was_pushed_is_mounted_from_there_and_is_no_image_of_the_store(server, client, store, reference):
    push_image(tiny_image(), reference("formation/base:1.0.0"), client, store=store)
    assert list_images(store) == ()
    service = tiny_image([{"etc/base": b"base\n"}, {"etc/top": b"top\n"}, {"app": b"app"}])
    assert push_image(service, reference("services/dns:1.0.0"), client, store=store).mounted == 2
    # Pushed again, nothing is noted down twice.
    push_image(tiny_image(), reference("formation/base:1.0.0"), client, store=store)
    assert sorted(len(sent.blobs) for sent in list_sent(store)) == [3, 4]


def test_a_damaged_note_of_a_push_is_no_matter_of_the_next(client, store, reference):
    store.sent.mkdir(parents=True)
    (store.sent / f"{'0' * 64}.json").write_text("{")
    push_image(tiny_image(), reference("formation/base:1.0.0"), client, store=store)
    assert [sent.repository for sent in list_sent(store)] == [reference("formation/base").repository]


def test_the_annotated_base_is_where_layers_are_mounted_from(server, client, reference):
    push_image(tiny_image(), reference("formation/base:1.0.0"), client)
    named = {"org.opencontainers.image.base.name": f"{server.host}/formation/base:1.0.0"}
    service = tiny_image([{"etc/base": b"base\n"}, {"app": b"app"}], annotations=named)
    assert push_image(service, reference("services/dns:1.0.0"), client).mounted == 1


def test_a_registry_that_does_not_mount_is_sent_the_blob(server, client, reference):
    named = {"org.opencontainers.image.base.name": f"{server.host}/formation/base:1.0.0"}
    service = tiny_image(annotations=named)
    server.fail("POST", Fault(status=404), Fault(status=403), where="mount=")
    assert push_image(service, reference("services/dns:1.0.0"), client).sent == 3
    assert held(server, "services/dns", service)


def test_an_upload_may_go_on_at_a_url_with_a_query(server, client, reference):
    image = tiny_image()
    server.fail("POST", Fault(status=202, headers={"Location": f"http://{server.host}/v2/a/b/blobs/uploads/k?state=s"}))
    server.uploads["k"] = bytearray()
    push_image(image, reference("a/b:1"), client)
    assert any("?state=s&digest=sha256" in seen.target for seen in server.asked("PUT"))
    assert held(server, "a/b", image)


@pytest.mark.parametrize("location", ["http://[::1/x?secret", "http://127.0.0.1:99999/x?secret", "http://a:-1/?secret"])
def test_an_upload_that_goes_on_nowhere_is_refused_without_showing_its_secrets(server, client, reference, location):
    server.fail("POST", Fault(status=202, headers={"Location": location}))
    with pytest.raises(UnreachableError, match="redirects to") as caught:
        push_image(tiny_image(), reference("a/b:1"), client)
    assert "secret" not in caught.value.message


def test_a_length_of_chunks_that_is_no_number_counts_as_none(server, client, reference):
    image = tiny_image()
    here = {"Location": f"http://{server.host}/v2/a/b/blobs/uploads/k", "OCI-Chunk-Min-Length": "\u00b2"}
    server.uploads["k"] = bytearray()
    server.fail("POST", Fault(status=202, headers=here))
    push_image(image, reference("a/b:1"), client)
    assert held(server, "a/b", image)


def test_an_answer_without_end_does_not_fill_the_memory(server, client, reference):
    image = tiny_image()
    here = {"Location": f"http://{server.host}/v2/a/b/blobs/uploads/k"}
    server.uploads["k"] = bytearray()
    server.fail("POST", Fault(status=202, headers=here, body=b"x" * (8 << 20)))
    push_image(image, reference("a/b:1"), client)
    assert held(server, "a/b", image)


def test_progress_counts_every_byte_once(server, reference, pauses):
    from formation.registry.registry import Registry
    from formation.registry.settings import Settings

    class Counting:
        total = done = 0

        def start(self, stage, total, unit=""):
            self.total = total

        def advance(self, stage, amount=1):
            self.done += amount

        def finish(self, stage, result=""):
            pass

        def note(self, message):
            pass

    progress = Counting()
    server.fail("PATCH", Fault(cut_request=300), Fault(status=503))
    with Registry(Settings(plain_http=True, pause=pauses.append, chunk=1000), progress) as client:
        push_image(big_image(), reference("a/b:1"), client)
    assert progress.done == progress.total > 20_000
