import pytest

from fake_registry import FakeRegistry
from formation.errors import FormationError
from formation.network.answers import FailedAttempt
from formation.registry.certificates import tls_context
from formation.registry.exchange import Exchange
from formation.registry.settings import Settings


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_certificate_that_cannot_be_read_is_named(tmp_path, content):
    path = tmp_path / "ca.crt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FormationError, match=r"ca\.crt cannot be read"):
        tls_context("example.com", {"FORMATION_CA_FILE": str(path)}, ())


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


def test_loopback_is_spoken_to_as_it_answers(server):
    exchange = Exchange(Settings())
    assert exchange.base(server.host, insecure=False) == f"http://{server.host}"
    asked = len(server.requests)
    assert exchange.base(server.host, insecure=False) == f"http://{server.host}"
    assert len(server.requests) == asked


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
