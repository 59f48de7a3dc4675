"""A registry in this process, of the distribution specification's letter, that fails as it is told to.

with FakeRegistry() as registry:
    registry.fail("PATCH", Fault(cut_request=1000))     # once, and then no more
    registry.require_bearer("me", "secret")
    client = Registry(Settings(plain_http=True, pause=lambda seconds: None))
"""

import base64
import json
import re
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from formation.digest import sha256


@dataclass(frozen=True)
class Fault:
    """How one request fails."""

    status: int | None = None
    """Answers with it instead of doing anything."""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut_request: int | None = None
    """Reads so many bytes of the request's body, keeps them, and closes the connection."""
    cut_answer: int | None = None
    """Does what was asked, sends so many bytes of the answer's body, and closes the connection."""


@dataclass(frozen=True)
class Seen:
    """A request."""

    method: str
    target: str
    headers: dict[str, str]

    @property
    def path(self) -> str:
        return urlsplit(self.target).path


@dataclass
class _Repository:
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    referrers: dict[str, bytes] | None = None
    """Digest of a subject → the index of what refers to it; None: the registry cannot list them."""


class _Cut(Exception):
    pass


class FakeRegistry:
    """The server. Its content may be looked at, and spoiled, between requests."""

    def __init__(self) -> None:
        self.repositories: dict[str, _Repository] = {}
        self.uploads: dict[str, bytearray] = {}
        self.requests: list[Seen] = []
        self.tokens: set[str] = set()
        self.deletes = True
        self.page_link: str | None = None
        """A Link header for every page of tags, whatever is asked."""
        self.before: Callable[[Seen], None] = lambda seen: None
        """Called before each request is answered, outside any lock."""
        self._login: tuple[str, str] | None = None
        self._scheme = ""
        self._faults: list[tuple[str, str, Fault]] = []
        self._lock = threading.RLock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._server.handle_error = lambda *arguments: None  # type: ignore[method-assign]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def repository(self, name: str) -> _Repository:
        return self.repositories.setdefault(name, _Repository())

    def fail(self, method: str, *faults: Fault, where: str = "") -> None:
        """The next requests of `method` whose target contains `where` fail, one after the other."""
        with self._lock:
            self._faults += [(method, where, fault) for fault in faults]

    def lose_answer(self, name: str, digest: str, data: bytes) -> list[Seen]:
        """The first upload of a blob to the repository `name` arrives, and its answer never does. Gives, once that has
        happened, the request."""
        lost: list[Seen] = []

        def drop(seen: Seen) -> None:
            hexadecimal = digest.removeprefix("sha256:")
            if seen.method == "PUT" and hexadecimal in seen.target and not lost:
                lost.append(seen)
                self.repository(name).blobs[digest] = data
                self.uploads.clear()
                self.fail("PUT", Fault(cut_request=10), where=hexadecimal)

        self.before = drop
        return lost

    def require_basic(self, name: str, password: str) -> None:
        self._login, self._scheme = (name, password), "basic"

    def require_bearer(self, name: str = "", password: str = "") -> None:
        """Tokens, for that login; for anybody when the name is empty."""
        self._login, self._scheme = ((name, password) if name else None), "bearer"

    def expire(self) -> None:
        """Every token that was given so far ends."""
        self.tokens.clear()

    def add_image(self, name: str, image: Any, tag: str) -> str:
        """Puts an image in memory into the registry; gives its digest."""
        found = self.repository(name)
        for digest, data in image.source.content.items():
            found.blobs[digest] = data
        return self.add_manifest(name, image.manifest.media_type, image.manifest_bytes, tag)

    def add_manifest(self, name: str, media_type: str, data: bytes, tag: str | None = None) -> str:
        found = self.repository(name)
        found.manifests[sha256(data)] = (media_type, data)
        if tag:
            found.tags[tag] = sha256(data)
        return sha256(data)

    def asked(self, method: str, where: str = "") -> list[Seen]:
        return [seen for seen in self.requests if seen.method == method and where in seen.target]

    def take_fault(self, seen: Seen) -> Fault | None:
        with self._lock:
            self.requests.append(seen)
            for number, (method, where, fault) in enumerate(self._faults):
                if method == seen.method and where in seen.target:
                    del self._faults[number]
                    return fault
        return None

    def authorised(self, seen: Seen) -> bool:
        given = seen.headers.get("authorization", "")
        if self._scheme == "basic" and self._login is not None:
            return given == "Basic " + base64.b64encode(":".join(self._login).encode()).decode()
        return not self._scheme or given.removeprefix("Bearer ") in self.tokens

    @property
    def challenge(self) -> str:
        if self._scheme == "basic":
            return 'Basic realm="fake"'
        return f'Bearer realm="http://{self.host}/token",service="fake",scope="repository:x:pull"'

    def give_token(self, seen: Seen) -> str | None:
        if self._login is not None:
            wanted = "Basic " + base64.b64encode(":".join(self._login).encode()).decode()
            if seen.headers.get("authorization") != wanted:
                return None
        token = f"token-{uuid.uuid4().hex}"
        self.tokens.add(token)
        return token


