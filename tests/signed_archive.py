"""A small package archive in Debian's format on a FaultyServer, signed with throw-away keys."""

import hashlib
import lzma
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pysequoia import Profile, SignatureMode, Tsk, sign

from faulty_server import Answer, FaultyServer
from formation.debian.archive import Archive
from formation.debian.openpgp import Keyring, keyring

NOW = 1_795_000_000
"""A time that tests use as the present: 2026-11-18."""


def new_key(name: str = "test") -> Any:
    """A throw-away key pair."""
    return Tsk.generate(f"{name} <{name}@example.com>", profile=Profile.RFC4880)


def ring(*keys: Any) -> Keyring:
    """The keyring of the public halves of `keys`."""
    return keyring(key.extract_certificate() for key in keys)


def clear_signed(key: Any, text: bytes) -> bytes:
    """An InRelease file."""
    return bytes(sign(key.signer(), text, mode=SignatureMode.CLEAR))


def detached_signature(key: Any, text: bytes) -> bytes:
    """A Release.gpg file."""
    return bytes(sign(key.signer(), text, mode=SignatureMode.DETACHED))


def date(seconds: int) -> str:
    """A time as Release files write it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%a, %d %b %Y %H:%M:%S UTC")


def release_text(files: dict[str, bytes], **fields: str | None) -> bytes:
    """A Release file that lists `files`. `fields` replace the usual ones, `_` for `-`; None leaves one out."""
    usual: dict[str, str | None] = {
        "Suite": "stable",
        "Codename": "toy",
        "Date": date(NOW - 3600),
        "Valid-Until": date(NOW + 86_400),
        "Acquire-By-Hash": "yes",
        "Architectures": "amd64 arm64",
        "Components": "main",
    }
    usual |= {name.replace("_", "-"): value for name, value in fields.items()}
    lines = [f"{name}: {value}" for name, value in usual.items() if value is not None]
    lines += ["SHA256:", *(f" {hashlib.sha256(data).hexdigest()} {len(data)} {path}" for path, data in files.items())]
    return ("\n".join(lines) + "\n").encode()


@dataclass
class SignedArchive:
    """The archive `toy` with one suite."""

    server: FaultyServer
    key: Any = field(default_factory=new_key)
    suite: str = "toy"
    packages: bytes = b"Package: hello\nVersion: 1\nArchitecture: amd64\n"
    """The Packages index of main/amd64."""

    def publish(self, files: dict[str, bytes] | None = None, **fields: str | None) -> None:
        """Serves the suite; `files` are what its Release lists, `fields` as for `release_text`."""
        base = f"/dists/{self.suite}"
        listed = self.files() if files is None else files
        for path, data in listed.items():
            self.server.serve(f"{base}/{path}", data)
            directory = path.rpartition("/")[0]
            self.server.serve(f"{base}/{directory}/by-hash/SHA256/{hashlib.sha256(data).hexdigest()}", data)
        self.server.serve(f"{base}/InRelease", self.in_release(listed, **fields))

    def files(self) -> dict[str, bytes]:
        """The index of main/amd64, plain and compressed with xz."""
        return {
            "main/binary-amd64/Packages": self.packages,
            "main/binary-amd64/Packages.xz": lzma.compress(self.packages),
        }

    def in_release(self, files: dict[str, bytes], **fields: str | None) -> bytes:
        """A signed InRelease file that lists `files`."""
        return clear_signed(self.key, release_text(files, **fields))

    def forget(self, path: str) -> None:
        """Answers 404 for `path` of the suite from now on."""
        self.server.serve(f"/dists/{self.suite}/{path}", Answer(status=404))

    @property
    def archive(self) -> Archive:
        """As a definition names it."""
        return Archive("toy", self.server.url, (self.suite,), ("main",), ("./toy.asc",), None, None)
