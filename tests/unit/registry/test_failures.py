"""What is said when a server fails: what was asked for, and which of the servers that take part it was."""

import re

import pytest

from fake_registry import FakeRegistry, Fault
from formation.errors import UnreachableError
from formation.registry.pull import pull_image
from formation.registry.push import push_image
from formation.registry.refusal import NotThere, RegistryError
from formation.registry.registry import tags
from tiny_images import noise, tiny_image


@pytest.fixture
def nowhere():
    """A server that takes no connection."""
    with FakeRegistry() as gone:
        pass
    return gone.host


def big_image():
    return tiny_image([{"data": noise(20_000)}], compression="none")


def test_a_token_server_that_is_down_is_named(server, client, reference, nowhere):
    challenge = {"WWW-Authenticate": f'Bearer realm="http://{nowhere}/token",service="s"'}
    server.fail("GET", *[Fault(status=401, headers=challenge)] * 9, where="/tags/")
    with pytest.raises(UnreachableError) as caught:
        tags(client.target(reference("a/b")))
    reason = f"the token server {nowhere} failed: the connection was refused, 4 times in a row"
    assert caught.value.message == f"the tags of {server.host}/a/b: {reason}"


def test_a_storage_server_that_is_down_is_named_with_the_blob(server, client, store, name, nowhere):
    server.add_image("a/b", big_image(), "1")
    elsewhere = Fault(status=307, headers={"Location": f"http://{nowhere}/blob?signature=s3cret"})
    server.fail("GET", *[elsewhere] * 20, where="/blobs/")
    with pytest.raises(UnreachableError) as caught:
        pull_image(name("a/b:1"), store, client)
    why = rf"the connection was refused, 4 times in a row \({nowhere}, to which {server.host} leads\)"
    assert re.fullmatch(rf"blob sha256:[0-9a-f]{{64}} of {server.host}/a/b: {why}", caught.value.message)


def test_a_blob_that_is_cut_again_and_again_is_named_with_its_server(server, client, store, name):
    server.add_image("a/b", big_image(), "1")
    server.fail("GET", *[Fault(cut_answer=0)] * 20, where="/blobs/")
    with pytest.raises(UnreachableError) as caught:
        pull_image(name("a/b:1"), store, client)
    why = rf"the connection was cut, 4 times in a row \({server.host}\)"
    assert re.fullmatch(rf"blob sha256:[0-9a-f]{{64}} of {server.host}/a/b: {why}", caught.value.message)


def test_a_server_is_named_once(server, client, reference):
    server.fail("GET", *[Fault(status=502)] * 4, where="/tags/")
    with pytest.raises(UnreachableError) as caught:
        tags(client.target(reference("a/b")))
    reason = f"{server.host} answers 502 Bad Gateway, 4 times in a row"
    assert caught.value.message == f"the tags of {server.host}/a/b: {reason}"


def test_an_upload_that_cannot_begin_is_refused_at_once(server, client, reference, pauses):
    server.fail("POST", *[Fault(status=404)] * 20)
    with pytest.raises(NotThere) as caught:
        push_image(tiny_image([{"a": b"a"}]), reference("a/b:1"), client)
    message = rf"blob sha256:[0-9a-f]{{64}} to {server.host}/a/b: {server.host} answers 404 Not Found"
    assert re.fullmatch(message, caught.value.message)
    assert pauses == []


def test_a_server_that_may_have_tls_is_told_with_how_to_find_out(server, client, reference):
    server.fail("GET", Fault(status=400, body=b"Client sent an HTTP request to an HTTPS server.\n"))
    with pytest.raises(RegistryError) as caught:
        tags(client.target(reference("a/b")))
    assert caught.value.hint == "it may have TLS: leave --plain-http out"


def test_a_registry_that_has_answered_without_tls_has_none(server, client, reference):
    server.fail("PUT", Fault(status=400, body=b"no"), where="/manifests/")
    with pytest.raises(RegistryError) as caught:
        push_image(tiny_image([{"a": b"a"}]), reference("a/b:1"), client)
    assert (caught.value.status, caught.value.hint) == (400, None)


