"""What every test may ask for: engines, a registry, the shared store, and the guards of the `network` and `root` marks.

A tool that cannot be had skips its test and is named in the report; in CI (`CI=true`) the test fails instead. Engines
are started by the first test that uses one. Under xdist (`--dist loadgroup`), the tests of one engine go to one worker,
so that each engine is started once.
"""

import fcntl
import functools
import os
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

import pytest
from hypothesis import HealthCheck, settings

from engines import Docker, EngineUnavailable, Podman, Registry, Skopeo, find_tool

PROBE = "http://deb.debian.org/debian/dists/stable/InRelease"
# Not /tmp, which may be held in memory: engines and the store keep gigabytes here.
STATE = Path("/var/tmp")
STATE_PREFIX = "formation-tests-"

# `make check` tries a few cases of each property; `make test` 100, and of hostile input 1,000 (`hostile.py`).
# A deadline would measure the machine, not the code.
settings.register_profile("quick", deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("full", settings.get_profile("quick"), max_examples=100)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

UNIT = Path(__file__).parent / "unit"

_run_directory = pytest.StashKey[Path]()
_run_lock = pytest.StashKey[IO[bytes]]()


def missing(reason: str) -> NoReturn:
    """Skips the running test on a user's machine, and fails it in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must have it: {reason}", pytrace=False)
    pytest.skip(reason)


def require_tool(name: str) -> str:
    """The path of the tool `name`; without it the running test is skipped by name, or fails in CI."""
    try:
        return find_tool(name)
    except EngineUnavailable as error:
        missing(str(error))


def pytest_configure(config: pytest.Config) -> None:
    """Makes the directory of this run, which all xdist workers share, and removes what killed runs left behind."""
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        config.stash[_run_directory] = Path(worker["formation_run_directory"])
    else:
        remove_left_behind()
        directory = Path(tempfile.mkdtemp(prefix=STATE_PREFIX, dir=STATE))
        config.stash[_run_directory] = directory
        config.stash[_run_lock] = lock = (directory / "lock").open("wb")
        fcntl.flock(lock, fcntl.LOCK_EX)
    # A test that forgets `--store` must not touch the store of the person who runs it.
    os.environ["FORMATION_STORE"] = str(store_of(config))


def remove_left_behind() -> None:
    """Removes run directories of ours whose run no longer holds its lock."""
    for directory in STATE.glob(f"{STATE_PREFIX}*"):
        try:
            if directory.stat().st_uid != os.geteuid():
                continue
            with (directory / "lock").open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory, ignore_errors=True)
        except OSError:
            continue


def pytest_unconfigure(config: pytest.Config) -> None:
    """Removes the directory of this run."""
    if _run_lock in config.stash:
        shutil.rmtree(config.stash[_run_directory], ignore_errors=True)
        config.stash[_run_lock].close()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tells an xdist worker the directory of the run. The hook is xdist's, which need not be installed."""
    node.workerinput["formation_run_directory"] = str(node.config.stash[_run_directory])


def store_of(config: pytest.Config) -> Path:
    """The store of this run, or the one that FORMATION_TEST_STORE names, which is kept from run to run."""
    kept = os.environ.get("FORMATION_TEST_STORE")
    return Path(kept) if kept else config.stash[_run_directory] / "store"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sends the tests of one engine to one xdist worker, unless they name a group themselves.

    The unit tests of a module go together too: to hand out thousands one by one takes longer than many of them.
    """
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            group = next((name for name in ("docker", "podman") if name in getattr(item, "fixturenames", ())), None)
            if group is None and UNIT in item.path.parents:
                group = item.path.stem
            if group is not None:
                item.add_marker(pytest.mark.xdist_group(group))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("root") is not None and os.geteuid() != 0:
        missing("needs root")
    if item.get_closest_marker("network") is not None and (reason := archive_unreachable()):
        missing(reason)


@functools.cache
def archive_unreachable() -> str | None:
    """Why the real Debian archive cannot be read, or None. Asked once per process, three times before it gives up."""
    reason = None
    for wait in (0, 1, 3):
        time.sleep(wait)
        try:
            with urllib.request.urlopen(urllib.request.Request(PROBE, method="HEAD"), timeout=15):
                return None
        except OSError as error:
            reason = f"deb.debian.org cannot be reached: {error}"
    return reason


def pytest_report_header(config: pytest.Config) -> str:
    return f"formation store: {store_of(config)}"


@pytest.fixture(scope="session")
def run_directory(request: pytest.FixtureRequest) -> Path:
    """The directory of this run, the same in all xdist workers, removed at its end."""
    return request.config.stash[_run_directory]


@pytest.fixture(scope="session")
def shared_store(request: pytest.FixtureRequest) -> Path:
    """One store for all tests that build from the real archive: what one has downloaded, the next ones find."""
    store = store_of(request.config)
    store.mkdir(parents=True, exist_ok=True)
    return store


@pytest.fixture(scope="session")
def engine_directory(request: pytest.FixtureRequest, run_directory: Path) -> Callable[[str], Path]:
    """Gives an engine a directory of its own. Short, because the path of a unix socket has at most 107 bytes."""
    worker = getattr(request.config, "workerinput", {}).get("workerid", "main")
    return lambda name: run_directory / f"{name}-{worker}"


@pytest.fixture(scope="session")
def docker(engine_directory: Callable[[str], Path]) -> Iterator[Docker]:
    """A private Docker daemon. Builds and containers that need the network say `--network host`."""
    try:
        engine = Docker(engine_directory("docker"))
    except EngineUnavailable as error:
        missing(str(error))
    yield engine
    engine.stop()


@pytest.fixture(scope="session")
def podman(engine_directory: Callable[[str], Path]) -> Iterator[Podman]:
    """Podman on a private storage."""
    try:
        engine = Podman(engine_directory("podman"))
    except EngineUnavailable as error:
        missing(str(error))
    yield engine
    engine.stop()


@pytest.fixture(scope="session")
def skopeo(engine_directory: Callable[[str], Path]) -> Iterator[Skopeo]:
    """skopeo, accepting unsigned images."""
    try:
        tool = Skopeo(engine_directory("skopeo"))
    except EngineUnavailable as error:
        missing(str(error))
    yield tool
    tool.stop()


@pytest.fixture(scope="session")
def registry(engine_directory: Callable[[str], Path]) -> Iterator[Registry]:
    """A registry on loopback."""
    try:
        server = Registry(engine_directory("registry"))
    except EngineUnavailable as error:
        missing(str(error))
    yield server
    server.stop()
