"""The transport against servers that answer late, early, too much, too little, or in tongues."""

import io
import socket
import ssl
import threading
import time
from contextlib import ExitStack, closing
from types import SimpleNamespace

import pytest

from formation.errors import IntegrityError, UnreachableError
from formation.network import dial
from formation.network.answers import PIECE, FailedAttempt
from formation.network.connections import Connections
from formation.network.http import drop
from formation.network.proxies import Proxies
from formation.network.tls import InnerTls, TlsFailure
from formation.network.transfer import Cancelled, Run
from loopback import certificate, server_context
from scripted_server import ScriptedServer, says, says_and_waits

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
OPEN = b"HTTP/1.1 200 OK\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
MOST = 1 << 20


@pytest.fixture
def connections():
    made = Connections(Proxies(), timeout=600, kept=4)
    yield made
    made.close()


@pytest.fixture
def hasty():
    """Waits for nobody."""
    made = Connections(Proxies(), timeout=0.05, kept=4)
    yield made
    made.close()


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """The directory of a server's certificate and key."""
    return certificate(tmp_path_factory.mktemp("tls"))


def trusting(path, proxies=Proxies()):  # noqa: B008 - a frozen value
    made = Connections(
        proxies, timeout=600, kept=4, context=lambda host: ssl.create_default_context(cafile=path / "ca.crt")
    )
    return closing(made)


def body(response):
    return response.read(MOST)


def get(connections, server, path="/x", method="GET", **headers):
    return connections.request(method, server.url + path, headers)


def test_a_request_is_what_was_asked_for(connections):
    with ScriptedServer(says(HELLO)) as server:
        response = connections.request("GET", f"{server.url}/a b?c", {"User-Agent": "me", "Range": "bytes=1-"})
        assert (response.status, body(response), response.headers["content-length"]) == (200, b"hello", "5")
    asked = f"GET /a%20b?c HTTP/1.1\r\nHost: {server.address}\r\nUser-Agent: me\r\nRange: bytes=1-\r\n\r\n"
    assert server.requests == [asked.encode()]


@pytest.mark.parametrize("value", ["a\r\nX: b", "a\nb", "a\0b", "\x1b", "\u00e9"])
def test_a_header_that_would_be_more_than_one_is_not_sent(connections, value):
    with ScriptedServer(says(HELLO)) as server, pytest.raises(UnreachableError, match="header X cannot be sent"):
        get(connections, server, X=value)
    assert server.requests == []


@pytest.mark.parametrize(
    "answer",
    [
        HELLO,
        HELLO.replace(b"200 OK", b"404 Not Found"),
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        CHUNKED + b"3\r\nhel\r\n2;name=value\r\nlo\r\n0\r\nX-Trailer: 1\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + HELLO,
    ],
)
def test_a_connection_carries_the_next_request_after_the_end_of_a_body(connections, answer):
    with ScriptedServer(says_and_waits(answer, HELLO)) as server:
        response = get(connections, server)
        assert body(response) in (b"hello", b"")
        assert body(get(connections, server)) == b"hello"
        assert server.connections == 1


def test_the_answer_to_head_has_no_body(connections):
    with ScriptedServer(says_and_waits(HELLO[:-5], HELLO)) as server:
        response = get(connections, server, method="HEAD")
        assert (body(response), response.headers["Content-Length"]) == (b"", "5")
        assert body(get(connections, server)) == b"hello"
        assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        HELLO + b"surplus",
        HELLO + HELLO,
        CHUNKED + b"5\r\nhello\r\n0\r\n\r\n" + HELLO,
        CHUNKED + b"5\r\nhello\r\n0\r\n\r\nsurplus",
        HELLO.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"),
        HELLO.replace(b"1.1", b"1.0"),
    ],
)
def test_a_connection_that_cannot_be_trusted_to_be_at_an_end_is_not_used_again(connections, answer):
    with ScriptedServer(says_and_waits(answer)) as server:
        assert body(get(connections, server)) == b"hello"
        assert body(get(connections, server)) == b"hello"
        assert server.connections == 2


