import errno
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from fake_registry import FakeRegistry
from formation.errors import FormationError, UnreachableError
from formation.network.answers import FailedAttempt
from formation.network.tls import TlsFailure
from formation.registry.certificates import tls_context
from formation.registry.credentials import find_credential
from formation.registry.exchange import Exchange, _explained
from formation.registry.registries import read_registries
from formation.registry.repository import Repository
from formation.registry.settings import Settings
from loopback import certificate, server_context
from scripted_server import ScriptedServer, says


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_certificate_that_cannot_be_read_is_named(tmp_path, content):
    path = tmp_path / "ca.crt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FormationError, match=r"ca\.crt cannot be read"):
        tls_context("example.com", {}, (path,))


def test_a_host_has_certificates_of_its_own(tmp_path):
    for host in ("one.example.com", "two.example.com:5000"):
        directory = tmp_path / "containers" / "certs.d" / host
        directory.mkdir(parents=True)
        (directory / "broken.crt").write_text("broken")
    environment = {"XDG_CONFIG_HOME": str(tmp_path)}
    tls_context("three.example.com", environment, ())
    for host in ("one.example.com", "two.example.com:5000"):
        with pytest.raises(FormationError, match=r"broken\.crt"):
            tls_context(host, environment, ())


def test_directories_that_only_another_user_may_look_into_have_nothing_for_this_one(tmp_path, monkeypatch):
    """HOME under `docker run --user`, and the /etc/docker that Docker has made for root alone."""
    for path in ("containers/certs.d/a:1", "containers/registries.conf.d"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "containers/certs.d/a:1/broken.crt").write_text("broken")
    (tmp_path / "containers/registries.conf.d/broken.conf").write_text("[[registry]")
    environment = {"XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)}
    stat = Path.stat

    def refuse(path, **arguments):
        if path.is_relative_to(tmp_path) or path.is_relative_to("/etc/docker"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, **arguments)

    monkeypatch.setattr(Path, "stat", refuse)
    tls_context("a:1", environment, ())
    assert find_credential(environment, Repository("a:1", "b")) is None
    assert read_registries(environment).places(Repository("a:1", "b"))[-1].repository == Repository("a:1", "b")


def test_loopback_is_spoken_to_as_it_answers(server):
    exchange = Exchange(Settings())
    assert exchange.base(server.host, insecure=False) == f"http://{server.host}"
    asked = len(server.requests)
    assert exchange.base(server.host, insecure=False) == f"http://{server.host}"
    assert len(server.requests) == asked


@pytest.mark.parametrize(
    "plain",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"HTTP/1.1 426 Upgrade Required\r\n\r\n",
        b"HTTP/1.1 497 HTTP Request Sent to HTTPS Port\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n",
        b"HTTP/1.1 503 Service Unavailable\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x16",
        b"",
    ],
)
def test_tls_on_loopback_is_found_by_what_it_answers_without(tmp_path, plain):
    context = server_context(certificate(tmp_path))

    def conversation(peer):
        if peer.socket.recv(1, socket.MSG_PEEK) == b"G":
            peer.hear()
            return peer.say(plain)
        return context.wrap_socket(peer.socket, server_side=True).close()

    with ScriptedServer(conversation) as server:
        assert Exchange(Settings()).base(server.address, insecure=False) == f"https://{server.address}"
    assert b"Authorization" not in server.requests[0]
    assert len(server.requests) == 1


def test_a_registry_on_loopback_that_leads_to_tls_is_asked_with_it(tmp_path):
    context = server_context(certificate(tmp_path))

    def conversation(peer):
        if peer.socket.recv(1, socket.MSG_PEEK) == b"G":
            peer.hear()
            return peer.say(f"HTTP/1.1 301 Moved\r\nLocation: https://{server.address}/v2/\r\n\r\n".encode())
        return context.wrap_socket(peer.socket, server_side=True).close()

    with ScriptedServer(conversation) as server:
        assert Exchange(Settings()).base(server.address, insecure=False) == f"https://{server.address}"


def test_a_server_without_tls_that_answers_400_is_one_without_tls():
    def conversation(peer):
        peer.socket.recv(65_536)
        peer.say(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with ScriptedServer(conversation) as server:
        assert Exchange(Settings()).base(server.address, insecure=False) == f"http://{server.address}"


def test_a_proxy_is_not_taken_for_a_registry_on_loopback(server):
    with ScriptedServer(says(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")) as proxy:
        exchange = Exchange(Settings({"http_proxy": proxy.url}))
        assert exchange.base(server.host, insecure=False) == f"http://{server.host}"
    assert proxy.requests == []


def test_a_plain_registry_on_loopback_needs_no_ssl(server):
    code = (
        "import sys; from formation.registry.exchange import Exchange, Settings;"
        f"print(Exchange(Settings()).base('{server.host}', insecure=False), *sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    base, *modules = ended.stdout.split()
    assert base == f"http://{server.host}"
    assert {"ssl", "email", "concurrent", "tempfile", "subprocess", "dataclasses", "encodings.idna"}.isdisjoint(modules)


def test_nothing_goes_plainly_to_a_name_below_localhost_before_tls_was_tried(monkeypatch):
    heard = []

    def conversation(peer):
        heard.append(peer.socket.recv(65_536))
        peer.say(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    resolve = socket.getaddrinfo
    # Not every resolver knows such names.
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, **kind: resolve("127.0.0.1", port, **kind))
    with ScriptedServer(conversation) as server:
        host = f"a.localhost:{server.address.rpartition(':')[2]}"
        assert Exchange(Settings()).base(host, insecure=False) == f"http://{host}"
    assert [data[:1] for data in heard] == [b"\x16"]


def test_every_other_host_is_spoken_to_with_tls():
    exchange = Exchange(Settings())
    assert exchange.base("registry.example.com", insecure=False) == "https://registry.example.com"
    assert exchange.base("docker.io", insecure=False) == "https://registry-1.docker.io"
    plain = Exchange(Settings(plain_http=True))
    assert plain.base("registry.example.com", insecure=False) == "http://registry.example.com"


def test_a_server_that_is_not_there_is_a_failed_attempt():
    with FakeRegistry() as server:
        host = server.host
    with pytest.raises(FailedAttempt, match="refused"):
        Exchange(Settings()).base(host, insecure=False)


def test_a_certificate_of_another_name_is_not_mended_by_its_authority(tmp_path):
    context = server_context(certificate(tmp_path))

    def conversation(peer):
        context.wrap_socket(peer.socket, server_side=True).close()

    settings = Settings(certificates=(tmp_path / "ca.crt",))
    with ScriptedServer(conversation) as server:
        port = server.address.rpartition(":")[2]
        with pytest.raises(UnreachableError, match=f"localhost:{port} cannot be trusted") as caught:
            Exchange(settings).send("GET", f"https://localhost:{port}/v2/", {})
    assert caught.value.hint == "call it by a name that its certificate has, or have it get one with this name"


@pytest.mark.parametrize(
    ("code", "hint"), [(10, "has to be renewed"), (9, "is not valid yet"), (18, "certs.d/a:1/ca.crt")]
)
def test_what_is_wrong_with_a_certificate_decides_what_is_advised(code, hint):
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, "it is wrong"
    explained = _explained(TlsFailure(error), "a:1")
    assert explained.message == "a:1 cannot be trusted: it is wrong"
    assert hint in str(explained.hint)
