"""The installer process: root, or root of a user namespace, with mounts of its own.

`formation build` starts it as `python -m formation.install.agent`, so that it can change its user ids and mounts
without the rest of the program noticing, and so that nothing of it survives it.
"""

import contextlib
import errno
import multiprocessing
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from formation import errors
from formation.errors import FormationError
from formation.garbage import collect_seldom
from formation.install import namespaces
from formation.install.channel import Channel
from formation.install.installation import Installation
from formation.install.job import OUT_OF_MEMORY_HINT, Done, Failed, Job, MapMe, Mapped, Remove, Stop
from formation.install.roots import Isolation, overlay_works
from formation.install.sandbox import end_children
from formation.install.schedule import Schedule
from formation.store.locking import remove_abandoned, remove_tree, work_directory
from formation.store.store import Store

_CAPABILITIES = {0: "CHOWN", 1: "DAC_OVERRIDE", 3: "FOWNER", 4: "FSETID", 6: "SETGID", 7: "SETUID"}
"""What a build does with all kinds of packages, by their numbers in capability.h. Containers have these by default."""
_SYS_CHROOT, _SYS_ADMIN = 18, 21


def main() -> int:
    """Does one job that arrives on stdin; answers on stdout."""
    collect_seldom()
    channel = Channel(os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb"))
    # What a library may print must not end up between the messages.
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.umask(0o022)
    store = None
    try:
        _become_root(channel)
        namespaces.die_with_parent()
        job = channel.receive()
        if isinstance(job, Remove):
            _remove(job)
            channel.send(Done(()))
        else:
            store = job.store
            channel.send(_install(job, channel))
    except EOFError:
        return 1
    except BaseException as error:
        with contextlib.suppress(OSError):
            channel.send(_failure(error, store))
        return 1
    return 0


def _become_root(channel: Channel) -> None:
    """Enters a user namespace in which an ordinary user is root; the other side maps the subordinate ids."""
    if os.geteuid() == 0:
        _check_capabilities()
        return
    try:
        namespaces.unshare(namespaces.CLONE_NEWUSER)
    except OSError as error:
        raise FormationError(
            f"this machine gives the user no user namespace, which an ordinary user needs to build: {error.strerror}",
            hint="look at: sysctl user.max_user_namespaces kernel.unprivileged_userns_clone "
            "kernel.apparmor_restrict_unprivileged_userns; or build as root",
        ) from None
    channel.send(MapMe(os.getpid()))
    answer = channel.receive()
    if not isinstance(answer, Mapped):
        raise EOFError
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def _check_capabilities() -> None:
    """Raises FormationError for a root that cannot give files away, such as that of a container without capabilities.

    One that cannot mount or make devices builds all the same; one that can mount needs no chroot.
    """
    there = namespaces.effective_capabilities()
    needed = _CAPABILITIES if _SYS_ADMIN in there else {**_CAPABILITIES, _SYS_CHROOT: "SYS_CHROOT"}
    lacking = [name for number, name in needed.items() if number not in there]
    if lacking:
        options = " ".join(f"--cap-add {name}" for name in lacking)
        raise FormationError(
            f"this root lacks {' and '.join(f'CAP_{name}' for name in lacking)}, which a build needs",
            hint=f"start its container with {options}, or build as an ordinary user who has subordinate ids",
        )


def _install(job: Job, channel: Channel) -> Done:
    isolated = _private_mounts()
    namespaces.adopt_orphans()
    user_namespace = namespaces.in_user_namespace()
    store = Store(job.store)
    for directory in (store.segments, store.trees, store.effects, store.layers, store.blobs, store.work):
        directory.mkdir(parents=True, exist_ok=True)
    for directory in (store.trees, store.effects, store.work):
        # They hold the setuid programs of packages, which may be older than the machine's own.
        directory.chmod(0o700)
    with work_directory(store, remove_tree) as work, _workers(job.workers, work) as pool:
        # The first task starts all workers: before this process has a second thread.
        pool.submit(os.getpid).result()
        remove_abandoned(store, remove_tree)
        inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=_listen, args=(channel, inbox), daemon=True).start()
        overlay = isolated and job.overlay and overlay_works(work, user_namespace=user_namespace)
        installation = Installation(
            job,
            Schedule(pool, job.workers, inbox),
            inbox,
            channel.send,
            work,
            Isolation(isolated, overlay, user_namespace),
        )
        return Done(installation.run())


@contextlib.contextmanager
def _workers(count: int, work: Path) -> Iterator[ProcessPoolExecutor]:
    """The worker processes. At the end they are killed, whatever they are at, and what they have mounted is taken away.

    They are not asked to end: one that somebody else has killed may have died with the lock of the queue from which the
    others would hear of it, and then they, and who waits for them, never end. What they have done is in the store.
    """
    context = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(count, context, _start_worker, (os.getpid(),))
    try:
        yield pool
    finally:
        for worker in multiprocessing.active_children():
            worker.kill()
            worker.join()
        pool.shutdown(wait=False, cancel_futures=True)
        end_children()
        namespaces.unmount_below(work)


def _private_mounts() -> bool:
    """Whether this process could get mounts of its own; not so in an unprivileged container."""
    try:
        namespaces.private_mounts()
    except OSError:
        return False
    return True


def _start_worker(parent: int) -> None:
    namespaces.die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _listen(channel: Channel, inbox: "queue.SimpleQueue[Any]") -> None:
    try:
        while True:
            inbox.put(channel.receive())
    except (EOFError, OSError):
        inbox.put(Stop())


def _remove(job: Remove) -> None:
    for path in job.paths:
        remove_tree(path)


def _failure(error: BaseException, store: Path | None = None) -> Failed:
    """What went wrong, in the words of formation.errors. `store` is where the store is."""
    if isinstance(error, FormationError):
        kind = next(cls.__name__ for cls in type(error).__mro__ if getattr(errors, cls.__name__, None) is cls)
        return Failed(kind, error.message, error.hint, "")
    if isinstance(error, BrokenProcessPool):
        return Failed("FormationError", "a worker process was killed", OUT_OF_MEMORY_HINT, "")
    if isinstance(error, OSError):
        # Of a write that found no room the system does not say where it was.
        place = error.filename or (store if error.errno in (errno.ENOSPC, errno.EDQUOT) else None)
        where = f"{place}: " if place else ""
        return Failed("FormationError", f"{where}{error.strerror or error}", errors.remedy(error, store), "")
    return Failed(
        "FormationError", f"{type(error).__name__}: {error}", None, "".join(traceback.format_exception(error))
    )


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # Python would wait for the pool's thread, which may wait for a worker that is dead (CPython's issue 94777).
    os._exit(status)
