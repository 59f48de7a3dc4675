"""Signed Debian archives on disk, made of real .deb files, and a server for them.

    debs = [make_deb(tmp_path, "hello")]
    archive = make_archive(tmp_path / "archive", debs, suite="stable")
    with served(archive.directory) as url:
        archive.archive(url)      # as a definition names it; archive.directory / "key.asc" is its key file

Called again for the same directory and key, `make_archive` adds a suite, or makes a newer one of that name.
"""

import gzip
import hashlib
import lzma
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from formation.debian.archive import Archive
from formation.debian.deb import open_deb
from signed_archive import clear_signed, date, new_key, release_text

HOUR = 3600
DAY = 86_400


@dataclass(frozen=True)
class LocalArchive:
    """An archive on disk with one suite, or the last one that was made."""

    directory: Path
    suite: str
    components: tuple[str, ...]
    key: Any
    """The throw-away key pair; its public half is key.asc in `directory`."""

    @property
    def uri(self) -> str:
        """As a file URL, for code that does not begin at a definition."""
        return self.directory.as_uri()

    def archive(self, uri: str | None = None, *, name: str = "local", keys: tuple[str, ...] | None = None) -> Archive:
        """As a definition names it; at its file URL unless `uri` says otherwise."""
        keys = keys or (str(self.directory / "key.asc"),)
        return Archive(name, uri or self.uri, (self.suite,), self.components, keys, None, None)


def make_archive(
    directory: Path,
    packages: Mapping[str, Iterable[Path]] | Iterable[Path],
    *,
    suite: str = "stable",
    key: Any = None,
    date: int | None = None,
    valid_until: int | None = None,
    codename: str | None = None,
    architectures: tuple[str, ...] = ("amd64",),
    compression: str = "xz",
    release: Mapping[str, str] | None = None,
) -> LocalArchive:
    """Copies `packages` into the pool of `directory` and writes a signed suite of them; `release` has further fields.

    `packages` are .deb files, by component; all in `main` when they are not. `date` and `valid_until` are in seconds
    since 1970: an hour ago, and a week after that. Packages for `all` are in the index of each architecture.
    """
    key = key or new_key()
    by_component = packages if isinstance(packages, Mapping) else {"main": packages}
    made = int(time.time()) - HOUR if date is None else date
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "key.asc").write_bytes(bytes(str(key.extract_certificate()), "ascii"))
    files: dict[str, bytes] = {}
    for component, debs in by_component.items():
        stanzas = [_pooled(directory, component, deb) for deb in debs]
        for architecture in architectures:
            wanted = (text for its, text in stanzas if its in (architecture, "all"))
            index = "\n".join(wanted).encode()
            path = f"{component}/binary-{architecture}/Packages"
            files[path] = index
            files[f"{path}.{compression}"] = _COMPRESS[compression](index)
    text = release_text(
        files,
        Suite=suite,
        Codename=codename or suite,
        Date=_date(made),
        Valid_Until=_date(made + 7 * DAY if valid_until is None else valid_until),
        Architectures=" ".join(architectures),
        Components=" ".join(by_component),
        **(release or {}),
    )
    for path, data in (*files.items(), ("InRelease", clear_signed(key, text))):
        _write_index(directory / "dists" / suite / path, data)
    return LocalArchive(directory, suite, tuple(by_component), key)


_COMPRESS = {"xz": lzma.compress, "gz": partial(gzip.compress, mtime=0)}
_date = date


def _pooled(directory: Path, component: str, deb: Path) -> tuple[str, str]:
    """Copies a package into the pool; gives its architecture and its stanza of a Packages index."""
    data = deb.read_bytes()
    with open_deb(deb) as opened:
        control = opened.control["control"].decode().rstrip("\n")
    fields = dict(line.split(": ", 1) for line in control.splitlines() if not line.startswith(" "))
    source = fields.get("Source", fields["Package"]).split()[0]
    path = Path("pool", component, source[:1], source, deb.name)
    (directory / path).parent.mkdir(parents=True, exist_ok=True)
    (directory / path).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    return fields["Architecture"], f"{control}\nFilename: {path}\nSize: {len(data)}\nSHA256: {digest}\n"


def _write_index(path: Path, data: bytes) -> None:
    """Writes a file of a suite, under the name of its digest as well."""
    by_hash = path.parent / "by-hash" / "SHA256" / hashlib.sha256(data).hexdigest()
    by_hash.parent.mkdir(parents=True, exist_ok=True)
    for file in (path, by_hash):
        file.write_bytes(data)


@contextmanager
def served(
    directory: Path,
    context: ssl.SSLContext | None = None,
    handler: type[SimpleHTTPRequestHandler] = SimpleHTTPRequestHandler,
) -> Iterator[str]:
    """The URL, without a trailing slash, of a server on loopback for the files below `directory`.

    `context`: it speaks TLS. `handler` answers.
    """

    class Handler(handler):
        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(directory)))
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"{'http' if context is None else 'https'}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