def test_a_body_without_a_length_ends_with_the_connection(connections):
    with ScriptedServer(says(OPEN + b"hello")) as server:
        assert body(get(connections, server)) == b"hello"


def test_a_body_that_nobody_wants_ends_its_connection(connections):
    with ScriptedServer(says_and_waits(HELLO, HELLO)) as server:
        get(connections, server).close()
        assert body(get(connections, server)) == b"hello"
        assert server.connections == 2


def test_no_more_of_a_body_is_read_than_was_asked_for(connections):
    with ScriptedServer(says(HELLO)) as server:
        assert get(connections, server).read(3) == b"hel"


def test_a_long_body_comes_in_pieces_of_one_buffer(connections):
    data = bytes(range(256)) * (3 * PIECE // 256)
    with ScriptedServer(says(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data)) as server:
        response = get(connections, server)
        found = bytearray()
        while piece := response.piece():
            assert len(piece) <= PIECE
            found += piece
    assert found == data


@pytest.mark.parametrize(
    "answer",
    [
        HELLO[:-1],
        HELLO[:-5],
        CHUNKED + b"5\r\nhel",
        CHUNKED + b"5\r\nhello\r\n",
        CHUNKED + b"5\r\nhello\r\n0\r\n",
    ],
)
def test_a_body_that_was_cut_is_a_failed_attempt(connections, answer):
    with ScriptedServer(says(answer)) as server, pytest.raises(FailedAttempt, match="the connection was cut"):
        body(get(connections, server))


@pytest.mark.parametrize("chunks", [b"5\nhello\r\n0\r\n\r\n", b"-1\r\n", b"%x\r\n" % (1 << 68), b"5\r\nhello, world"])
def test_chunks_that_are_none_are_a_failed_attempt(connections, chunks):
    with ScriptedServer(says(CHUNKED + chunks)) as server, pytest.raises(FailedAttempt, match="answer in HTTP"):
        body(get(connections, server))


@pytest.mark.parametrize("endless", [b"0\r\n" + b"X: y\r\n" * 20_000, b"5;" + b"x" * 100_000])
def test_chunks_that_bring_nothing_end(connections, endless):
    with ScriptedServer(says_and_waits(CHUNKED + endless)) as server, pytest.raises(FailedAttempt):
        body(get(connections, server))


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000, b"x" * 100_000])
def test_a_head_without_end_ends(connections, head):
    with ScriptedServer(says_and_waits(head)) as server, pytest.raises(FailedAttempt, match="too long"):
        get(connections, server)


def test_a_server_that_only_says_wait_is_left(connections):
    with ScriptedServer(says_and_waits(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)) as server:
        with pytest.raises(FailedAttempt, match="does not come to its answer"):
            get(connections, server)


def test_a_head_may_come_byte_by_byte(connections):
    def conversation(peer):
        peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.hear()
        for number in range(len(HELLO)):
            peer.say(HELLO[number : number + 1])

    with ScriptedServer(conversation) as server:
        assert body(get(connections, server)) == b"hello"


def test_a_connection_that_the_server_closed_meanwhile_is_not_used(connections):
    with ScriptedServer(says(HELLO)) as server:
        for _ in range(3):
            assert body(get(connections, server)) == b"hello"
    assert len(server.requests) == 3


def hears_and_closes(peer):
    says(HELLO)(peer)
    peer.hear()


def test_a_kept_connection_that_ends_at_the_next_request_is_replaced_by_a_fresh_one(connections):
    with ScriptedServer(hears_and_closes, says(HELLO)) as server:
        assert body(get(connections, server)) == b"hello"
        assert body(get(connections, server)) == b"hello"
        assert (server.connections, len(server.requests)) == (2, 3)


def test_what_may_have_been_done_is_not_asked_for_twice(connections):
    with ScriptedServer(hears_and_closes, says(HELLO)) as server:
        assert body(get(connections, server)) == b"hello"
        with pytest.raises(FailedAttempt, match="cut"):
            connections.request("PUT", f"{server.url}/x", {}, b"data")
        assert len(server.requests) == 2


