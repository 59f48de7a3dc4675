"""Who builds: an ordinary user, and root of a container that may do little."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from builds import USER_ID, Formation, forget_builds, new_store, ordinary_user

pytest_plugins = ["small_images"]
pytestmark = [pytest.mark.network, pytest.mark.root, pytest.mark.xdist_group("users")]

# As Docker's default profile takes it away; some engines take mknod as well.
NO_ADMIN = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")
NO_ADMIN_NO_MKNOD = ("setpriv", "--bounding-set=-sys_admin,-mknod", "--inh-caps=-sys_admin,-mknod")


@pytest.fixture(scope="module")
def digest(tiny: Path, shared_store: Path) -> str:
    """What root builds, with namespaces and overlayfs."""
    return str(Formation().build(shared_store, tiny, "--variant", "dev").data["digest"])


@pytest.fixture(scope="module")
def user_store(tiny: Path, shared_store: Path, open_directory: Path, digest: str) -> Path:
    """A store of the ordinary user, with all downloads."""
    store = new_store(open_directory / "user-store", tiny, shared_store)
    for path in (store, *store.rglob("*")):
        os.chown(path, USER_ID, USER_ID)
    return store


def test_an_ordinary_user_builds_what_root_builds(
    tiny: Path, as_user: Formation, user_store: Path, digest: str
) -> None:
    forget_builds(user_store)
    assert as_user.build(user_store, tiny, "--variant", "dev").data["digest"] == digest


def test_a_user_without_subordinate_ids_is_told_how_to_get_them(
    tiny: Path, portable: Formation, user_store: Path, open_directory: Path
) -> None:
    bare = portable.after(*ordinary_user(open_directory / "bare-accounts", subordinate=False))
    forget_builds(user_store)
    ran = bare.build(user_store, tiny)
    assert ran.status == 3
    assert ran.errors == (
        "error: the user formation-builder has no 65536 subordinate ids in /etc/subuid, which an ordinary user needs "
        "to build\n"
        "hint: sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 formation-builder\n"
    )


def test_a_user_without_newuidmap_is_told_what_to_install(
    tiny: Path, as_user: Formation, user_store: Path, open_directory: Path
) -> None:
    tools = open_directory / "few-tools"
    tools.mkdir()
    for name in ("sh", "mount", "setpriv", "unshare"):
        (tools / name).symlink_to(shutil.which(name) or "")
    forget_builds(user_store)
    ran = as_user.with_environment(PATH=str(tools)).build(user_store, tiny)
    assert ran.status == 3
    assert ran.errors == (
        "error: newuidmap is missing, which an ordinary user needs to build\nhint: sudo apt-get install uidmap\n"
    )


def test_a_root_without_capabilities_is_told_before_anything_is_unpacked(
    tiny: Path, shared_store: Path, open_directory: Path
) -> None:
    store = new_store(open_directory / "no-capabilities", tiny, shared_store)
    ran = Formation().after("setpriv", "--bounding-set=-all", "--inh-caps=-all").build(store, tiny)
    assert ran.status == 3 and not (store / "segments").exists()
    assert ran.errors.startswith("error: this root lacks CAP_CHOWN and CAP_DAC_OVERRIDE and CAP_FOWNER and ")


def test_other_users_reach_no_setuid_program_in_the_store(tiny: Path, shared_store: Path, open_directory: Path) -> None:
    store = open_directory / "new" / "store"
    assert Formation(umask=0).build(store, tiny, "--offline").status == 5
    assert store.stat().st_mode & 0o777 == 0o700
    copy = new_store(open_directory / "world-readable", tiny, shared_store)
    copy.chmod(0o755)
    assert Formation(umask=0).build(copy, tiny).status == 0
    setuid = [path for path in copy.rglob("*") if path.is_file() and path.lstat().st_mode & 0o6000]
    seen = subprocess.run(
        [
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "find",
            str(copy),
            "-perm",
            "/6000",
            "-type",
            "f",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert seen.stdout == ""
    assert all((copy / name).stat().st_mode & 0o777 == 0o700 for name in ("trees", "effects", "work")), setuid


@pytest.mark.parametrize(
    ("prefix", "environment"),
    [
        pytest.param(NO_ADMIN, {}, id="an unprivileged container"),
        pytest.param(NO_ADMIN_NO_MKNOD, {}, id="a container without mknod"),
        pytest.param((), {"FORMATION_OVERLAY": "0"}, id="namespaces without overlayfs"),
    ],
)
def test_the_image_is_the_same_in(
    tiny: Path,
    shared_store: Path,
    tmp_path: Path,
    digest: str,
    prefix: tuple[str, ...],
    environment: dict[str, str],
) -> None:
    store = new_store(tmp_path / "store", tiny, shared_store)
    start = Formation().after(*prefix).with_environment(**environment)
    assert start.build(store, tiny, "--variant", "dev").data["digest"] == digest
    assert list((store / "work").iterdir()) == []


def test_prune_removes_what_belongs_to_subordinate_ids(tiny: Path, as_user: Formation, user_store: Path) -> None:
    assert as_user.build(user_store, tiny).status == 0
    for name in ("work/0123456789abcdef", "trees/0123456789abcdef"):
        deep = user_store / name / "deep"
        deep.mkdir(parents=True)
        (deep / "file").touch()
        os.chown(deep.parent, USER_ID, USER_ID)
        for path in (deep, deep / "file"):
            os.chown(path, 700005, 700005)
        deep.chmod(0o500)
    ran = as_user.run("--store", str(user_store), "cache", "prune", "--all", "--images")
    assert ran.status == 0, ran.stderr
    left = [path for path in user_store.rglob("*") if not path.is_dir()]
    assert sorted(path.name for path in left) == ["images.lock", "lock", "unsynced.json"]
    assert list((user_store / "trees").iterdir()) == list((user_store / "work").iterdir()) == []