def test_a_registry_that_takes_no_uploads_is_told_to_be_read_only(server, client, reference):
    server.fail("POST", *[Fault(status=405)] * 5)
    with pytest.raises(RegistryError) as caught:
        push_image(tiny_image([{"a": b"a"}]), reference("a/b:1"), client)
    assert caught.value.hint == "the registry takes no uploads: it is a mirror, or read-only for a while"


def test_an_upload_that_is_lost_again_and_again_is_told_once(server, client, reference):
    for method in ("PATCH", "PUT"):
        server.fail(method, *[Fault(status=404)] * 40, where="/blobs/")
    with pytest.raises(UnreachableError) as caught:
        push_image(big_image(), reference("a/b:1"), client)
    message = rf"blob sha256:[0-9a-f]{{64}} to {server.host}/a/b: {server.host} answers 404 Not Found, 4 times in a row"
    assert re.fullmatch(message, caught.value.message)


@pytest.mark.parametrize(
    ("later", "when"), [("3600", "in 60 min"), ("200000", "in 3 days"), ("Thu, 01 Jan 2099 00:00:00 GMT", "later, ")]
)
def test_a_registry_that_asks_for_longer_than_anybody_waits_is_given_up_at_once(
    server, client, reference, pauses, later, when
):
    server.fail("GET", Fault(status=429, headers={"Retry-After": later}), where="/tags/")
    with pytest.raises(UnreachableError) as caught:
        tags(client.target(reference("a/b")))
    asks = f"the tags of {server.host}/a/b: {server.host} answers 429 Too Many Requests and asks to wait "
    assert caught.value.message.startswith(asks)
    assert str(caught.value.hint).startswith(f"run it again {when}")
    assert pauses == []


def test_an_upload_waits_as_it_is_asked_to(server, client, reference, pauses):
    server.fail("POST", Fault(status=429, headers={"Retry-After": "30"}))
    push_image(tiny_image([{"a": b"a"}]), reference("a/b:1"), client)
    assert pauses == [30]


PAGE = Fault(status=200, headers={"Content-Type": "text/html; charset=utf-8"}, body=b"<!doctype html><p>Log in")


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        (PAGE, "text/html"),
        (Fault(status=200, body=b"\xef\xbb\xbf\n<html>"), "it begins with <"),
        (Fault(status=200, headers={"Content-Type": "text/html"}, body=b""), "text/html"),
    ],
)
def test_a_web_page_is_told_as_what_stands_between(server, client, reference, store, name, page, kind):
    server.fail("GET", page, page, where="/v2/a/b/")
    for asked, ask in (
        (f"the tags of {server.host}/a/b", lambda: tags(client.target(reference("a/b")))),
        (f"{server.host}/a/b:1", lambda: pull_image(name("a/b:1"), store, client)),
    ):
        with pytest.raises(UnreachableError) as caught:
            ask()
        assert caught.value.message == (
            f"{asked}: {server.host} answers with a web page ({kind}), not as a registry does: a proxy or a login page "
            "stands between"
        )
        assert f"curl -sSLi http://{server.host}/v2/" in str(caught.value.hint)


def test_the_server_of_a_web_page_to_which_a_registry_leads_is_named(server, client, reference):
    with FakeRegistry() as gateway:
        gateway.fail("GET", PAGE)
        server.fail("GET", Fault(status=302, headers={"Location": f"http://{gateway.host}/login?to=secret"}))
        with pytest.raises(UnreachableError, match=f"{gateway.host}, to which {server.host} leads, answers") as caught:
            tags(client.target(reference("a/b")))
    assert "secret" not in caught.value.message


def test_a_web_page_of_a_token_server_is_told(server, client, reference):
    server.require_bearer()
    server.fail("GET", PAGE, where="/token")
    with pytest.raises(UnreachableError, match=f": the login for {server.host}: {server.host} answers with a web"):
        tags(client.target(reference("a/b")))


def test_json_that_is_called_a_web_page_is_json(server, client, reference):
    server.fail("GET", Fault(status=200, headers={"Content-Type": "text/html"}, body=b'{"tags": ["1"]}'))
    assert tags(client.target(reference("a/b"))) == ("1",)
