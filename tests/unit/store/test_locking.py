import errno
import fcntl
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from formation.errors import FormationError
from formation.store import locking
from formation.store.locking import alone, changing_images, in_use, remove_tree, work_directory
from formation.store.store import Store

HOLD = """
import sys
from pathlib import Path
from formation.store.locking import *
from formation.store.store import Store
with {what}(Store(Path(sys.argv[1]))) as held:
    if held: (held / "file").write_text("x")
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@contextmanager
def holder(store, what):
    """A process inside `with WHAT(store)`; it leaves when its stdin ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD.format(what=what), str(store.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout.readline() == b"held\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_many_may_use_a_store_at_once(store):
    with holder(store, "in_use"), in_use(store):
        pass


def test_nobody_is_alone_while_another_process_uses_the_store(store):
    with holder(store, "in_use"):
        with pytest.raises(FormationError, match="is in use"), alone(store):
            pass


def test_who_wants_to_be_alone_may_wait_for_the_others_and_says_so(store):
    notes = []
    with holder(store, "in_use") as process:

        def end_it(message):
            notes.append(message)
            process.stdin.close()

        with alone(store, wait=True, note=end_it):
            assert notes == [f"the store {store.root} is in use: waiting until the other formation has ended"]
    with alone(store, wait=True, note=notes.append):
        assert len(notes) == 1


def test_a_killed_user_does_not_hold_the_store(store):
    with holder(store, "in_use") as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        with alone(store):
            pass


def test_a_work_directory_is_private_empty_and_gone_afterwards(store):
    with work_directory(store) as work:
        assert work.stat().st_mode & 0o777 == 0o700
        assert list(work.iterdir()) == []
        (work / "a" / "b").mkdir(parents=True)
    assert list(store.work.iterdir()) == []


def test_a_work_directory_is_gone_after_an_error(store):
    with pytest.raises(ZeroDivisionError), work_directory(store):
        raise ZeroDivisionError
    assert list(store.work.iterdir()) == []


def test_the_work_directory_of_a_killed_process_is_removed_by_the_next(store):
    with holder(store, "work_directory") as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert len(list(store.work.glob("*/file"))) == 1
        with work_directory(store):
            assert list(store.work.glob("*/file")) == []


def test_the_work_directory_of_a_living_process_stays(store):
    with holder(store, "work_directory") as process:
        with work_directory(store):
            pass
        assert len(list(store.work.glob("*/file"))) == 1
        process.communicate()
        assert process.returncode == 0
    assert list(store.work.iterdir()) == []


def test_what_cannot_be_removed_does_not_stop_the_next_run(store):
    with holder(store, "work_directory") as process:
        process.send_signal(signal.SIGKILL)
        process.wait()

    def refuse(path):
        raise PermissionError(path)

    with work_directory(store, refuse):
        assert len(list(store.work.glob("*/file"))) == 1
    assert len(list(store.work.glob("*/file"))) == 1


def test_a_tree_with_directories_that_may_not_be_written_to_is_removed(tmp_path):
    inner = tmp_path / "tree" / "read-only"
    inner.mkdir(parents=True)
    (inner / "file").write_text("")
    (tmp_path / "tree" / "link").symlink_to(tmp_path)
    inner.chmod(0o555)
    remove_tree(tmp_path / "tree")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_store_that_may_only_be_read_can_be_looked_into(store, monkeypatch, number):
    with in_use(store):
        pass

    def refuse(path):
        raise OSError(number, os.strerror(number), str(path))

    with monkeypatch.context() as patched:
        patched.setattr(locking, "_open_lock", refuse)
        reading = in_use(store)
        reading.__enter__()
    with pytest.raises(FormationError, match="is in use"), alone(store):
        pass
    reading.__exit__(None, None, None)


def test_the_lock_of_images_that_another_user_has_made_holds_too(store, monkeypatch):
    with changing_images(store):
        pass

    def refuse(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(locking, "_open_lock", refuse)
    with (
        changing_images(store),
        store.images_lock.open() as lock,
        pytest.raises(BlockingIOError),
    ):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_store_that_cannot_be_made_is_told_with_the_reason(store, monkeypatch, number):
    def refuse(path):
        raise OSError(number, os.strerror(number), str(path.parent))

    monkeypatch.setattr(locking, "_open_lock", refuse)
    with pytest.raises(OSError) as caught, in_use(store):
        pass
    assert caught.value.errno == number


def test_a_tree_is_removed_however_deep_and_however_long_its_paths_are(tmp_path):
    (tmp_path / "tree").mkdir()
    here = os.open(tmp_path / "tree", os.O_RDONLY)
    for _ in range(2500):
        os.mkdir("d", dir_fd=here)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    remove_tree(tmp_path / "tree")
    assert list(tmp_path.iterdir()) == []
