"""Locks of the real Debian archive."""

import time
from pathlib import Path

import pytest

from formation.definition.load import load_definition
from formation.lock.check import staleness
from formation.lock.lockfile import file_text, lock_text, parse_lock, read_lock
from formation.lock.resolve import make_lock
from formation.network import Downloader
from formation.progress import Silent
from formation.store.store import Store

ROOT = Path(__file__).parents[2]


def lock(definition, store, previous=None):
    with Downloader(progress=Silent()) as downloader:
        return make_lock(
            definition,
            downloader=downloader,
            store=store,
            now=int(time.time()),
            progress=Silent(),
            previous=previous,
        )


@pytest.mark.network
def test_the_base_locks_to_the_same_bytes_with_a_new_store_and_a_used_one(tmp_path, shared_store):
    definition = load_definition(ROOT / "docker" / "base")
    first = lock(definition, Store(tmp_path / "store"))
    second = lock(definition, Store(tmp_path / "store"), previous=first)
    if second.suites != first.suites:
        # The archive published in between; it does so a few times a day.
        first = second
    assert lock_text(lock(definition, Store(shared_store), previous=first)) == lock_text(first)
    assert parse_lock(lock_text(first), "formation.lock") == first


@pytest.mark.network
def test_the_base_has_what_it_asks_for_and_dev_extends_it(tmp_path, shared_store):
    definition = load_definition(ROOT / "docker" / "base")
    made = lock(definition, Store(shared_store))
    runtime = {package.name for package in made.of("amd64", frozenset({"runtime"}))}
    dev = {package.name for package in made.of("amd64", frozenset({"dev"}))}
    assert {"apt", "dpkg", "curl", "libssl3t64", "iproute2"} <= runtime
    assert {"gcc", "clang", "libssl-dev", "protobuf-compiler"} <= dev
    assert not runtime & dev
    assert {"dpkg", "libc6", "base-files"} <= {package.name for package in made.packages["amd64"] if package.essential}


@pytest.mark.parametrize("directory", ["docker/base", "images/debian-slim"])
def test_the_locks_in_this_repository_are_of_their_definitions(directory):
    definition = load_definition(ROOT / directory)
    path = ROOT / directory / "formation.lock"
    assert staleness(definition, read_lock(path)) is None
    assert file_text(read_lock(path)) == path.read_text()
