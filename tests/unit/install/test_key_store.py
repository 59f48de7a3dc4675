"""Java's store of certificates has the time of the build, and no other."""

import hashlib
import struct
from pathlib import Path

import pytest

from formation.install.key_store import PATH, settle_times, with_time
from formation.install.roots import Root

EPOCH = 1_600_000_000


def key_store(times: dict[str, int], *, password: str = "changeit", kind: int = 2) -> bytes:
    """A store of certificates: alias and time in seconds."""
    body = struct.pack(">III", 0xFEEDFEED, 2, len(times))
    for alias, time in times.items():
        name = alias.encode()
        body += struct.pack(">IH", kind, len(name)) + name + struct.pack(">Q", time * 1000)
        body += struct.pack(">H", 5) + b"X.509" + struct.pack(">I", 300) + bytes(300)
    return body + hashlib.sha1(password.encode("utf-16-be") + b"Mighty Aphrodite" + body).digest()


def test_all_certificates_get_the_time() -> None:
    data = key_store({"debian:a.pem": 5, "debian:caf\u00e9.pem": 1_700_000_000})
    assert with_time(data, EPOCH) == key_store({"debian:a.pem": EPOCH, "debian:caf\u00e9.pem": EPOCH})
    assert with_time(key_store({}), EPOCH) == key_store({})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"0\x82\x03",
        key_store({"a": 5}, password="secret"),
        key_store({"a": 5}, kind=1),
        key_store({"a": 5})[:-1],
        key_store({"a": 5}).replace(b"X.509", b"X.510"),
    ],
)
def test_what_is_no_such_store_stays_as_it_is(data: bytes) -> None:
    assert with_time(data, EPOCH) is None


def test_a_store_that_lies_about_its_length_stays_as_it_is() -> None:
    body = bytearray(key_store({"a": 5})[:-20])
    for count in (0, 2):
        body[8:12] = struct.pack(">I", count)
        summed = hashlib.sha1("changeit".encode("utf-16-be") + b"Mighty Aphrodite" + body).digest()
        assert with_time(bytes(body) + summed, EPOCH) is None


def test_a_store_of_a_stage_before_keeps_its_times(tmp_path: Path) -> None:
    for tree in ("root", "below"):
        (tmp_path / tree / PATH).parent.mkdir(parents=True)
        (tmp_path / tree / PATH).write_bytes(key_store({"a": 5}))
    root = Root(tmp_path / "root", (tmp_path / "below",), None)
    settle_times(root, EPOCH)
    assert (root.path / PATH).read_bytes() == key_store({"a": 5})
    (root.path / PATH).write_bytes(key_store({"a": 5, "b": 6}))
    settle_times(root, EPOCH)
    assert (root.path / PATH).read_bytes() == key_store({"a": EPOCH, "b": EPOCH})


def test_an_image_without_java_has_none(tmp_path: Path) -> None:
    settle_times(Root(tmp_path, (), None), EPOCH)
    assert list(tmp_path.iterdir()) == []
