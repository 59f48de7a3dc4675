"""Packages that are unpacked already, and are to be unpacked in another way."""

from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import pytest

from debs import make_deb
from formation.dataclass import replace
from formation.digest import sha256_file
from formation.install import work
from formation.install.arrivals import Arrivals
from formation.install.job import Arrived, PackageJob, Wanted
from formation.install.placement import SegmentSpec
from formation.store.store import Store

SPEC = SegmentSpec(epoch=work.FAR, compression="gzip", path_excludes=(), path_includes=())
OTHER = replace(SPEC, omit=frozenset({"usr/bin/hello"}))


class AtOnce:
    """A schedule without workers."""

    def submit(self, urgency: object, task: Any, *arguments: Any, **options: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_result(task(*arguments, **options))
        return future


@pytest.mark.root
@pytest.mark.parametrize("known", [False, True])
def test_a_deb_that_is_no_longer_in_the_store_is_asked_for_where_it_is_needed(tmp_path: Path, known: bool) -> None:
    """Its segment counts as used with every build, and outlives it."""
    store = Store(tmp_path / "store")
    deb = make_deb(tmp_path)
    digest = sha256_file(deb)
    package = PackageJob("hello", "1.0", "all", digest, False, deb.stat().st_size)
    place = store.download(digest)
    place.parent.mkdir(parents=True)
    place.hardlink_to(deb)
    for spec in (SPEC, OTHER) if known else (SPEC,):
        work.unpack(store, package, spec, work.FAR)
    place.unlink()
    job: Any = SimpleNamespace(
        store=store.root, spec=SPEC, epoch=work.FAR, variants=[SimpleNamespace(packages=[package])]
    )
    inbox: SimpleQueue[Any] = SimpleQueue()
    told: list[object] = []

    def tell(message: object) -> None:
        told.append(message)
        if message == Wanted((digest,)):
            place.hardlink_to(deb)
            inbox.put(Arrived(digest, True))

    schedule: Any = AtOnce()
    arrivals = Arrivals(job, schedule, inbox, tell)
    arrivals.look()
    arrivals.unpack_again({digest: OTHER})
    assert told == [Wanted(()), *([] if known else [Wanted((digest,))])]
    assert arrivals.segments[digest] == work.known_segment(store, package, OTHER, work.FAR)
