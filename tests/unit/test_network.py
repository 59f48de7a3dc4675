"""The downloader against a real server that fails in every way a server can."""

import errno
import os
import random
import resource
import signal
import socket
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from faulty_server import Answer, FaultyServer
from formation.digest import sha256
from formation.errors import FormationError, IntegrityError, UnreachableError
from formation.network import Download, Downloader, GoneError, Proxies, partial
from formation.network.http import redirected
from formation.network.transfer import Cancelled, Patience
from formation.progress import Silent
from scripted_server import Peer, ScriptedServer, says_and_waits

BODY = random.Random(1).randbytes(300_000)


class Recorder(Silent):
    """A Progress that remembers."""

    def __init__(self) -> None:
        self.started: list[tuple[str, int, str]] = []
        self.done: dict[str, int] = defaultdict(int)
        self.finished: list[tuple[str, str]] = []
        self.notes: list[str] = []
        self._lock = threading.Lock()

    def start(self, stage: str, total: int, unit: str = "") -> None:
        self.started.append((stage, total, unit))

    def advance(self, stage: str, amount: int = 1) -> None:
        with self._lock:
            self.done[stage] += amount

    def finish(self, stage: str, result: str = "") -> None:
        self.finished.append((stage, result))

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as server:
        yield server


@pytest.fixture
def pauses() -> list[float]:
    """Seconds that the downloader would have waited."""
    return []


@pytest.fixture
def downloader(pauses: list[float]) -> Iterator[Downloader]:
    with Downloader(progress=Silent(), tries=3, pause=pauses.append) as downloader:
        yield downloader


def job(path: Path, *urls: str, body: bytes = BODY) -> Download:
    return Download(urls, path, sha256(body), len(body))


