import signal
import threading

import pytest

from formation.network.transfer import Cancelled, Run
from formation.registry.parallel import in_parallel
from formation.registry.registry import Registry
from formation.registry.repository import Repository
from formation.registry.settings import Settings
from scripted_server import ScriptedServer


@pytest.fixture
def run():
    return Run(None)


def test_every_job_is_done_once_and_begun_in_order(run):
    begun = []
    in_parallel(iter(range(50)), begun.append, run, threads=1)
    assert begun == list(range(50))
    in_parallel(range(50), begun.append, run, threads=8)
    assert sorted(begun[50:]) == list(range(50))
    in_parallel((), begun.append, run, threads=8)
    run.check()


def test_jobs_are_done_at_the_same_time(run):
    together = threading.Barrier(3, timeout=60)
    in_parallel(range(3), lambda job: together.wait(), run, threads=3)


def test_a_job_may_be_nothing(run):
    done = []
    in_parallel([None, 0, ""], done.append, run, threads=1)
    assert done == [None, 0, ""]


def test_the_first_failure_ends_the_run_and_is_raised(run):
    begun, before = [], threading.active_count()

    def work(job):
        begun.append(job)
        if job == 1:
            raise KeyError("first")
        run.pause(60)

    with pytest.raises(KeyError, match="first"):
        in_parallel(range(50), work, run, threads=2)
    assert begun == [0, 1]
    with pytest.raises(Cancelled):
        run.check()
    assert threading.active_count() == before


def test_ctrl_c_ends_the_run_and_is_raised(run):
    begun, ended = [], []
    working = threading.Event()

    def work(job):
        begun.append(job)
        working.set()
        try:
            run.pause(60)
        finally:
            ended.append(job)

    def interrupt():
        working.wait(60)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        in_parallel(range(50), work, run, threads=2)
    assert sorted(begun) == sorted(ended)
    assert len(begun) <= 2
    with pytest.raises(Cancelled):
        run.check()


def test_a_failure_waits_for_no_registry_that_has_not_answered():
    """One blob is asked for and not answered; what else is to be done fails meanwhile."""
    asked = threading.Event()

    def silent(peer):
        peer.hear()
        asked.set()
        peer.wait_for_end()

    with ScriptedServer(silent) as server, Registry(Settings(plain_http=True, timeout=600)) as registry:
        session = registry.session(Repository(server.address, "base"))

        def work(job):
            if job == "blob":
                session.call("GET", f"/v2/base/blobs/sha256:{'0' * 64}", "the blob", session.scope("pull"))
            assert asked.wait(60)
            raise KeyError("first")

        with pytest.raises(KeyError, match="first"):
            in_parallel(["blob", "other"], work, registry.run, threads=2)
    assert len(server.requests) == 1