def test_a_fresh_connection_that_ends_without_an_answer_is_a_failed_attempt(connections):
    with ScriptedServer(lambda peer: peer.hear()) as server:
        with pytest.raises(FailedAttempt, match="cut") as caught:
            get(connections, server)
    assert (server.connections, caught.value.unconnected) == (1, False)


@pytest.mark.parametrize(("method", "data"), [("POST", None), ("PUT", b""), ("PUT", b"data"), ("PATCH", b"x" * PIECE)])
def test_bytes_are_sent_with_their_length(connections, method, data):
    with ScriptedServer(says(HELLO)) as server:
        assert body(connections.request(method, f"{server.url}/x", {}, data)) == b"hello"
    head, _, sent = server.requests[0].partition(b"\r\n\r\n")
    assert sent == (data or b"")
    assert head.endswith(b"\r\nContent-Length: %d" % len(data or b""))


def test_a_file_is_sent_as_it_is_read(connections):
    data = b"x" * (2 * PIECE + 1)
    with ScriptedServer(says(HELLO)) as server:
        connections.request("PUT", f"{server.url}/x", {"Content-Length": str(len(data))}, io.BytesIO(data))
    assert server.requests[0].endswith(b"\r\n\r\n" + data)


class Endless(io.RawIOBase):
    """A body of which there is always more, until the server has stopped reading."""

    def read(self, size=-1):
        return b"x" * size