def refused_port() -> int:
    """A port of loopback on which nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_a_file_arrives_complete_readable_and_alone(downloader, server, tmp_path):
    downloader.fetch(job(tmp_path / "deep" / "x.deb", server.serve("/x.deb", BODY)))
    assert (tmp_path / "deep" / "x.deb").read_bytes() == BODY
    assert (tmp_path / "deep" / "x.deb").stat().st_mode & 0o777 == 0o644
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["x.deb"]


def test_an_empty_file_arrives(downloader, server, tmp_path):
    downloader.fetch(job(tmp_path / "x", server.serve("/x", b""), body=b""))
    assert (tmp_path / "x").read_bytes() == b""


def test_many_files_arrive_and_each_is_there_when_it_is_yielded(downloader, server, tmp_path):
    bodies = {f"{number}.deb": BODY[: number * 1000] for number in range(50)}
    jobs = [job(tmp_path / name, server.serve(f"/{name}", body), body=body) for name, body in bodies.items()]
    seen = set()
    for done in downloader.fetch_all(jobs):
        assert done.path.read_bytes() == bodies[done.path.name]
        seen.add(done.path.name)
    assert seen == set(bodies)


def test_progress_counts_the_bytes_once_although_a_transfer_began_anew(server, tmp_path):
    progress = Recorder()
    url = server.serve("/x", Answer(BODY, cut=100_000), Answer(BODY, ranges=False))
    with Downloader(progress=progress, pause=lambda seconds: None) as downloader:
        downloader.fetch(job(tmp_path / "x", url), stage="packages")
    assert progress.started == [("packages", len(BODY), "B")]
    assert progress.done == {"packages": len(BODY)}
    assert progress.finished == [("packages", "1 file")]


def test_a_cut_download_goes_on_where_it_stopped(downloader, server, tmp_path, pauses):
    url = server.serve("/x", Answer(BODY, cut=100_000), BODY)
    downloader.fetch(job(tmp_path / "x", url))
    assert (tmp_path / "x").read_bytes() == BODY
    assert server.ranges("/x") == [None, "bytes=100000-"]
    assert len(pauses) == 1


def test_a_stalled_download_goes_on_where_it_stopped(server, tmp_path):
    url = server.serve("/x", Answer(BODY, stall=100_000), BODY)
    with Downloader(progress=Silent(), timeout=0.2, pause=lambda seconds: None) as downloader:
        downloader.fetch(job(tmp_path / "x", url))
    assert (tmp_path / "x").read_bytes() == BODY
    assert server.ranges("/x") == [None, "bytes=100000-"]


def test_a_server_that_drips_counts_as_stalled(server, tmp_path):
    url = server.serve("/x", Answer(BODY, stall=10), BODY)
    clock = iter(range(0, 10**9, 31))
    with Downloader(progress=Silent(), pause=lambda seconds: None, clock=lambda: next(clock)) as downloader:
        downloader.fetch(job(tmp_path / "x", url))
    assert server.ranges("/x") == [None, "bytes=10-"]


def test_a_server_that_never_answers_is_unreachable(server, tmp_path):
    url = server.serve("/x", Answer(BODY, stall=0))
    with Downloader(progress=Silent(), timeout=0.1, tries=2, pause=lambda seconds: None) as downloader:
        with pytest.raises(UnreachableError, match="the server stopped sending, 2 times in a row"):
            downloader.fetch(job(tmp_path / "x", url))
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_cuts_again_and_again_is_worn_down_while_there_is_progress(downloader, server, tmp_path):
    url = server.serve("/x", *[Answer(BODY, cut=70_000)] * 4, BODY)
    downloader.fetch(job(tmp_path / "x", url))
    assert server.ranges("/x") == [None, "bytes=70000-", "bytes=140000-", "bytes=210000-", "bytes=280000-"]


def test_a_server_that_always_cuts_at_the_same_byte_is_unreachable(downloader, server, tmp_path, pauses):
    url = server.serve("/x", Answer(BODY, cut=100, ranges=False))
    with pytest.raises(UnreachableError, match="cannot download x: the connection was cut, 3 times in a row"):
        downloader.fetch(job(tmp_path / "x", url))
    assert len(pauses) == 2
    assert list(tmp_path.iterdir()) == []


def test_halves_of_two_versions_are_replaced_by_one_whole(downloader, server, tmp_path):
    url = server.serve("/x", Answer(bytes(len(BODY)), cut=100_000), BODY)
    downloader.fetch(job(tmp_path / "x", url))
    assert (tmp_path / "x").read_bytes() == BODY
    assert server.ranges("/x") == [None, "bytes=100000-", None]


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
def test_a_busy_server_is_asked_again(downloader, server, tmp_path, pauses, status):
    downloader.fetch(job(tmp_path / "x", server.serve("/x", Answer(status=status), Answer(status=status), BODY)))
    assert (tmp_path / "x").read_bytes() == BODY
    assert len(pauses) == 2


def test_a_server_that_stays_busy_is_unreachable_with_its_answer(downloader, server, tmp_path):
    with pytest.raises(UnreachableError, match="503 Service Unavailable, 3 times in a row") as caught:
        downloader.fetch(job(tmp_path / "x", server.serve("/x", Answer(status=503))))
    assert not isinstance(caught.value, GoneError)
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("status", [429, 503])
def test_the_pause_is_the_one_that_the_server_asks_for(downloader, server, tmp_path, pauses, status):
    url = server.serve("/x", Answer(status=status, headers={"Retry-After": "7"}), BODY)
    downloader.fetch(job(tmp_path / "x", url))
    assert pauses == [7]


def test_pauses_double_at_random_around_it_and_are_bounded():
    patience = Patience(tries=5, stall=30)
    for failures, longest in ((1, 0.4), (2, 0.8), (3, 1.6), (4, 3.2), (20, 20.0)):
        assert longest / 2 <= patience.delay(failures, None) <= longest
    assert len({patience.delay(1, None) for _ in range(10)}) > 1
    assert patience.delay(1, 120) == 120


@pytest.mark.parametrize("status", [404, 410])
def test_a_file_that_is_gone_is_told_apart_and_not_asked_for_again(downloader, server, tmp_path, pauses, status):
    wanted = job(tmp_path / "x", server.serve("/x", Answer(status=status)))
    with pytest.raises(GoneError, match=f"cannot download x: the server answers {status}") as caught:
        downloader.fetch(wanted)
    assert caught.value.missing == (wanted,)
    assert (len(server.requests), pauses) == (1, [])


def test_a_refusal_is_not_asked_for_again(downloader, server, tmp_path):
    with pytest.raises(UnreachableError, match="403 Forbidden") as caught:
        downloader.fetch(job(tmp_path / "x", server.serve("/x", Answer(status=403))))
    assert not isinstance(caught.value, GoneError)
    assert len(server.requests) == 1


def test_the_phrase_of_a_server_never_reaches_the_terminal(downloader, server, tmp_path):
    with pytest.raises(UnreachableError) as caught:
        downloader.fetch(job(tmp_path / "x", server.serve("/x", Answer(status=302, headers={"Location": "\x1b[2Jx:"}))))
    assert caught.value.message.isprintable()


def test_the_next_place_has_what_the_first_dropped(downloader, server, tmp_path):
    urls = server.serve("/live/x", Answer(status=404)), server.serve("/snapshot/x", BODY)
    downloader.fetch(job(tmp_path / "x", *urls))
    assert (tmp_path / "x").read_bytes() == BODY
    assert server.paths() == ["/live/x", "/snapshot/x"]


def test_a_file_is_gone_when_its_first_place_says_so_and_the_others_cannot_be_reached(downloader, server, tmp_path):
    url = server.serve("/x", Answer(status=404))
    refused = f"http://127.0.0.1:{refused_port()}/x"
    with pytest.raises(GoneError, match=r"404 Not Found .*; the connection was refused") as gone:
        downloader.fetch(job(tmp_path / "x", url, refused))
    (unasked,) = gone.value.unasked
    assert unasked.startswith("the connection was refused") and unasked.endswith(f"({refused})")
    with pytest.raises(UnreachableError) as caught:
        downloader.fetch(job(tmp_path / "x", f"http://127.0.0.1:{refused_port()}/x", url))
    assert not isinstance(caught.value, GoneError)


def test_all_files_that_are_gone_are_named_and_the_others_arrive(downloader, server, tmp_path):
    good = [job(tmp_path / f"good{n}", server.serve(f"/good{n}", BODY)) for n in range(3)]
    gone = [job(tmp_path / f"gone{n}", f"{server.url}/gone{n}.deb") for n in range(2)]
    arrived = []
    with pytest.raises(GoneError, match=r"2 files are no longer there: gone0\.deb, gone1\.deb") as caught:
        for done in downloader.fetch_all([gone[0], *good, gone[1]]):
            arrived.append(done)
    assert set(caught.value.missing) == set(gone)
    assert set(arrived) == set(good)


def test_a_server_that_took_no_connection_is_not_waited_for_again(downloader, tmp_path, pauses):
    url = f"http://127.0.0.1:{refused_port()}"
    for _ in range(3):
        with pytest.raises(UnreachableError):
            downloader.get(f"{url}/x", max_size=10)
    assert len(pauses) == 2


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(BODY[:-1]), "has 299999 bytes, but 300000 were promised"),
        (Answer(BODY + b"x"), "has 300001 bytes, but 300000 were promised"),
        (Answer(BODY + b"x", chunked=True), "goes on after the 300000 bytes"),
        (Answer(BODY[:-1], chunked=True, ranges=False), None),
        (Answer(bytes(len(BODY))), f"has the digest {sha256(bytes(len(BODY)))}, but {sha256(BODY)} was expected"),
    ],
)
def test_wrong_bytes_are_refused_and_nothing_is_left(downloader, server, tmp_path, answer, message):
    (tmp_path / "x").write_bytes(b"what was there before")
    url = server.serve("/x", answer)
    with pytest.raises(IntegrityError if message else UnreachableError, match=message) as caught:
        downloader.fetch(job(tmp_path / "x", url))
    assert url in caught.value.message
    assert [file.name for file in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_bytes() == b"what was there before"


def test_a_file_that_ends_before_the_byte_to_resume_from_is_too_short(downloader, server, tmp_path):
    url = server.serve("/x", Answer(BODY, cut=100_000), BODY[:100_000])
    with pytest.raises(IntegrityError, match="has 100000 bytes, but 300000 were promised"):
        downloader.fetch(job(tmp_path / "x", url))


def test_a_body_that_never_ends_is_cut_off(downloader, server):
    assert downloader.get(server.serve("/x", BODY), max_size=len(BODY)) == BODY
    for answer in (Answer(BODY), Answer(BODY, chunked=True)):
        with pytest.raises(IntegrityError, match="larger than the 299999 bytes"):
            downloader.get(server.serve("/x", answer), max_size=len(BODY) - 1)


def test_a_body_in_memory_begins_anew_after_a_cut(downloader, server):
    url = server.serve("/x", Answer(BODY, cut=100_000), BODY)
    assert downloader.get(url, max_size=len(BODY)) == BODY
    assert server.ranges("/x") == [None, None]


def test_redirects_are_followed(downloader, server, tmp_path):
    server.serve("/b", BODY)
    url = server.serve("/a", Answer(status=302, headers={"Location": "/b"}))
    downloader.fetch(job(tmp_path / "x", url))
    assert (tmp_path / "x").read_bytes() == BODY


def test_a_circle_of_redirects_ends(downloader, server):
    url = server.serve("/a", Answer(status=301, headers={"Location": "/a"}))
    with pytest.raises(UnreachableError, match="redirects more than 8 times"):
        downloader.get(url, max_size=10)


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://host/x", "", "http://["])
def test_a_redirect_that_leaves_http_is_refused(downloader, server, location):
    url = server.serve("/a", Answer(status=302, headers={"Location": location}))
    with pytest.raises(UnreachableError, match="redirects to"):
        downloader.get(url, max_size=10)


def test_a_redirect_may_gain_encryption_but_not_lose_it():
    assert redirected("http://a/x", "https://b/y") == "https://b/y"
    assert redirected("https://a/x/y", "z") == "https://a/x/z"
    with pytest.raises(UnreachableError, match="refused"):
        redirected("https://a/x", "http://a/x")


@pytest.mark.parametrize("url", ["ftp://host/x", "nonsense", "http://[::1/x", "http://", "http://a:port/x"])
def test_what_cannot_be_downloaded_is_told(downloader, tmp_path, url):
    with pytest.raises(UnreachableError, match="cannot download"):
        downloader.fetch(job(tmp_path / "x", url))


def test_local_files_are_archives_too(downloader, tmp_path):
    source = tmp_path / "a+b c.deb"
    source.write_bytes(BODY)
    downloader.fetch(job(tmp_path / "x", source.as_uri()))
    assert (tmp_path / "x").read_bytes() == BODY
    assert downloader.get(source.as_uri(), max_size=len(BODY)) == BODY
    with pytest.raises(GoneError, match="does not exist"):
        downloader.get((tmp_path / "missing").as_uri(), max_size=1)
    with pytest.raises(UnreachableError, match="of this machine"):
        downloader.get("file://elsewhere/x", max_size=1)


def test_offline_names_what_is_missing_and_reads_local_files_still(tmp_path):
    (tmp_path / "local").write_bytes(BODY)
    jobs = [job(tmp_path / str(n), f"http://deb.example/p%2B{n}.deb") for n in range(7)]
    with Downloader(progress=Silent(), offline=True) as downloader:
        assert downloader.get((tmp_path / "local").as_uri(), max_size=len(BODY)) == BODY
        with pytest.raises(UnreachableError, match=r"p\+0\.deb, .* and 2 more are needed, .* offline") as caught:
            list(downloader.fetch_all(jobs))
        assert (
            caught.value.hint == "run again without --offline; packages are kept for such runs by: formation vendor DIR"
        )
        with pytest.raises(UnreachableError, match=r"http://deb.example/InRelease is needed"):
            downloader.get("http://deb.example/InRelease", max_size=1)


def test_the_first_failure_ends_the_downloads_that_wait_for_a_server(server, tmp_path):
    stalled = [job(tmp_path / f"s{n}", server.serve(f"/s{n}", Answer(BODY, stall=1000))) for n in range(3)]
    wrong = job(tmp_path / "wrong", server.serve("/wrong", bytes(len(BODY))))
    failures: list[BaseException] = []

    def fetch() -> None:
        with Downloader(progress=Silent(), timeout=600) as downloader:
            try:
                list(downloader.fetch_all([*stalled, wrong]))
            except FormationError as error:
                failures.append(error)

    thread = threading.Thread(target=fetch, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "it waits for servers that nobody needs"
    assert isinstance(failures[0], IntegrityError)
    assert list(tmp_path.iterdir()) == []


def test_the_first_failure_ends_the_downloads_that_no_server_has_answered(server, tmp_path):
    wrong = job(tmp_path / "wrong", server.serve("/wrong", bytes(len(BODY))))
    with ScriptedServer(says_and_waits()) as unwilling, Downloader(progress=Silent(), timeout=600) as downloader:
        unanswered = [job(tmp_path / f"s{n}", f"{unwilling.url}/s{n}") for n in range(3)]
        with pytest.raises(IntegrityError, match="digest"):
            list(downloader.fetch_all([*unanswered, wrong]))
    assert list(tmp_path.iterdir()) == []


def test_who_is_cancelled_waits_for_no_server_and_asks_none_again():
    ended: list[BaseException] = []
    asked = threading.Event()

    def hear(peer: Peer) -> None:
        peer.hear()
        asked.set()
        peer.wait_for_end()

    def get(downloader: Downloader, url: str) -> None:
        try:
            downloader.get(url, max_size=1)
        except BaseException as error:
            ended.append(error)

    with ScriptedServer(hear) as unwilling, Downloader(progress=Silent(), timeout=600) as downloader:
        thread = threading.Thread(target=get, args=(downloader, f"{unwilling.url}/InRelease"), daemon=True)
        thread.start()
        assert asked.wait(60)
        downloader.cancel()
        thread.join(60)
        assert not thread.is_alive(), "it waits for a server that nobody needs"
        get(downloader, f"{unwilling.url}/Release")
    assert [type(error) for error in ended] == [Cancelled, Cancelled]
    assert len(unwilling.requests) == 1


def test_a_reader_that_stops_early_leaves_nothing_half_done(downloader, server, tmp_path):
    jobs = [job(tmp_path / f"{n}.deb", server.serve(f"/{n}", BODY)) for n in range(30)]
    arriving = downloader.fetch_all(jobs)
    next(arriving)
    arriving.close()
    assert all(file.suffix == ".deb" and file.read_bytes() == BODY for file in tmp_path.iterdir())


def test_a_full_disk_is_told_and_leaves_nothing(downloader, server, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(FormationError, match=r"cannot write .*/x: File too large") as caught:
            downloader.fetch(job(tmp_path / "x", server.serve("/x", BODY)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert caught.value.exit_code == 3
    assert list(tmp_path.iterdir()) == []


def test_a_proxy_is_used_except_for_the_hosts_that_are_reached_directly(server):
    server.serve("http://archive.invalid/x", b"by proxy")
    server.serve("/x", b"directly")
    proxies = Proxies.of({"http_proxy": server.url})
    with Downloader(progress=Silent(), proxies=proxies) as downloader:
        assert downloader.get("http://archive.invalid/x", max_size=10) == b"by proxy"
        assert downloader.get(f"{server.url}/x", max_size=10) == b"directly"


def test_a_password_of_a_proxy_is_sent_to_it(server):
    server.serve("http://archive.invalid/x", b"by proxy")
    proxies = Proxies.of({"http_proxy": server.url.replace("//", "//me:secret@")})
    with Downloader(progress=Silent(), proxies=proxies) as downloader:
        downloader.get("http://archive.invalid/x", max_size=10)
    assert server.requests[0].headers["proxy-authorization"] == "Basic bWU6c2VjcmV0"


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({}, "http://a/x", None),
        ({"http_proxy": "http://p:1"}, "http://a/x", "http://p:1"),
        ({"http_proxy": "http://p:1"}, "https://a/x", None),
        ({"http_proxy": "p:1"}, "http://a/x", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1"}, "http://a/x", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https://a/x", "http://p:1"),
        ({"all_proxy": "http://p:1"}, "https://a/x", "http://p:1"),
        ({"http_proxy": "http://p:1", "no_proxy": "b, .a.org"}, "http://x.a.org/x", None),
        ({"http_proxy": "http://p:1", "no_proxy": "b,a.org"}, "http://A.ORG/x", None),
        ({"http_proxy": "http://p:1", "no_proxy": "a.org"}, "http://ba.org/x", "http://p:1"),
        ({"http_proxy": "http://p:1", "no_proxy": "*"}, "http://a/x", None),
        ({"http_proxy": "http://p:1", "no_proxy": "b a.org\tc"}, "http://a.org/x", None),
        ({"http_proxy": "http://p:1", "no_proxy": "*.a.org"}, "http://x.a.org/x", None),
        ({"http_proxy": "http://p:1", "no_proxy": "a.org:8080"}, "http://x.a.org:8080/x", None),
        ({"http_proxy": "http://p:1", "no_proxy": "a.org:8080"}, "http://a.org/x", "http://p:1"),
        ({"https_proxy": "http://p:1", "no_proxy": "a.org:443"}, "https://a.org/x", None),
        ({"http_proxy": "http://p:1", "no_proxy": "10.0.0.0/8"}, "http://10.1.2.3/x", None),
        ({"http_proxy": "http://p:1", "no_proxy": "10.0.0.0/8"}, "http://11.1.2.3/x", "http://p:1"),
        ({"http_proxy": "http://p:1", "no_proxy": "10.0.0.0/8"}, "http://10.example/x", "http://p:1"),
        ({"http_proxy": "http://p:1", "no_proxy": "fd00::/8"}, "http://[fd00::1]:80/x", None),
        ({"http_proxy": "http://p:1", "no_proxy": "[fd00::1]:81"}, "http://[fd00::1]:81/x", None),
        ({"http_proxy": "http://p:1", "no_proxy": "[fd00::1]:81"}, "http://[fd00::1]/x", "http://p:1"),
        ({"http_proxy": "http://p:1", "no_proxy": "fd00::1"}, "http://[fd00::1]/x", None),
        ({"http_proxy": "http://p:1", "no_proxy": ". : , *."}, "http://a/x", "http://p:1"),
        ({"http_proxy": "http://p:1"}, "http://localhost:5001/x", None),
        ({"http_proxy": "http://p:1"}, "http://me:secret@127.1.2.3:5001/x", None),
        ({"https_proxy": "http://p:1"}, "https://[::1]:5001/x", None),
        ({"http_proxy": "http://p:1"}, "http://registry.localhost/x", None),
    ],
)
def test_the_environment_chooses_the_proxy_as_curl_and_go_do(environment, url, proxy):
    assert Proxies.of(environment).for_url(url) == proxy


def test_the_server_that_a_redirect_leads_to_is_named_and_not_held_against_the_first(downloader, server, tmp_path):
    with FaultyServer() as gone:
        nowhere = gone.url
    to = Answer(status=302, headers={"Location": f"{nowhere}/x"})
    url = server.serve("/x", to)
    at = nowhere.removeprefix("http://")
    with pytest.raises(UnreachableError, match=f"refused, 3 times in a row, at {at}, to which it is redirected"):
        downloader.fetch(job(tmp_path / "x", url))
    downloader.fetch(job(tmp_path / "y", server.serve("/y", BODY)))


def test_a_long_wait_is_told_of_once_for_all_transfers(server, tmp_path):
    progress, host = Recorder(), server.url.removeprefix("http://")
    busy = Answer(status=429, headers={"Retry-After": "20"})
    jobs = [job(tmp_path / name, server.serve(f"/{name}", busy, BODY)) for name in "abc"]
    with Downloader(progress=progress, pause=lambda seconds: None, clock=lambda: 0.0) as downloader:
        assert len(list(downloader.fetch_all(jobs))) == 3
        assert downloader.get(server.serve("/d", busy, BODY), max_size=len(BODY)) == BODY
    assert progress.notes == [f"{host} asks to wait 20 s"]


def test_a_server_that_asks_for_longer_than_anybody_waits_is_given_up_at_once(downloader, server, tmp_path, pauses):
    url = server.serve("/x", Answer(status=429, headers={"Retry-After": "3600"}))
    with pytest.raises(UnreachableError, match="429 Too Many Requests and asks to wait 60 min") as caught:
        downloader.fetch(job(tmp_path / "x", url))
    assert caught.value.hint == "run it again in 60 min"
    assert (len(server.requests), pauses) == (1, [])


def test_docker_hubs_time_of_day_is_no_number_of_seconds(downloader, server, tmp_path, pauses):
    url = server.serve("/x", Answer(status=429, headers={"Retry-After": "1927411200"}), BODY)
    downloader.fetch(job(tmp_path / "x", url))
    assert len(pauses) == 1 and pauses[0] < 1


@pytest.mark.parametrize(
    ("number", "hint"), [(errno.EROFS, "--store DIR"), (errno.EACCES, "--store DIR"), (errno.EIO, "")]
)
def test_a_file_that_cannot_be_written_is_told_with_another_place(number: int, hint: str) -> None:
    error = partial._cannot_write(Path("/store/metadata/x"), OSError(number, os.strerror(number)))
    assert error.message == f"cannot write /store/metadata/x: {os.strerror(number)}" and hint in (error.hint or "")
