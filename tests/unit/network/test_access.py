"""Logins for archives: from a file in the form of apt's auth.conf, and sent to nobody else."""

import base64
import errno
from pathlib import Path

import pytest

from formation.errors import UnreachableError, UsageError
from formation.network import Downloader
from formation.network.access import Access, Logins
from formation.progress import Silent
from scripted_server import ScriptedServer, says

REFUSED = b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def logins(tmp_path):
    """The logins of a file with that text."""

    def read(text):
        path = tmp_path / "auth.conf"
        path.write_text(text)
        return Logins(path)

    return read


def sent(name, password="s3cret"):
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("machine", "url", "fits"),
    [
        ("a.example", "https://a.example/debian/x", True),
        ("a.example", "https://A.EXAMPLE:443/x", True),
        ("a.example:443", "https://a.example/x", True),
        ("A.example:8443", "https://a.example:8443/x", True),
        ("a.example", "https://a.example:8443/x", False),
        ("a.example:8443", "https://a.example/x", False),
        ("a.example", "https://b.a.example/x", False),
        ("a.example", "https://xa.example/x", False),
        ("a.example/deb", "https://a.example/deb/x", True),
        ("a.example/deb/", "https://a.example/deb/x", True),
        ("a.example/deb", "https://a.example/debian/x", False),
        ("a.example/deb", "https://a.example/deb/../x", False),
        ("https://a.example", "https://a.example/x", True),
        ("a.example", "http://a.example/x", False),
        ("http://a.example", "http://a.example/x", False),
        ("http://a.example", "https://a.example/x", False),
        ("http://repo.localhost", "http://repo.localhost/x", False),
        ("localhost:8081", "http://localhost:8081/x", True),
        ("http://[::1]:8081", "http://[::1]:8081/x", True),
    ],
)
def test_a_login_goes_to_its_machine_and_not_in_clear(logins, machine, url, fits):
    assert logins(f"machine {machine} login me password s3cret").header(url) == (sent("me") if fits else None)


def test_a_home_that_is_another_users_has_no_logins(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", refuse)
    assert Logins(tmp_path / "auth.conf").header("https://a.example/x") is None


def test_the_first_that_fits_counts_as_with_apt_and_a_default_never(logins):
    found = logins(
        "# a comment of machine c.example login x password y\n"
        "machine a.example/one\n  login one\n  password s3cret\n"
        "machine a.example login two account unused password s3cret machine b.example\n"
        "default login everybody password s3cret\n"
    )
    headers = [
        found.header(f"https://{where}") for where in ("a.example/one/x", "a.example/x", "b.example/", "c.example/")
    ]
    assert headers == [sent("one"), sent("two"), None, None]


@pytest.mark.parametrize(
    "text", [b"s3cret", b"machine a login b password s3cret s3cret", b"machine a login s3cret\xff"]
)
def test_a_file_that_is_none_is_wrong_usage_and_not_shown(tmp_path, text):
    path = tmp_path / "auth.conf"
    path.write_bytes(text)
    with pytest.raises(UsageError, match=r"auth\.conf") as caught:
        Logins(path).header("https://a/")
    assert "s3cret" not in f"{caught.value.message} {caught.value.hint}"


def test_a_redirect_to_another_server_gets_no_login(tmp_path):
    with ScriptedServer(says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) as other:
        moved = f"HTTP/1.1 302 Found\r\nLocation: {other.url}/x\r\nContent-Length: 0\r\n\r\n".encode()
        with ScriptedServer(says(moved)) as server:
            (tmp_path / "auth.conf").write_text(f"machine {server.address} login me password s3cret")
            with Downloader(progress=Silent(), access=Access(logins=tmp_path / "auth.conf")) as downloader:
                assert downloader.get(f"{server.url}/x", max_size=10) == b"ok"
    assert f"Authorization: {sent('me')}".encode() in server.requests[0]
    assert b"Authorization" not in other.requests[0]


@pytest.mark.parametrize("password", [None, "wrong"])
def test_a_login_that_is_missing_or_refused_is_told_with_where_it_belongs(tmp_path, password):
    with ScriptedServer(says(REFUSED)) as server:
        path = tmp_path / "auth.conf"
        if password:
            path.write_text(f"machine {server.address} login me password {password}")
        with Downloader(progress=Silent(), access=Access(logins=path)) as downloader:
            with pytest.raises(UnreachableError, match=r"answers 401 Unauthorized") as caught:
                downloader.get(f"{server.url}/x", max_size=10)
    assert ("was refused" in caught.value.message) == (password is not None)
    form = f"machine {server.address} login NAME password PASSWORD"
    wanted = f"put a login into {path}: {form}" if password is None else f"put the right one into {path}, "
    assert str(caught.value.hint).startswith(wanted)
    assert len(server.requests) == 1


def test_where_a_login_would_go_in_clear_the_archive_has_to_be_named_otherwise():
    assert "over https alone" in Logins(None).remedy("http://a.example/x", sent=False)