def test_an_answer_that_comes_before_the_whole_request_was_sent_is_the_answer(connections):
    done = threading.Event()

    def conversation(peer):
        peer.socket.recv(65_536)
        peer.say(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
        peer.socket.shutdown(socket.SHUT_WR)
        # Reading on lets the client see the answer before the reset that ends its sending.
        for _ in range(200):
            peer.socket.recv(65_536)
        done.set()

    with ScriptedServer(conversation) as server:
        try:
            response = connections.request("PUT", f"{server.url}/x", {"Content-Length": "1000000000"}, Endless())
        except FailedAttempt as failure:
            # The kernel may drop what has come when the reset comes.
            assert failure.reason == "the connection was cut"
        else:
            assert (response.status, body(response)) == (413, b"no")
    assert done.wait(60)


def test_what_reading_a_body_raises_is_raised(connections):
    class Broken(io.RawIOBase):
        def read(self, size=-1):
            raise IntegrityError("it is short")

    with ScriptedServer(says(HELLO)) as server, pytest.raises(IntegrityError):
        connections.request("PUT", f"{server.url}/x", {"Content-Length": "5"}, Broken())


@pytest.mark.slow
def test_a_server_that_says_nothing_is_not_waited_for(hasty):
    with ScriptedServer(says_and_waits()) as server, pytest.raises(FailedAttempt, match="did not answer in time"):
        get(hasty, server)
    with (
        ScriptedServer(says_and_waits(HELLO[:-1])) as server,
        closing(Connections(Proxies(), timeout=1, kept=4)) as slow,
    ):
        with pytest.raises(FailedAttempt, match="stopped sending"):
            body(get(slow, server))


def test_a_server_that_does_not_read_is_not_waited_for(hasty):
    waits = threading.Event()
    with ScriptedServer(lambda peer: waits.wait(60)) as server:
        with pytest.raises(FailedAttempt, match="did not take the request in time"):
            hasty.request("PUT", f"{server.url}/x", {"Content-Length": "1000000000"}, Endless())
        waits.set()


def test_a_server_that_is_not_there_is_told_apart(connections):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    reasons = {f"http://127.0.0.1:{port}/": "was refused", "http://nowhere.invalid/": "cannot be resolved"}
    for url, reason in reasons.items():
        with pytest.raises(FailedAttempt, match=reason) as caught:
            connections.request("GET", url, {})
        assert caught.value.unconnected


@pytest.mark.parametrize("with_tls", [False, True])
def test_another_thread_can_end_the_wait_for_a_body(tls, with_tls):
    context = server_context(tls) if with_tls else None
    with ScriptedServer(says_and_waits(HELLO[:-1]), context=context) as server, trusting(tls) as connections:
        response = get(connections, server)
        assert response.piece() == b"hell"
        threading.Timer(0.01, response.abort).start()
        with pytest.raises(FailedAttempt, match="cut"):
            response.piece()
        response.abort()


def test_kept_connections_end_with_the_client(connections):
    ended = threading.Event()

    def conversation(peer):
        says_and_waits(HELLO)(peer)
        ended.set()

    with ScriptedServer(conversation) as server:
        body(get(connections, server))
        connections.close()
        assert ended.wait(60)


def test_tls_is_kept_and_checked(tls):
    with ScriptedServer(says_and_waits(HELLO, HELLO), context=server_context(tls)) as server:
        with trusting(tls) as connections:
            assert body(get(connections, server)) == b"hello"
            assert body(get(connections, server)) == b"hello"
            assert server.connections == 1
            with pytest.raises(TlsFailure, match="Hostname mismatch") as caught:
                connections.request("GET", server.url.replace("127.0.0.1", "localhost"), {})
            assert caught.value.untrusted
        with (
            closing(Connections(Proxies(), timeout=600, kept=4)) as nobody,
            pytest.raises(TlsFailure, match="trusted") as caught,
        ):
            get(nobody, server)
        assert (caught.value.untrusted, caught.value.reason) == (True, "self-signed certificate")


def test_a_server_without_tls_is_no_matter_of_trust(connections):
    def conversation(peer):
        peer.socket.recv(65_536)
        peer.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with ScriptedServer(conversation) as server, pytest.raises(TlsFailure) as caught:
        connections.request("GET", server.url.replace("http:", "https:"), {})
    assert not caught.value.untrusted


def test_an_end_below_tls_is_a_cut_that_may_be_tried_again(connections):
    with ScriptedServer(lambda peer: peer.socket.recv(1)) as server, pytest.raises(FailedAttempt, match="cut"):
        connections.request("GET", server.url.replace("http:", "https:"), {})


@pytest.fixture
def full():
    """The URL of a server whose queue is full: it takes no connection, and refuses none."""
    with socket.socket() as server, ExitStack() as queue:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            waiting = queue.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def silent():
    with ScriptedServer(says_and_waits()) as server:
        yield server.url


@pytest.mark.parametrize(
    ("place", "secure", "through"),
    [
        ("full", False, False),
        ("full", True, False),
        ("full", False, True),
        ("silent", True, False),
        ("silent", True, True),
    ],
)
def test_who_is_cancelled_waits_for_no_connection(place, secure, through, request, monkeypatch):
    monkeypatch.setattr(dial, "_LONGEST_CONNECT", 600)
    url = request.getfixturevalue(place)
    server = "http://a.example" if through else url
    waits, ended = threading.Event(), []

    class Watched(Run):
        def waiting(self, wake):
            waits.set()
            return super().waiting(wake)

    def ask(connections, run):
        try:
            connections.request("GET", server.replace("http:", "https:") if secure else server, {}, run=run)
        except BaseException as error:
            ended.append(error)

    with closing(Connections(Proxies(http=url, https=url) if through else Proxies(), timeout=600, kept=0)) as made:
        run = Watched(None)
        thread = threading.Thread(target=ask, args=(made, run), daemon=True)
        thread.start()
        assert waits.wait(60)
        time.sleep(0.2)
        run.cancel()
        thread.join(60)
    assert [type(error) for error in ended] == [Cancelled]


def tunnel(target):
    """A proxy that takes CONNECT and carries the bytes to `target`, whatever was asked for."""

    def conversation(peer):
        peer.hear()
        host, _, port = target.rpartition(":")
        with socket.create_connection((host, int(port))) as server:
            peer.say(b"HTTP/1.1 200 Connection established\r\n\r\n")

            def carry(source, sink):
                try:
                    while data := source.recv(65_536):
                        sink.sendall(data)
                    sink.shutdown(socket.SHUT_WR)
                except OSError:
                    pass

            back = threading.Thread(target=carry, args=(server, peer.socket), daemon=True)
            back.start()
            carry(peer.socket, server)
            back.join()

    return conversation


@pytest.mark.parametrize("proxy_tls", [False, True])
def test_a_proxy_carries_tls_to_the_server(tls, proxy_tls, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(tls / "ca.crt"))
    data = b"x" * 1_000_000
    large = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data
    server = ScriptedServer(says_and_waits(large, HELLO), context=server_context(tls))
    proxy = ScriptedServer(tunnel(server.address), context=server_context(tls) if proxy_tls else None)
    proxies = Proxies(https=proxy.url.replace("//", "//me:se%20cret@"))
    with server, proxy, trusting(tls, proxies) as connections:
        assert body(connections.request("GET", "https://archive.example/x", {})) == data
        assert body(connections.request("GET", "https://archive.example/x", {})) == b"hello"
        assert (proxy.connections, server.connections) == (1, 1)
    login = "Proxy-Authorization: Basic bWU6c2UgY3JldA=="
    asked = f"CONNECT archive.example:443 HTTP/1.1\r\nHost: archive.example:443\r\n{login}\r\n\r\n"
    assert proxy.requests[0].decode() == asked
    assert b"Proxy-Authorization" not in server.requests[0]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "does not answer in HTTP"),
        (b"HTTP/1.1 429 Give \x1b[2J me\r\n\r\n", "it answers 429 Too Many Requests$"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "it answers 502 Bad Gateway$"),
        (b"HTTP/1.1 200 OK\r\n\r\nsurplus", "speaks before the server"),
        (b"", "was cut"),
    ],
)
def test_a_proxy_that_fails_is_told_apart(answer, reason):
    with (
        ScriptedServer(says(answer)) as proxy,
        closing(Connections(Proxies(https=proxy.url), timeout=600, kept=1)) as client,
    ):
        with pytest.raises(FailedAttempt, match=f"the proxy {proxy.address} failed: .*{reason}") as caught:
            client.request("GET", "https://a.example/", {})
    assert caught.value.unconnected


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_login_that_a_proxy_refuses_is_sent_once_and_not_shown(scheme):
    with ScriptedServer(says_and_waits(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")) as proxy:
        proxies = Proxies.of({f"{scheme}_proxy": proxy.url.replace("//", "//me:s3cret@")})
        with closing(Connections(proxies, timeout=600, kept=1)) as client:
            for host in ("a.example", "b.example"):
                with pytest.raises(UnreachableError) as caught:
                    client.request("GET", f"{scheme}://{host}/", {})
                assert caught.value.message == f"the proxy {proxy.address} refused the login of {scheme}_proxy"
                assert f"put NAME:PASSWORD@ before {proxy.address} in {scheme}_proxy" in str(caught.value.hint)
    assert len(proxy.requests) == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_login_that_a_proxy_refuses_is_sent_once_by_requests_at_once(scheme):
    waiting, all_wait, ended = set(), threading.Event(), []

    class Watched(Run):
        def check(self):
            super().check()
            waiting.add(threading.get_ident())
            if len(waiting) == 4:
                all_wait.set()

    def refuse(peer):
        peer.hear()
        assert all_wait.wait(60)
        peer.say(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")

    def ask(client, run):
        with pytest.raises(UnreachableError, match="refused the login"):
            client.request("GET", f"{scheme}://a.example/", {}, run=run)
        ended.append(True)

    with ScriptedServer(refuse) as proxy:
        proxies = Proxies.of({f"{scheme}_proxy": proxy.url.replace("//", "//me:s3cret@")})
        with closing(Connections(proxies, timeout=600, kept=1)) as client:
            run = Watched(None)
            threads = [threading.Thread(target=ask, args=(client, run), daemon=True) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
    assert (len(ended), len(proxy.requests)) == (4, 1)


def test_a_proxy_that_wants_a_login_says_so():
    with (
        ScriptedServer(says(b"HTTP/1.1 407 No\r\n\r\n")) as proxy,
        closing(Connections(Proxies.of({"ALL_PROXY": proxy.url}), timeout=600, kept=1)) as client,
        pytest.raises(UnreachableError, match=f"^the proxy {proxy.address} wants a login$") as caught,
    ):
        client.request("GET", "https://a.example/", {})
    assert str(caught.value.hint).startswith(f"put NAME:PASSWORD@ before {proxy.address} in ALL_PROXY")


def test_what_a_proxy_does_not_pass_on_is_not_asked_for_again():
    with (
        ScriptedServer(says(b"HTTP/1.1 403 No\r\n\r\n")) as proxy,
        closing(Connections(Proxies(https=proxy.url), timeout=600, kept=1)) as client,
        pytest.raises(UnreachableError, match=f"{proxy.address} does not pass on requests to a.example:443: 403 Forb"),
    ):
        client.request("GET", "https://a.example/", {})


def test_a_server_that_wants_the_login_of_a_proxy_is_no_proxy(connections):
    with ScriptedServer(says(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")) as server:
        assert get(connections, server).status == 407


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "proxy",
    ["socks5://me:secret@127.0.0.1:1080", "http://me:secret@[::1", "http://me:secret@a:99999", "http://me:secret@"],
)
def test_a_proxy_that_is_no_server_of_http_is_refused(proxy, scheme):
    with closing(Connections(Proxies(http=proxy, https=proxy), timeout=600, kept=1)) as client:
        with pytest.raises(UnreachableError, match="the proxy has no URL of http or https") as caught:
            client.request("GET", f"{scheme}://a.example/", {})
    assert "secret" not in caught.value.message


def test_tls_that_cannot_begin_closes_the_connection_below_it():
    class Refusing:
        def wrap_bio(self, incoming, outgoing, server_hostname):
            raise ValueError(server_hostname)

    near, far = socket.socketpair()
    with far, pytest.raises(ValueError, match="a"):
        InnerTls(near, Refusing(), "a.example")
    assert near.fileno() == -1


@pytest.mark.parametrize("length", [0, 5, 4096])
def test_a_short_body_that_nobody_wants_is_read_for_its_connection(connections, length):
    answer = b"HTTP/1.1 302 Found\r\nContent-Length: %d\r\n\r\n" % length + b"x" * length
    with ScriptedServer(says_and_waits(answer, HELLO)) as server:
        drop(get(connections, server))
        assert body(get(connections, server)) == b"hello"
        assert server.connections == 1


@pytest.mark.parametrize("head", [b"Content-Length: 4097\r\n", b"Transfer-Encoding: chunked\r\n", b""])
def test_a_body_that_nobody_wants_is_not_waited_for_when_it_may_be_long(connections, head):
    # Nothing of it ever comes, and these connections wait for ten minutes.
    with ScriptedServer(says_and_waits(b"HTTP/1.1 302 Found\r\n" + head + b"\r\n"), says(HELLO)) as server:
        drop(get(connections, server))
        assert body(get(connections, server)) == b"hello"
        assert server.connections == 2


class Drops:
    """A connection of which every byte comes a second after the one before, and never a whole record of TLS."""

    def __init__(self):
        self.now = 0
        self.closed = False

    def gettimeout(self):
        return 30

    def settimeout(self, seconds):
        assert 0 < seconds <= 30 - self.now

    def sendall(self, data):
        pass

    def recv(self, most):
        self.now += 1
        return b"\x16\x03\x03\x3f\xff"[self.now - 1 : self.now] or b"x"

    def close(self):
        self.closed = True


def test_tls_through_the_tls_of_a_proxy_has_one_timeout_for_all_of_a_step(monkeypatch):
    outer = Drops()
    monkeypatch.setattr("formation.network.tls.time", SimpleNamespace(monotonic=lambda: outer.now))
    with pytest.raises(FailedAttempt, match="did not answer in time"):
        InnerTls(outer, ssl.create_default_context(), "a.example")
    assert (outer.now, outer.closed) == (30, True)