def _handler(registry: FakeRegistry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            seen = Seen(self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
            registry.before(seen)
            fault = registry.take_fault(seen)
            self._fault = fault or Fault()
            length = int(seen.headers.get("content-length", "0"))
            wanted = length if self._fault.cut_request is None else min(length, self._fault.cut_request)
            body = self.rfile.read(wanted)
            self.close_connection = self.close_connection or wanted != length
            if self._fault.status is not None:
                return self._answer(self._fault.status, self._fault.body, self._fault.headers)
            path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
            if path == "/token":
                token = registry.give_token(seen)
                return self._answer(200 if token else 401, json.dumps({"token": token, "expires_in": 300}).encode())
            if not registry.authorised(seen):
                return self._error(401, "UNAUTHORIZED", {"WWW-Authenticate": registry.challenge})
            try:
                self._route(path, query, body, seen)
            except _Cut:
                self.close_connection = True

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

        def _route(self, path: str, query: dict[str, list[str]], body: bytes, seen: Seen) -> None:
            if path == "/v2/":
                return self._answer(200, b"{}", {"Date": formatdate(usegmt=True)})
            match = re.fullmatch(r"/v2/(.+)/(blobs/uploads/.*|blobs/.+|manifests/.+|tags/list|referrers/.+)", path)
            if match is None:
                return self._error(404, "NAME_UNKNOWN")
            name, rest = match[1], match[2]
            if rest.startswith("blobs/uploads/"):
                return self._upload(name, rest.removeprefix("blobs/uploads/"), query, body, seen)
            if rest.startswith("blobs/"):
                data = registry.repository(name).blobs.get(rest.removeprefix("blobs/"))
                return self._error(404, "BLOB_UNKNOWN") if data is None else self._blob(data, seen)
            if rest.startswith("referrers/"):
                listed = registry.repository(name).referrers
                return self._error(404, "UNSUPPORTED") if listed is None else self._answer(200, listed[rest[10:]])
            if rest == "tags/list":
                return self._tags(name, query)
            return self._manifest(name, rest.removeprefix("manifests/"), body, seen)

        def _upload(self, name: str, key: str, query: dict[str, list[str]], body: bytes, seen: Seen) -> None:
            here = f"/v2/{name}/blobs/uploads/"
            if self.command == "POST":
                origin = registry.repositories.get(query.get("from", [""])[0])
                digest = query.get("mount", [""])[0]
                if origin and digest in origin.blobs:
                    registry.repository(name).blobs[digest] = origin.blobs[digest]
                    return self._answer(201, b"", {"Location": f"/v2/{name}/blobs/{digest}"})
                key = uuid.uuid4().hex
                registry.uploads[key] = bytearray()
                return self._answer(202, b"", {"Location": here + key})
            if key not in registry.uploads:
                return self._error(404, "BLOB_UPLOAD_UNKNOWN")
            data = registry.uploads[key]
            range_match = re.fullmatch(r"(\d+)-\d+", seen.headers.get("content-range", ""))
            if range_match and int(range_match[1]) != len(data):
                return self._error(416, "RANGE_INVALID")
            data += body
            if self._fault.cut_request is not None:
                raise _Cut
            where = {"Location": here + key, "Range": f"0-{max(len(data) - 1, 0)}"}
            if self.command in ("PATCH", "GET"):
                return self._answer(202 if self.command == "PATCH" else 204, b"", where)
            digest = query["digest"][0]
            if sha256(bytes(data)) != digest:
                return self._error(400, "DIGEST_INVALID")
            registry.repository(name).blobs[digest] = bytes(data)
            del registry.uploads[key]
            return self._answer(201)

        def _blob(self, data: bytes, seen: Seen) -> None:
            wanted = re.fullmatch(r"bytes=(\d+)-", seen.headers.get("range", ""))
            if wanted is None:
                return self._answer(200, data)
            start = int(wanted[1])
            return self._answer(206, data[start:], {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"})

        def _tags(self, name: str, query: dict[str, list[str]]) -> None:
            if name not in registry.repositories:
                return self._error(404, "NAME_UNKNOWN")
            every = sorted(registry.repository(name).tags)
            last, count = query.get("last", [""])[0], int(query.get("n", ["100"])[0])
            page = [tag for tag in every if tag > last][: min(count, 5)]
            headers = {}
            if page and page[-1] != every[-1]:
                headers["Link"] = f'</v2/{name}/tags/list?n={count}&last={page[-1]}>; rel="next"'
            if registry.page_link is not None:
                headers["Link"] = registry.page_link
            return self._answer(200, json.dumps({"name": name, "tags": page}).encode(), headers)

        def _manifest(self, name: str, reference: str, body: bytes, seen: Seen) -> None:
            found = registry.repository(name)
            digest = found.tags.get(reference, reference)
            if self.command == "PUT":
                tag = None if ":" in reference else reference
                stored = registry.add_manifest(name, seen.headers["content-type"], body, tag)
                return self._answer(201, b"", {"Docker-Content-Digest": stored})
            if digest not in found.manifests:
                return self._error(404, "MANIFEST_UNKNOWN")
            if self.command == "DELETE":
                if not registry.deletes:
                    return self._error(405, "UNSUPPORTED")
                del found.manifests[digest]
                found.tags = {tag: its for tag, its in found.tags.items() if its != digest}
                return self._answer(202)
            media_type, data = found.manifests[digest]
            return self._answer(200, data, {"Content-Type": media_type, "Docker-Content-Digest": digest})

        def _error(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
            self._answer(status, json.dumps({"errors": [{"code": code, "message": code.lower()}]}).encode(), headers)

        def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
            self.send_response_only(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                cut = self._fault.cut_answer
                self.wfile.write(body if cut is None else body[:cut])
                if cut is not None:
                    self.wfile.flush()
                    self.close_connection = True

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class's name
            pass

    return Handler
